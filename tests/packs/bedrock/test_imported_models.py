"""`sashiko env drift` of the models that Bedrock has imported: each is an approved version."""

from pathlib import Path
from typing import Any

import pytest

from sashiko.account.access.live import Difference
from sashiko_packs.bedrock.doctor import compare_models
from tests.unit.account.fake_account import Refusal, ScriptedAws
from tests.unit.account.small_lake import SmallLake

PLACE = "arn:aws:bedrock:us-east-1:111122223333"
MODEL, JOB = f"{PLACE}:imported-model/000000000001", f"{PLACE}:model-import-job/000000000001"
KEY = "arn:aws:kms:us-east-1:111122223333:key/k1"
PACKAGE = "arn:aws:sagemaker:us-east-1:111122223333:model-package/sashiko-dev-triage/3"
TAGS = {"model-package": PACKAGE, "manifest-sha256": "ab" * 32}


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
    """Audits templates with a guardrail; keywords replace the expected answers."""
    lake = SmallLake()
    lake.add("Rules", "AWS::Bedrock::Guardrail", Name="sashiko-dev-models")
    environment = lake.read(tmp_path)

    def run(**changes: Any) -> list[Difference]:
        tags = changes.pop("tags", TAGS)
        named = {"modelArn": MODEL, "modelName": "sashiko-dev-triage-v3"}
        pairs = [{"key": key, "value": value} for key, value in tags.items()]
        answers: dict[str, Any] = {
            "ListTagsForResource": {"tags": pairs},
            "ListImportedModels": {"modelSummaries": [{**named, "creationTime": 0}]},
            "GetImportedModel": {**named, "jobArn": JOB, "modelKmsKeyArn": KEY},
            "GetModelImportJob": job(),
            "DescribeModelPackage": package(),
            "DescribeKey": {"KeyMetadata": {"KeyId": "k1", "Arn": KEY}},
        }
        return list(compare_models(ScriptedAws(answers | changes).account(), environment))

    return run


def test_the_declared_state_is_no_difference(audit: Any) -> None:
    assert audit() == []


def test_an_environment_without_bedrock_makes_no_request(tmp_path: Path) -> None:
    environment = SmallLake().read(tmp_path)
    assert list(compare_models(ScriptedAws({}).account(), environment)) == []


@pytest.mark.parametrize(
    ("changes", "resource"),
    [
        (
            {"GetImportedModel": {"modelArn": MODEL, "modelName": "m", "jobArn": JOB,
                                  "modelKmsKeyArn": f"{KEY}2"}},
            "key of imported model m",
        ),
        (
            {"GetModelImportJob": job(roleArn="arn:aws:iam::111122223333:role/other")},
            "role of imported model sashiko-dev-triage-v3",
        ),
    ],
)  # fmt: skip
def test_an_import_under_another_key_or_role_is_a_difference(
    audit: Any, changes: dict[str, Any], resource: str
) -> None:
    (difference,) = audit(**changes)
    assert (difference.kind, difference.resource) == ("differs", resource)
    assert difference.fix


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
        {"tags": {}},
    ],
)
def test_an_imported_model_of_no_version_is_extra(audit: Any, changes: dict[str, Any]) -> None:
    (difference,) = audit(**changes)
    assert difference.kind == "extra"
    assert "has no registered version" in difference.detail
