"""What an environment needs on Bedrock before a deploy and an import, by the API's model."""

from typing import Any

import pytest
from pydantic import ValidationError

from sashiko.doctor.check_result import Check, run_check
from sashiko_packs.bedrock.doctor import check_bedrock
from sashiko_packs.bedrock.settings import BedrockSection
from tests.infra.variants import settings_of
from tests.unit.account.fake_account import FakeAccount


def section(*models: str) -> BedrockSection:
    return BedrockSection(enabled=True, guardrail_difference=0.02, models=models)


def test_models_of_the_region_are_taken():
    models = ("amazon.nova-micro-v1:0", "meta.llama3-8b-instruct-v1:0")
    assert section(*models).models == models


@pytest.mark.parametrize("geography", ["us", "eu", "apac", "global"])
def test_a_profile_that_leaves_the_region_is_refused_with_the_models_own_name(geography):
    with pytest.raises(ValidationError, match=r"name the model itself, amazon\.nova-micro-v1:0"):
        section(f"{geography}.amazon.nova-micro-v1:0")


def test_a_model_is_named_once():
    with pytest.raises(ValidationError, match="a model is named twice"):
        section("a.b", "a.b")


SERVING = settings_of("serving")
MODEL = SERVING.bedrock.models[0]
AVAILABLE = {
    "modelId": MODEL,
    "agreementAvailability": {"status": "AVAILABLE"},
    "authorizationStatus": "AUTHORIZED",
    "entitlementAvailability": "AVAILABLE",
    "regionAvailability": "AVAILABLE",
}


def quota(name: str, value: float) -> dict[str, Any]:
    return {"QuotaName": name, "QuotaCode": "L-45B04988", "Value": value}


def guardrail(name: str) -> dict[str, Any]:
    arn = "arn:aws:bedrock:us-east-1:111122223333:guardrail/g1"
    times = {"createdAt": 0, "updatedAt": 0}
    return {"id": "g1", "arn": arn, "status": "READY", "name": name, "version": "DRAFT"} | times


def imported(number: int) -> dict[str, Any]:
    arn = f"arn:aws:bedrock:us-east-1:111122223333:imported-model/{number:012d}"
    return {"modelArn": arn, "modelName": f"m{number}", "creationTime": 0}


def checks(settings: Any = SERVING, **answers: Any) -> dict[str, Check]:
    listed = {
        "Quotas": [quota("Imported models per account", 3), quota("Guardrails per account", 2)]
    }
    given: dict[str, Any] = {
        "get_foundation_model_availability": AVAILABLE,
        "get_model_invocation_logging_configuration": {},
        "list_guardrails": {"guardrails": []},
        "list_imported_models": {"modelSummaries": [imported(1)]},
        "list_service_quotas": listed,
        "list_aws_default_service_quotas": {"Quotas": []},
    } | answers
    account = FakeAccount(
        {
            ("service-quotas" if "quotas" in name else "bedrock", name): answer
            for name, answer in given.items()
        }
    )
    return {
        check.name: check
        for check in run_check("Bedrock", lambda: check_bedrock(account, settings))
    }


def test_all_that_is_there_is_ok():
    by_name = checks()
    assert {check.status for check in by_name.values()} == {"ok"}
    assert by_name["quota: Imported models per account"].detail == "3, 1 are there"
    assert by_name["Custom Model Import"].detail.startswith("us-east-1 has it: ")


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


def test_a_log_without_texts_is_no_copy():
    logging = {"loggingConfig": LOG_GROUP | {"textDataDeliveryEnabled": False}}
    check = checks(get_model_invocation_logging_configuration=logging)["Bedrock's invocation log"]
    assert check.status == "ok"


def test_an_environment_without_bedrock_asks_nothing():
    account = FakeAccount({})
    (check,) = check_bedrock(account, settings_of("dev"))
    assert (check.status, check.detail) == ("ok", "not used: `bedrock.enabled` is false")


def test_a_region_without_imports_fails_with_those_that_have_it_and_the_day():
    check = checks(SERVING.model_copy(update={"region": "eu-west-1"}))["Custom Model Import"]
    assert check.status == "failed"
    assert "us-west-2 as of 20" in check.detail


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"authorizationStatus": "NOT_AUTHORIZED"}, "authorizationStatus NOT_AUTHORIZED"),
        ({"regionAvailability": "NOT_AVAILABLE"}, "regionAvailability NOT_AVAILABLE"),
        ({"agreementAvailability": {"status": "PENDING"}}, "agreement PENDING"),
    ],
)
def test_a_model_that_is_not_agreed_to_or_not_there_fails(change, words):
    check = checks(get_foundation_model_availability=AVAILABLE | change)[f"access to {MODEL}"]
    assert (check.status, check.detail) == ("failed", words)
    assert "agree to the model's terms" in check.fix


def test_a_model_that_bedrock_does_not_know_is_a_wrong_setting():
    answer = "ResourceNotFoundException"
    check = checks(get_foundation_model_availability=answer)[f"access to {MODEL}"]
    assert check.status == "failed"
    assert "correct `bedrock.models`" in check.fix


def test_full_quotas_stop_a_deploy_for_the_guardrail_and_are_a_note_for_imports():
    by_name = checks(
        list_guardrails={"guardrails": [guardrail("one"), guardrail("two")]},
        list_imported_models={"modelSummaries": [imported(number) for number in range(3)]},
    )
    assert by_name["quota: Guardrails per account"].status == "failed"
    models = by_name["quota: Imported models per account"]
    assert models.status == "note"
    assert "--quota-code L-45B04988 --desired-value 4" in models.fix


def test_the_own_guardrail_needs_no_room():
    by_name = checks(
        list_guardrails={"guardrails": [guardrail("one"), guardrail("sashiko-dev-models")]}
    )
    assert by_name["quota: Guardrails per account"].status == "ok"


def test_all_pages_are_counted():
    def page(request: Any) -> dict[str, Any]:
        number = int(request.get("nextToken", "0"))
        more = {"nextToken": str(number + 1)} if number < 2 else {}
        return {"modelSummaries": [imported(number)], **more}

    check = checks(list_imported_models=page)["quota: Imported models per account"]
    assert check.detail.startswith("3, 3 are there")


def test_a_quota_that_is_not_listed_is_unknown():
    check = checks(list_service_quotas={"Quotas": []})["quota: Imported models per account"]
    assert check.status == "unknown"


def test_a_denied_request_leaves_the_check_unknown():
    by_name = checks(list_service_quotas="AccessDeniedException")
    assert by_name["Bedrock"].status == "unknown"
