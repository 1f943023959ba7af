"""What AWS refuses is one message that names the thing and the fix."""

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from sashiko.base.aws_calls import Clients
from sashiko.errors import InputError
from sashiko.registry.model_packages.registry import PackageRegistry, connect
from tests.unit.data.stubs import stubbed
from tests.unit.registry.model_packages.account import GROUP, KEY
from tests.unit.registry.model_packages.test_registrar import register


def refuse(client: Any, operation: str, code: str, message: str) -> None:
    """Lets a client's next calls of an operation fail."""

    class _Http:
        status_code = 400

    def answer(**_: Any) -> Any:
        return _Http(), {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {}}

    service = client.meta.service_model.service_name
    client.meta.events.register_first(f"before-call.{service}.{operation}", answer)


def denied(action: str) -> str:
    return f"User: arn:aws:sts::111122223333:role/r is not authorized to perform: {action} on x"


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        ("AccessDeniedException", denied("kms:Sign"),
         "cannot sign the manifest with the key arn:.*; allow this role kms:Sign on the"),
        ("DisabledException", "key is disabled", "enable the key, or give another one"),
    ],
)  # fmt: skip
def test_a_key_that_does_not_sign_leaves_nothing_behind(account, model, code, message, advice):
    refuse(account.clients.kms, "Sign", code, message)
    with pytest.raises(InputError, match=advice):
        register(account, model)
    assert account.objects() == set()
    assert account.registry.versions(GROUP) == []


def test_an_account_without_a_signing_key_says_what_makes_it(account, model):
    account.clients.kms.delete_alias(AliasName=KEY)
    with pytest.raises(InputError, match=f"the signing key {KEY}: .*; deploy the Platform stack"):
        register(account, model)


@pytest.mark.parametrize(
    ("operation", "doing"),
    [
        ("CreateModelPackage", f"create a model package in the group {GROUP}"),
        ("ListModelPackages", f"list the versions of the model package group {GROUP}"),
        ("CreateAction", "record the lineage of s3://"),
    ],
)
def test_a_registry_that_refuses_names_the_action(account, model, operation, doing):
    action = f"sagemaker:{operation}"
    refuse(account.clients.sagemaker, operation, "AccessDeniedException", denied(action))
    with pytest.raises(InputError, match=f"cannot {doing}.*{action}.*allow that action to this"):
        register(account, model)


def test_a_bucket_that_refuses_names_the_file(account, model):
    refuse(account.clients.s3, "PutObject", "AccessDenied", "Access Denied")
    with pytest.raises(InputError, match=r"cannot write s3://.*bias/verdict.json: AccessDenied"):
        register(account, model)


def test_a_group_that_does_not_exist_says_who_makes_it():
    with stubbed("sagemaker") as (client, stub):
        stub.add_client_error(
            "list_model_packages", "ValidationException", "Model Package Group does not exist"
        )
        registry = PackageRegistry(Clients(sagemaker=client, s3=None, kms=None))
        with pytest.raises(InputError, match="deploy the DataLake and Platform stacks"):
            registry.champion(GROUP)


def test_a_group_of_many_pages_is_read_to_its_end():
    arn = f"arn:aws:sagemaker:eu-west-1:111122223333:model-package/{GROUP}/"
    with stubbed("sagemaker") as (client, stub):
        for number, more in ((2, {"NextToken": "more"}), (1, {})):
            summary = {"CreationTime": 0, "ModelPackageStatus": "Completed"}
            summary["ModelPackageArn"] = f"{arn}{number}"
            page = {"ModelPackageSummaryList": [summary], **more}
            stub.add_response("list_model_packages", page)
        registry = PackageRegistry(Clients(sagemaker=client, s3=None, kms=None))
        assert list(registry._arns(GROUP)) == [f"{arn}2", f"{arn}1"]


def test_a_job_without_a_way_to_aws_says_what_it_needs(account, model):
    def unreachable(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://kms")

    account.clients.kms.meta.events.register_first("before-call.kms.Sign", unreachable)
    with pytest.raises(InputError, match="needs credentials and an endpoint for the service"):
        register(account, model)


def test_a_job_that_knows_no_region_says_so(monkeypatch):
    monkeypatch.delenv("AWS_REGION", raising=False)
    with pytest.raises(InputError, match=r"AWS_REGION is not set; .* the model registry"):
        connect()
