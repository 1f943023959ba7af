"""The emulator's platform types refuse what SageMaker, Budgets and SNS refuse."""

import json
from copy import deepcopy
from typing import Any

import pytest

from verification.deploy.process import REGION
from verification.deploy.stacks import ACCOUNT, Stacks, Template, bucket, resource, role, template

GROUP = resource(
    "Group", "AWS::SageMaker::ModelPackageGroup", {"ModelPackageGroupName": "some-models"}
)


def app(**change: Any) -> Template:
    properties = {
        "Name": "some-app",
        "ArtifactStoreUri": "s3://some-artifacts/mlflow",
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/some-mlflow",
    }
    return resource("App", "AWS::SageMaker::MlflowApp", properties | change)


def test_a_group_with_a_version_in_it_stays(stacks: Stacks) -> None:
    sagemaker = stacks.emulator.client("sagemaker")
    stacks.deploy("group", template(GROUP))
    package = sagemaker.create_model_package(
        ModelPackageGroupName="some-models", ModelApprovalStatus="PendingManualApproval"
    )["ModelPackageArn"]

    assert stacks.delete("group") == "DELETE_FAILED"
    assert "some-models has model packages" in stacks.failure("group")

    sagemaker.delete_model_package(ModelPackageName=package)
    assert stacks.delete("group") == "DELETE_COMPLETE"


def test_a_group_is_shared_and_no_longer_shared_in_place(stacks: Stacks) -> None:
    group, policy = deepcopy(GROUP), {"Version": "2012-10-17", "Statement": []}
    stacks.deploy("shared", template(group))
    group["Properties"]["ModelPackageGroupPolicy"] = policy
    by_name = {"ModelPackageGroupName": "some-models"}
    sagemaker = stacks.emulator.client("sagemaker")
    assert stacks.deploy("shared", template(group)) == "UPDATE_COMPLETE"
    shared = sagemaker.get_model_package_group_policy(**by_name)["ResourcePolicy"]
    assert json.loads(shared) == policy

    assert stacks.deploy("shared", template(GROUP)) == "UPDATE_COMPLETE"
    assert sagemaker.get_model_package_group_policy(**by_name)["ResourcePolicy"] == "{}"
    stacks.delete("shared")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, "there is no arn:aws:iam::111122223333:role/some-mlflow"),
        ({"ModelRegistrationMode": "Off"}, "'Off'"),
        ({"KmsKeyId": "some"}, "KmsKeyId"),
    ],
)
def test_an_app_without_its_role_or_of_another_mode_fails(
    stacks: Stacks, change: dict[str, str], reason: str
) -> None:
    assert stacks.deploy("app", template(app(**change))) == "ROLLBACK_COMPLETE"

    assert reason in stacks.failure("app")
    stacks.delete("app")


def test_an_app_takes_another_mode_in_place(stacks: Stacks) -> None:
    store, reader = bucket("some-artifacts"), role("some-mlflow")
    mlflow_app = app(ModelRegistrationMode="AutoModelRegistrationEnabled")
    mlflow_app["DependsOn"] = ["Bucket", "Role"]
    stacks.deploy("apps", template(store, reader, mlflow_app))
    arn = stacks.emulator.client("sagemaker").list_mlflow_apps()["Summaries"][0]["Arn"]

    mlflow_app["Properties"]["ModelRegistrationMode"] = "AutoModelRegistrationDisabled"
    assert stacks.deploy("apps", template(store, reader, mlflow_app)) == "UPDATE_COMPLETE"

    description = stacks.emulator.client("sagemaker").describe_mlflow_app(Arn=arn)
    assert description["ModelRegistrationMode"] == "AutoModelRegistrationDisabled"


def test_a_topic_loses_and_gains_subscribers(stacks: Stacks) -> None:
    def topic(*emails: str) -> Template:
        subscriptions = [{"Protocol": "email", "Endpoint": email} for email in emails]
        properties = {"TopicName": "some-alerts", "Subscription": subscriptions}
        return template(resource("Topic", "AWS::SNS::Topic", properties))

    stacks.deploy("topic", topic("a@example.com", "b@example.com"))
    stacks.deploy("topic", topic("b@example.com", "c@example.com"))

    arn = f"arn:aws:sns:{REGION}:{ACCOUNT}:some-alerts"
    subscribed = stacks.emulator.client("sns").list_subscriptions_by_topic(TopicArn=arn)
    endpoints = {item["Endpoint"] for item in subscribed["Subscriptions"]}
    assert endpoints == {"b@example.com", "c@example.com"}
