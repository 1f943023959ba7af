"""`sashiko audit` of Bedrock: whatever is otherwise than the templates and the registry say."""

from pathlib import Path
from typing import Any

import pytest

from sashiko.aws.operations.audit.bedrock import bedrock
from sashiko.aws.operations.audit.difference import Difference
from tests.unit.aws.operations.recorded_answers import Refusal, ScriptedAws
from tests.unit.aws.small_lake import SmallLake

PLACE = "arn:aws:bedrock:us-east-1:111122223333"
GUARDRAIL, PROFILE = "sashiko-dev-models", "sashiko-dev-nova"
MODEL, JOB = f"{PLACE}:imported-model/000000000001", f"{PLACE}:model-import-job/000000000001"
KEY = "arn:aws:kms:us-east-1:111122223333:key/k1"
PACKAGE = "arn:aws:sagemaker:us-east-1:111122223333:model-package/sashiko-dev-triage/3"
FILTERS = [{"type": "PROMPT_ATTACK", "inputStrength": "HIGH", "outputStrength": "NONE"}]
ENTITIES = [{"type": "EMAIL", "action": "ANONYMIZE", "inputAction": "NONE",
             "outputAction": "ANONYMIZE"}]  # fmt: skip
TAGS = {
    MODEL: {"model-package": PACKAGE, "manifest-sha256": "ab" * 32},
    f"{PLACE}:application-inference-profile/p1": {"project": "sashiko", "environment": "dev"},
}


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


def guardrail(version: str, name: str = GUARDRAIL) -> dict[str, Any]:
    times = {"createdAt": 0, "updatedAt": 0}
    arn = f"{PLACE}:guardrail/g1"
    return {"id": "g1", "arn": arn, "status": "READY", "name": name, "version": version} | times


def listed(*versions: str) -> Any:
    def answer(request: Any) -> dict[str, Any]:
        shown = versions if "guardrailIdentifier" in request else versions[:1]
        return {"guardrails": [guardrail(version) for version in shown]}

    return answer


def rules(**changes: Any) -> dict[str, Any]:
    return {
        "name": GUARDRAIL,
        "guardrailId": "g1",
        "guardrailArn": f"{PLACE}:guardrail/g1",
        "version": "2",
        "status": "READY",
        "createdAt": 0,
        "updatedAt": 0,
        "blockedInputMessaging": "no",
        "blockedOutputsMessaging": "no",
        "contentPolicy": {"filters": FILTERS},
        "sensitiveInformationPolicy": {"piiEntities": ENTITIES},
    } | changes


def package(**changes: Any) -> dict[str, Any]:
    return {
        "ModelPackageName": "p",
        "ModelPackageArn": PACKAGE,
        "CreationTime": 0,
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": []},
        "ModelApprovalStatus": "Approved",
        "CustomerMetadataProperties": {"manifest_sha256": "ab" * 32},
    } | changes


def job(**changes: Any) -> dict[str, Any]:
    return {"roleArn": "arn:aws:iam::111122223333:role/sashiko-dev-bedrock-import"} | changes


@pytest.fixture
def audit(tmp_path: Path) -> Any:
    """Audits templates with a guardrail and a profile; keywords replace the expected answers."""
    lake = SmallLake()
    lake.add(
        "Rules",
        "AWS::Bedrock::Guardrail",
        Name=GUARDRAIL,
        ContentPolicyConfig={
            "FiltersConfig": [
                {"Type": "PROMPT_ATTACK", "InputStrength": "HIGH", "OutputStrength": "NONE"}
            ]
        },
        SensitiveInformationPolicyConfig={
            "PiiEntitiesConfig": [
                {"Type": "EMAIL", "Action": "ANONYMIZE", "InputAction": "NONE",
                 "OutputAction": "ANONYMIZE"}
            ]
        },
    )  # fmt: skip
    lake.add(
        "Profile",
        "AWS::Bedrock::ApplicationInferenceProfile",
        InferenceProfileName=PROFILE,
        Tags=[{"Key": "project", "Value": "sashiko"}, {"Key": "environment", "Value": "dev"}],
    )
    environment = lake.read(tmp_path)

    def run(**changes: Any) -> list[Difference]:
        tags = changes.pop("tags", {})
        answers: dict[str, Any] = {
            "ListGuardrails": listed("DRAFT", "1", "2"),
            "GetGuardrail": rules(),
            "ListInferenceProfiles": {"inferenceProfileSummaries": [profile()]},
            "ListTagsForResource": lambda request: {
                "tags": [
                    {"key": key, "value": value}
                    for key, value in (TAGS | tags)[request["resourceARN"]].items()
                ]
            },
            "ListImportedModels": {
                "modelSummaries": [
                    {"modelArn": MODEL, "modelName": "sashiko-dev-triage-v3", "creationTime": 0}
                ]
            },
            "GetImportedModel": {
                "modelArn": MODEL,
                "modelName": "sashiko-dev-triage-v3",
                "jobArn": JOB,
                "modelKmsKeyArn": KEY,
            },
            "GetModelImportJob": job(),
            "DescribeModelPackage": package(),
            "DescribeKey": {"KeyMetadata": {"KeyId": "k1", "Arn": KEY}},
        }
        return list(bedrock(ScriptedAws(answers | changes).account(), environment))

    return run


