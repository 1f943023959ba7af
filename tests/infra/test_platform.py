"""The platform: images that stay what they are, a key for signatures, MLflow, the budget."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sashiko.account.access.policy_evaluation import allows, denies, statements
from tests.infra.variants import (
    VARIANTS,
    as_list,
    complete_request,
    named,
    new_app,
    of_pack,
    only,
    principals_of,
    resources,
    settings_of,
    templates_of,
    who_may,
)

KEY = "AWS::KMS::Key"


@pytest.fixture(scope="session")
def platform(templates):
    """`platform("prod")` is the stack's template."""
    return lambda variant: templates(variant)["Platform"]


def _key(template, policy):
    """The id and the statement of the key whose policy has a statement of this name."""
    for logical_id, key in resources(template, KEY).items():
        for statement in key["Properties"]["KeyPolicy"]["Statement"]:
            if statement.get("Sid") == policy:
                return logical_id, statement
    raise LookupError(policy)


@pytest.mark.control("ECR.1, ECR.2")
def test_a_tag_never_moves_and_what_is_pushed_is_scanned(platform):
    properties = named(platform("prod"), "AWS::ECR::Repository", "RepositoryName")
    key, _ = _key(platform("prod"), "AlertsOfBudgets")
    assert "sashiko-prod/job" in properties
    for repository in properties.values():
        assert repository["ImageTagMutability"] == "IMMUTABLE"
        assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
        assert repository["EncryptionConfiguration"] == {
            "EncryptionType": "KMS",
            "KmsKey": {"Fn::GetAtt": [key, "Arn"]},
        }
        rules = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
        assert {rule["selection"]["tagStatus"] for rule in rules} == {"untagged", "any"}


def test_images_go_with_dev_and_stay_with_prod(platform):
    policies = {
        variant: [
            (item["DeletionPolicy"], item["Properties"].get("EmptyOnDelete", False))
            for item in resources(platform(variant), "AWS::ECR::Repository").values()
        ]
        for variant in ("dev", "prod")
    }
    assert {*policies["dev"]} == {("Delete", True)}
    assert {*policies["prod"]} == {("RetainExceptOnCreate", False)}


