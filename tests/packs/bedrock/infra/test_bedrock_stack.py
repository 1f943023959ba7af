"""The stack `Bedrock`: a guardrail with a version, a key, and who may import, read and invoke."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from sashiko.doctor.services import Check, run_check
from sashiko_packs.bedrock.doctor import check_bedrock
from sashiko_packs.bedrock.model_import import IMPORTED_BY
from sashiko_packs.bedrock.settings import BedrockSection
from tests.infra.variants import as_list, resources, settings_of, some, templates_of
from tests.unit.account.fake_account import FakeAccount

MODEL = "arn:aws:bedrock:us-east-1:111122223333:imported-model/*"
Statement = dict[str, Any]


@pytest.fixture(scope="module")
def stack():
    return templates_of("serving")["Bedrock"]


def statements(stack: dict[str, Any], role: str) -> list[Statement]:
    return [
        statement
        for policy in resources(stack, "AWS::IAM::ManagedPolicy").values()
        if policy["Properties"]["Roles"] == [f"sashiko-dev-{role}"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]


def allowing(stack: dict[str, Any], role: str, action: str) -> list[Statement]:
    return [item for item in statements(stack, role) if action in as_list(item["Action"])]


def test_an_environment_that_does_not_ask_for_it_has_none_of_it():
    templates = templates_of("dev")
    assert "Bedrock" not in templates
    assert "AWS::Bedrock" not in json.dumps(templates)
    assert "/bedrock/*" not in json.dumps(templates["DataLake"])


def test_prompt_attacks_are_blocked_and_a_complaints_personal_data_are_left_as_judged(stack):
    (guardrail,) = some(stack, "AWS::Bedrock::Guardrail").values()
    rules = guardrail["Properties"]
    assert rules["ContentPolicyConfig"]["FiltersConfig"] == [
        {"Type": "PROMPT_ATTACK", "InputStrength": "HIGH", "OutputStrength": "NONE"}
    ]
    entities = rules["SensitiveInformationPolicyConfig"]["PiiEntitiesConfig"]
    assert {"EMAIL", "NAME", "PHONE"} <= {item["Type"] for item in entities}
    assert {(item["InputAction"], item["OutputAction"]) for item in entities} == {
        ("NONE", "ANONYMIZE")
    }


def test_the_guardrail_is_numbered_and_models_are_named(stack):
    ((name, version),) = some(stack, "AWS::Bedrock::GuardrailVersion").items()
    ((guardrail, _),) = resources(stack, "AWS::Bedrock::Guardrail").items()
    assert version["Properties"]["GuardrailIdentifier"] == {
        "Fn::GetAtt": [guardrail, "GuardrailId"]
    }
    assert stack["Outputs"]["GuardrailVersion"]["Value"] == {"Fn::GetAtt": [name, "Version"]}

    (statement,) = [
        item
        for item in allowing(stack, "data-scientist", "bedrock:InvokeModel")
        if MODEL not in as_list(item["Resource"])
    ]
    named = as_list(statement["Resource"])
    assert named == ["arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-micro-v1:0"]


def test_an_imported_model_is_invoked_through_the_guardrail_alone(stack):
    everybody = [
        statement
        for policy in some(stack, "AWS::IAM::ManagedPolicy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "bedrock:InvokeModel" in as_list(statement["Action"])
        and MODEL in as_list(statement["Resource"])
    ]
    (statement,) = everybody
    assert statement in statements(stack, "data-scientist")
    (through,) = statement["Condition"]["ArnLike"].items()
    assert through[0] == "bedrock:GuardrailIdentifier"
    assert statement["Condition"]["StringEquals"] == {
        "aws:ResourceTag/project": "sashiko",
        "aws:ResourceTag/environment": "dev",
    }


def test_bedrock_reads_what_is_uploaded_for_it_and_nothing_else(stack):
    own = statements(stack, "bedrock-import")
    assert {action for item in own for action in as_list(item["Action"])} == {
        "kms:Decrypt",
        "s3:GetObject",
        "s3:ListBucket",
    }
    (reads,) = allowing(stack, "bedrock-import", "s3:GetObject")
    assert reads["Resource"].endswith("-artifacts-111122223333-us-east-1/bedrock/*")
    identity = templates_of("serving")["Identity"]
    (role,) = [
        item["Properties"]
        for item in some(identity, "AWS::IAM::Role").values()
        if item["Properties"]["RoleName"] == "sashiko-dev-bedrock-import"
    ]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "bedrock.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "111122223333"},
        "ArnLike": {"aws:SourceArn": "arn:aws:bedrock:us-east-1:111122223333:model-import-job/*"},
    }


def test_who_imports_verifies_signatures_and_hands_bedrock_its_own_role_alone(stack):
    (passing,) = allowing(stack, IMPORTED_BY, "iam:PassRole")
    assert passing["Resource"] == "arn:aws:iam::111122223333:role/sashiko-dev-bedrock-import"
    assert passing["Condition"] == {
        "StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}
    }
    (verifying,) = allowing(stack, IMPORTED_BY, "kms:Verify")
    conditions = verifying["Condition"]["StringLike"]
    alias = "alias/sashiko-dev-signing"
    assert conditions["kms:RequestAlias"] == [alias, f"{alias}-*"]
    writes = allowing(stack, IMPORTED_BY, "s3:PutObject")
    assert [item["Resource"].rpartition("-us-east-1/")[2] for item in writes] == ["bedrock/*"]
    (deleting,) = allowing(stack, IMPORTED_BY, "bedrock:DeleteImportedModel")
    assert deleting["Condition"]["StringEquals"]["aws:ResourceTag/environment"] == "dev"


def test_nobody_else_writes_there_and_nothing_is_written_over():
    lake = templates_of("serving")["DataLake"]
    denials = [
        statement["Condition"]
        for policy in some(lake, "AWS::S3::BucketPolicy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
        and statement["Action"] == "s3:PutObject"
        and "/bedrock/*" in json.dumps(statement["Resource"])
    ]
    writer = f"arn:aws:iam::111122223333:role/sashiko-dev-{IMPORTED_BY}"
    assert {"ArnNotEquals": {"aws:PrincipalArn": writer}} in [
        {"ArnNotEquals": {"aws:PrincipalArn": one}}
        for item in denials
        for one in as_list(item.get("ArnNotEquals", {}).get("aws:PrincipalArn", []))
    ]
    assert {"Null": {"s3:if-none-match": "true"}} in denials


def test_who_compares_reads_the_judged_rows_where_bedrock_is_enabled_and_nowhere_else():
    rows = {"runs/*/Prepare/test/*", "runs/*/Evaluate/predictions/*"}

    def readable(variant: str) -> set[str]:
        return {
            arn.rpartition("-us-east-1/")[2]
            for template in templates_of(variant).values()
            for item in statements(template, "data-scientist")
            if "s3:GetObject" in as_list(item["Action"])
            for arn in as_list(item["Resource"])
            if isinstance(arn, str)
        }

    assert rows <= readable("serving")
    assert not rows & readable("dev")
    stack = templates_of("serving")["Bedrock"]
    (verifying,) = allowing(stack, "data-scientist", "kms:Verify")
    conditions = verifying["Condition"]["StringLike"]
    alias = "alias/sashiko-dev-signing"
    assert conditions["kms:RequestAlias"] == [alias, f"{alias}-*"]
    assert not allowing(stack, "data-scientist", "bedrock:DeleteImportedModel")


def section(*models: str) -> BedrockSection:
    return BedrockSection(enabled=True, models=models)


@pytest.mark.parametrize("geography", ["us", "eu", "apac", "global"])
def test_a_profile_that_leaves_the_region_is_refused_with_the_models_own_name(geography):
    with pytest.raises(ValidationError, match=r"name the model itself, amazon\.nova-micro-v1:0"):
        section(f"{geography}.amazon.nova-micro-v1:0")


def test_a_model_is_named_once():
    with pytest.raises(ValidationError, match="a model is named twice"):
        section("a.b", "a.b")


SERVING = settings_of("serving")


def checks(settings: Any = SERVING, **answers: Any) -> dict[str, Check]:
    replies: dict[str, Any] = {"get_model_invocation_logging_configuration": {}} | answers
    account = FakeAccount({("bedrock", name): answer for name, answer in replies.items()})
    return {
        check.name: check
        for check in run_check("Bedrock", lambda: check_bedrock(account, settings))
    }


def test_what_is_there_or_not_asked_for_is_ok():
    by_name = checks()
    assert {check.status for check in by_name.values()} == {"ok"}
    assert by_name["Custom Model Import"].detail.startswith("us-east-1 has it: ")

    logging = {"loggingConfig": LOG_GROUP | {"textDataDeliveryEnabled": False}}
    check = checks(get_model_invocation_logging_configuration=logging)["Bedrock's invocation log"]
    assert check.status == "ok"
    account = FakeAccount({})
    (check,) = check_bedrock(account, settings_of("dev"))
    assert (check.status, check.detail) == ("ok", "not used: `bedrock.enabled` is false")


LOG_GROUP = {
    "cloudWatchConfig": {"logGroupName": "/ai", "roleArn": "arn:aws:iam::1:role/r" + 9 * "x"}
}


@pytest.mark.parametrize(
    "place",
    [
        LOG_GROUP,
        {"s3Config": {"bucketName": "ai-log"}},
        LOG_GROUP | {"textDataDeliveryEnabled": True},
    ],
)
def test_an_account_that_copies_texts_to_a_log_fails_with_the_place(place):
    check = checks(get_model_invocation_logging_configuration={"loggingConfig": place})[
        "Bedrock's invocation log"
    ]
    assert check.status == "failed"
    assert (
        "the log group /ai" if "cloudWatchConfig" in place else "the bucket ai-log"
    ) in check.detail


def test_a_region_without_imports_fails():
    check = checks(SERVING.model_copy(update={"region": "eu-west-1"}))["Custom Model Import"]
    assert check.status == "failed"
    assert "us-west-2 as of 20" in check.detail