def profile(name: str = PROFILE) -> dict[str, Any]:
    arn = f"{PLACE}:application-inference-profile/p1"
    return {
        "inferenceProfileName": name,
        "inferenceProfileArn": arn,
        "inferenceProfileId": "p1",
        "models": [
            {"modelArn": "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-micro-v1:0"}
        ],
        "status": "ACTIVE",
        "type": "APPLICATION",
    }


def test_the_declared_state_is_no_difference(audit: Any) -> None:
    assert audit() == []


def test_an_environment_without_bedrock_makes_no_request(tmp_path: Path) -> None:
    environment = SmallLake().read(tmp_path)
    assert list(bedrock(ScriptedAws({}).account(), environment)) == []


@pytest.mark.parametrize(
    ("changes", "kind", "resource"),
    [
        ({"ListGuardrails": listed()}, "missing", f"guardrail {GUARDRAIL}"),
        ({"ListGuardrails": listed("DRAFT")}, "missing", f"version of guardrail {GUARDRAIL}"),
        (
            {"ListInferenceProfiles": {"inferenceProfileSummaries": [profile("other")]}},
            "missing",
            f"inference profile {PROFILE}",
        ),
        (
            {"GetImportedModel": {"modelArn": MODEL, "modelName": "m", "jobArn": JOB,
                                  "modelKmsKeyArn": f"{KEY}2"}},
            "differs",
            "key of imported model m",
        ),
        (
            {"GetModelImportJob": job(roleArn="arn:aws:iam::111122223333:role/other")},
            "differs",
            "role of imported model sashiko-dev-triage-v3",
        ),
    ],
)  # fmt: skip
def test_what_is_gone_or_of_others_is_a_difference(
    audit: Any, changes: dict[str, Any], kind: str, resource: str
) -> None:
    (difference,) = audit(**changes)
    assert (difference.kind, difference.resource) == (kind, resource)
    assert difference.fix


def test_a_version_with_other_rules_is_reported_with_both(audit: Any) -> None:
    """Somebody has weakened the draft and made a version of it by hand."""
    weak = [{**FILTERS[0], "inputStrength": "LOW"}]
    (difference,) = audit(GetGuardrail=rules(contentPolicy={"filters": weak}))
    assert difference.resource == f"filters of guardrail {GUARDRAIL}, version 2"
    assert difference.detail == "expected PROMPT_ATTACK HIGH NONE, found PROMPT_ATTACK LOW NONE"


def test_a_profile_off_the_bill_is_reported_with_the_call_that_tags_it(audit: Any) -> None:
    arn = f"{PLACE}:application-inference-profile/p1"
    (difference,) = audit(tags={arn: {"project": "sashiko"}})
    assert difference.resource == f"tags of inference profile {PROFILE}"
    assert difference.fix.endswith(f"--resource-arn {arn} --tags key=environment,value=dev")


@pytest.mark.parametrize("status", ["Rejected", "PendingManualApproval"])
def test_an_imported_model_whose_version_is_not_approved_is_extra(audit: Any, status: str) -> None:
    (difference,) = audit(DescribeModelPackage=package(ModelApprovalStatus=status))
    assert (difference.kind, difference.detail) == (
        "extra",
        f"its version is {status}, not Approved",
    )
    assert difference.fix == f"aws bedrock delete-imported-model --model-identifier {MODEL}"


@pytest.mark.parametrize(
    "changes",
    [
        {"DescribeModelPackage": Refusal("ValidationException", "does not exist")},
        {"DescribeModelPackage": package(CustomerMetadataProperties={"manifest_sha256": "cd"})},
        {"tags": {MODEL: {}}},
    ],
)
def test_an_imported_model_of_no_version_is_extra(audit: Any, changes: dict[str, Any]) -> None:
    (difference,) = audit(**changes)
    assert difference.kind == "extra"
    assert "of no registered version" in difference.detail