@pytest.mark.control("AC-5")
def test_the_registrar_alone_signs(platform):
    logical_id, deny = _key(platform("dev"), "OnlyTheRegistrarSigns")
    key = resources(platform("dev"), KEY)[logical_id]["Properties"]
    assert (key["KeySpec"], key["KeyUsage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")
    assert (deny["Effect"], deny["Action"], deny["Principal"]) == ("Deny", "kms:Sign", {"AWS": "*"})
    assert deny["Condition"] == {
        "ArnNotEquals": {
            "aws:PrincipalArn": ["arn:aws:iam::111122223333:role/sashiko-dev-registrar"]
        }
    }
    assert who_may("dev", "kms:Sign") == {"registrar"}


def test_what_is_signed_is_a_digest():
    """With the algorithm that whoever verifies expects; and nothing else is verified."""
    signed = {"kms:SigningAlgorithm": "ECDSA_SHA_256", "kms:MessageType": "DIGEST"}
    others = ({"kms:MessageType": "RAW"}, {"kms:SigningAlgorithm": "ECDSA_SHA_512"})
    for role, action in (("registrar", "kms:Sign"), ("preflight", "kms:Verify")):
        may = principals_of("dev")[role].may
        assert may(action, "*", signed)
        assert [other for other in others if may(action, "*", signed | other)] == []


def test_mlflow_registers_no_model_by_itself(platform):
    app = only(platform("dev"), "AWS::SageMaker::MlflowApp")
    assert app["ModelRegistrationMode"] == "AutoModelRegistrationDisabled"
    assert app["RoleArn"] == "arn:aws:iam::111122223333:role/sashiko-dev-mlflow"
    bucket = "sashiko-dev-artifacts-111122223333-us-east-1"
    assert app["ArtifactStoreUri"] == f"s3://{bucket}/mlflow"


def test_mlflow_is_written_by_the_registrar_and_read_by_data_scientists():
    assert who_may("dev", "sagemaker:CallMlflowAppApi") == {"registrar", "data-scientist"}
    # Its role keeps artifacts, and no more: neither data nor the registry.
    for action in ("sagemaker:CreateModelPackage", "glue:GetTable", "kms:Sign"):
        assert not principals_of("dev")["mlflow"].may(action, "*")


def test_each_recipe_has_its_group_of_models_under_a_fixed_name(platform):
    (group,) = resources(platform("prod"), "AWS::SageMaker::ModelPackageGroup").values()
    assert group["Properties"]["ModelPackageGroupName"] == "sashiko-prod-complaint-triage"
    assert group["DeletionPolicy"] == "RetainExceptOnCreate"


@pytest.mark.control("budget")
def test_the_budget_tells_the_topic_before_the_money_is_spent(platform):
    (topic,) = resources(platform("prod"), "AWS::SNS::Topic")
    alerts = only(platform("prod"), "AWS::Budgets::Budget")["NotificationsWithSubscribers"]
    assert {
        (item["Notification"]["NotificationType"], item["Notification"]["Threshold"])
        for item in alerts
    } == {("ACTUAL", 80), ("FORECASTED", 100)}
    for item in alerts:
        assert item["Subscribers"] == [{"Address": {"Ref": topic}, "SubscriptionType": "SNS"}]


def test_the_budget_covers_what_the_settings_say(platform):
    dev, prod = (only(platform(v), "AWS::Budgets::Budget")["Budget"] for v in ("dev", "prod"))
    assert dev["BudgetLimit"] == {"Amount": 200, "Unit": "USD"}
    assert "FilterExpression" not in dev  # the account's whole bill
    assert prod["BudgetLimit"] == {"Amount": 500, "Unit": "USD"}
    assert prod["FilterExpression"] == {
        "And": [
            {"Tags": {"Key": "project", "Values": ["sashiko"]}},
            {"Tags": {"Key": "environment", "Values": ["prod"]}},
        ]
    }


@pytest.mark.control("SNS.4")
def test_budgets_of_this_account_alone_publish_and_the_named_people_hear(platform):
    topic = only(platform("prod"), "AWS::SNS::Topic")
    policy = only(platform("prod"), "AWS::SNS::TopicPolicy")["PolicyDocument"]
    (allowed,) = [item for item in policy["Statement"] if item["Sid"] == "AlertsOfBudgets"]
    assert topic["Subscription"] == [{"Protocol": "email", "Endpoint": "ops@example.com"}]
    assert "Subscription" not in only(platform("dev"), "AWS::SNS::Topic")
    assert allowed["Principal"] == {"Service": "budgets.amazonaws.com"}
    assert allowed["Condition"]["StringEquals"] == {"aws:SourceAccount": "444455556666"}
    # A topic whose key the sender cannot use drops the message without a word.
    key, statement = _key(platform("prod"), "AlertsOfBudgets")
    assert topic["KmsMasterKeyId"] == {"Fn::GetAtt": [key, "Arn"]}
    assert {"kms:Decrypt", "kms:GenerateDataKey"} <= set(statement["Action"])


def test_the_accounts_environment_keeps_the_logs_of_jobs_for_a_year(platform):
    every = named(platform("prod"), "AWS::Logs::LogGroup", "LogGroupName")
    key, statement = _key(platform("prod"), "LogsOfJobs")
    groups = {name: group for name, group in every.items() if name.startswith("/aws/sagemaker/")}
    assert set(groups) == {"/aws/sagemaker/ProcessingJobs", "/aws/sagemaker/TrainingJobs"}
    assert {item["RetentionInDays"] for item in every.values()} == {365}
    assert all(item["KmsKeyId"] == {"Fn::GetAtt": [key, "Arn"]} for item in every.values())
    arns = statement["Condition"]["ArnEquals"]["kms:EncryptionContext:aws:logs:arn"]
    assert {arn.partition("log-group:")[2] for arn in arns} == set(groups)
    others = named(platform("account_off"), "AWS::Logs::LogGroup", "LogGroupName")
    assert not set(others) & set(groups)


def test_alarms_and_who_tells_of_results_alone_write_to_the_topic_too(platform):
    """EventBridge may not: nothing in its call to the key tells this account from another."""
    policy = only(platform("prod"), "AWS::SNS::TopicPolicy")["PolicyDocument"]
    allowed = {s["Sid"]: s for s in policy["Statement"] if s["Effect"] == "Allow"}
    _, statement = _key(platform("prod"), "AlertsOfAlarms")
    own_alarms = {
        "StringEquals": {"aws:SourceAccount": "444455556666"},
        "ArnLike": {
            "aws:SourceArn": "arn:aws:cloudwatch:us-east-1:444455556666:alarm:sashiko-prod-*"
        },
    }

    assert set(allowed) == {"AlertsOfBudgets", "AlertsOfAlarms"}
    for item in (allowed["AlertsOfAlarms"], statement):
        assert item["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        assert item["Condition"] == own_alarms
    assert set(statement["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}
    publishers = {"janitor", "notifier"} | of_pack("monitoring", "monitor-publisher")
    assert who_may("dev", "sns:Publish") == publishers


Template = Mapping[str, Any]
ALIAS = "alias/sashiko-prod-signing"
REGISTRAR = "arn:aws:iam::444455556666:role/sashiko-prod-registrar"
PROMOTER_OF_PROD = "arn:aws:iam::444455556666:role/sashiko-prod-promoter"
FIRST, SECOND = "SigningKey70710D41", "SigningKey2A69A3B42"


@functools.cache
def keys_alone(variant: str, *numbers: int) -> Template:
    """A stack like the keys_alone, with the keys of these `signing_keys` alone."""
    from sashiko_cdk.deployment import Deployment
    from sashiko_cdk.platform.signing_keys import SigningKeys
    from sashiko_cdk.stack import EnvironmentStack

    settings = settings_of(variant).model_copy(update={"signing_keys": numbers})
    app = new_app()
    bare = Deployment(settings=settings, environments=(), contracts=(), recipes=(), pipelines=())
    stack = EnvironmentStack(app, "Platform", bare, stateful=True, description="The keys")
    SigningKeys(stack, "Signing", settings=settings, removal_policy=stack.removal_policy)
    file = Path(app.synth().directory, "Platform.template.json")
    template: Template = json.loads(file.read_text())
    return template


def signing(template: Template) -> dict[str, Any]:
    """Logical id -> properties of the keys that can sign."""
    keys = resources(dict(template), "AWS::KMS::Key").items()
    return {name: key for name, key in keys if key["Properties"].get("KeyUsage") == "SIGN_VERIFY"}


def aliases(template: Template) -> dict[str, tuple[str, str]]:
    """Name of an alias of these keys -> its logical id, and that of its key."""
    return {
        alias["Properties"]["AliasName"]: (
            name,
            alias["Properties"]["TargetKeyId"]["Fn::GetAtt"][0],
        )
        for name, alias in resources(dict(template), "AWS::KMS::Alias").items()
        if "-signing" in alias["Properties"]["AliasName"]
    }


def may_sign(key: Any, role: str) -> bool:
    policy = statements(key["Properties"]["KeyPolicy"])
    request = complete_request("kms:Sign", "*", {"aws:principalarn": role})
    return not denies([item for item in policy if "*" in item.principals], request)


def keys_of(template: Template, role: str, action: str) -> set[str]:
    """The keys on which a role may do something, by the stack's own policies on roles."""
    return {
        resource["Fn::GetAtt"][0]
        for policy in resources(dict(template), "AWS::IAM::ManagedPolicy").values()
        if policy["Properties"]["Roles"] == [f"sashiko-prod-{role}"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_environment_keeps_the_key_and_the_alias_that_it_has(variant: str) -> None:
    """What an upgrade replaces by accident makes each version that was signed untrusted."""
    template = templates_of(variant)["Platform"]
    assert list(signing(template)) == [FIRST]
    assert list(aliases(template).values()) == [("SigningKeyAlias8ACFA49F", FIRST)]


def test_a_new_key_takes_the_alias_and_the_old_one_stays_as_it_is() -> None:
    before, after = keys_alone("prod", 1), keys_alone("prod", 1, 2)
    moved, earlier = aliases(after)[ALIAS], aliases(after)[f"{ALIAS}-1"]
    assert list(signing(after)) == [FIRST, SECOND]
    assert moved == (aliases(before)[ALIAS][0], SECOND)
    assert earlier[1] == FIRST
    old, kept = (signing(template)[FIRST] for template in (before, after))
    assert kept["DeletionPolicy"] == old["DeletionPolicy"] == "RetainExceptOnCreate"
    changed = {
        name for name in old["Properties"] if old["Properties"][name] != kept["Properties"][name]
    }
    assert changed == {"KeyPolicy"}  # CloudFormation changes it in place
    # Otherwise no alias would name the old key for a moment.
    assert earlier[0] in after["Resources"][moved[0]]["DependsOn"]


@pytest.mark.parametrize("numbers", [(1, 2), (2,), (1, 3)])
def test_nobody_signs_with_an_old_key_and_the_registrar_signs_with_the_new_one(
    numbers: tuple[int, ...],
) -> None:
    template = keys_alone("prod", *numbers)
    *earlier, current = signing(template).values()
    assert len(earlier) == numbers[-1] - 1
    for role in (REGISTRAR, "arn:aws:iam::444455556666:root"):
        assert [key for key in earlier if may_sign(key, role)] == []
    assert may_sign(current, REGISTRAR)
    for action in ("kms:Sign", "kms:DescribeKey"):  # it asks which key the alias names
        assert keys_of(template, "registrar", action) == {list(signing(template))[-1]}
    assert not may_sign(current, "arn:aws:iam::444455556666:root")


def test_the_keys_of_the_list_verify_and_a_distrusted_one_is_kept() -> None:
    assert keys_of(keys_alone("prod", 1, 2), "preflight", "kms:Verify") == {FIRST, SECOND}
    distrusting = keys_alone("prod", 2)
    assert keys_of(distrusting, "preflight", "kms:Verify") == {SECOND}
    # The key and its name stay, so that it can be read, and put on the list again.
    assert signing(distrusting).keys() == signing(keys_alone("prod", 1, 2)).keys()
    assert aliases(distrusting) == aliases(keys_alone("prod", 1, 2))


@pytest.mark.parametrize(("numbers", "expected"), [((1, 2), [True, True]), ((2,), [False, True])])
def test_the_targets_promoter_verifies_with_the_keys_of_the_list(
    numbers: tuple[int, ...], expected: list[bool]
) -> None:
    request = complete_request(
        "kms:Verify",
        "*",
        {
            "aws:principalarn": PROMOTER_OF_PROD,
            "kms:messagetype": "DIGEST",
            "kms:signingalgorithm": "ECDSA_SHA_256",
            "kms:requestalias": "alias/sashiko-dev-signing-1",
        },
    )
    shared = []
    for key in signing(keys_alone("serving", *numbers)).values():
        policy = statements(key["Properties"]["KeyPolicy"])
        of_prod = [i for i in policy if i.is_for("arn:aws:iam::444455556666:root")]
        shared.append(allows(of_prod, request))
    assert shared == expected
