"""Who copies an approved version from one account to another, and that nothing else crosses."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sashiko.account.access.environment_access import Principal
from sashiko.account.access.policy_evaluation import Statement, allows, denies, statements
from sashiko.account.names import bucket_name
from tests.infra.variants import (
    as_list,
    complete_request,
    environment_of,
    principals_of,
    resources,
    settings_of,
    templates_of,
)

DEV, PROD = settings_of("serving"), settings_of("serving_prod")
PROMOTER = PROD.role_arn("promoter")
MODEL = f"{bucket_name(DEV, 'artifacts')}/models/sashiko-dev-x/0123456789abcdef/model.tar.gz"
KEY = "arn:aws:kms:us-east-1:111122223333:key/0123"
PACKAGE = "arn:aws:sagemaker:us-east-1:111122223333:model-package/sashiko-dev-complaint-triage/3"
THROUGH_S3 = {
    "kms:viaservice": "s3.us-east-1.amazonaws.com",
    "kms:encryptioncontext:aws:s3:arn": f"arn:aws:s3:::{bucket_name(DEV, 'artifacts')}",
}
DIGEST = {
    "kms:messagetype": "DIGEST",
    "kms:signingalgorithm": "ECDSA_SHA_256",
    "kms:requestalias": "alias/sashiko-dev-signing",
}
NEEDED = [
    ("sagemaker:DescribeModelPackage", PACKAGE, {}),
    ("s3:GetObject", f"arn:aws:s3:::{MODEL}", {}),
    ("kms:Decrypt", KEY, THROUGH_S3),
    ("kms:Verify", KEY, DIGEST),
]


@pytest.fixture(scope="module")
def promoter() -> Principal:
    """Prod's, as all of its templates let it act."""
    role: Principal = principals_of("serving_prod")["promoter"]
    return role


def _policies(variant: str) -> Iterator[tuple[Statement, ...]]:
    kinds = {
        "AWS::S3::BucketPolicy": "PolicyDocument",
        "AWS::KMS::Key": "KeyPolicy",
        "AWS::SageMaker::ModelPackageGroup": "ModelPackageGroupPolicy",
        "AWS::SNS::TopicPolicy": "PolicyDocument",
        "AWS::SQS::QueuePolicy": "PolicyDocument",
        "AWS::ECR::Repository": "RepositoryPolicyText",
    }
    for template in templates_of(variant).values():
        for kind, member in kinds.items():
            for resource in resources(template, kind).values():
                yield statements(_arns(resource["Properties"].get(member, {})))


def _arns(document: dict[str, Any]) -> Any:
    text = json.dumps(document)
    for template in templates_of("serving").values():
        for logical_id, bucket in resources(template, "AWS::S3::Bucket").items():
            arn = f"arn:aws:s3:::{bucket['Properties']['BucketName']}"
            text = text.replace(f'{{"Fn::GetAtt": ["{logical_id}", "Arn"]}}', f'"{arn}"')
    joined: Any = json.loads(text, object_hook=_joined)
    return joined


def _joined(value: dict[str, Any]) -> Any:
    if set(value) == {"Fn::Join"} and all(isinstance(part, str) for part in value["Fn::Join"][1]):
        return value["Fn::Join"][0].join(value["Fn::Join"][1])
    return value


def _lets_in(role: str, action: str, resource: str, context: Mapping[str, str]) -> bool:
    """Whether a policy of dev's own resources allows a role of prod's account something."""
    request = complete_request(
        action,
        resource,
        {
            "aws:principalarn": role,
            "aws:securetransport": "true",
            "s3:tlsversion": "1.3",
            **context,
        },
    )
    for policy in _policies("serving"):
        account = [i for i in policy if i.is_for("arn:aws:iam::444455556666:root")]
        public = [item for item in policy if "*" in item.principals]
        if allows(account, request) and not denies(public, request):
            return True
    return False


@pytest.mark.parametrize("call", NEEDED)
def test_both_accounts_allow_what_a_promotion_reads(promoter: Principal, call: Any) -> None:
    assert promoter.may(*call)
    assert _lets_in(PROMOTER, *call)


@pytest.mark.parametrize("call", NEEDED)
def test_nobody_else_of_the_other_account_gets_in(call: Any) -> None:
    for role in ("approver", "deployer", "registrar", "data-scientist"):
        assert not _lets_in(PROD.role_arn(role), *call), role


@pytest.mark.parametrize(
    "call",
    [
        *(
            ("s3:GetObject", f"arn:aws:s3:::{bucket_name(DEV, bucket)}/{key}", {})
            for bucket, key in (
                ("artifacts", "runs/x/Evaluate/predictions/predictions.parquet"),
                ("artifacts", "weights/x/model.safetensors"),
                ("snapshots", "training/data/x/data.parquet"),
                ("snapshots", "facets/data/x/data.parquet"),
                ("raw", "complaints/x.csv"),
                ("curated", "complaints/x.parquet"),
                ("capture", "x.jsonl"),
            )
        ),
        ("s3:PutObject", f"arn:aws:s3:::{MODEL}", {}),
        ("s3:DeleteObject", f"arn:aws:s3:::{MODEL}", {}),
        ("kms:Decrypt", KEY, {}),
        ("kms:Decrypt", KEY, THROUGH_S3 | {
            "kms:encryptioncontext:aws:s3:arn": f"arn:aws:s3:::{bucket_name(DEV, 'snapshots')}"}),
        ("kms:GenerateDataKey", KEY, THROUGH_S3),
        ("kms:Sign", KEY, DIGEST),
        ("kms:Verify", KEY, DIGEST | {"kms:requestalias": "alias/another"}),
        ("sagemaker:DescribeModelPackage", PACKAGE.replace("sashiko-dev", "another"), {}),
        ("sagemaker:UpdateModelPackage", PACKAGE, {}),
        ("sagemaker:CreateModelPackage", PACKAGE, {}),
    ],
)  # fmt: skip
def test_a_promoter_reads_registered_models_and_changes_nothing(
    promoter: Principal, call: Any
) -> None:
    request = complete_request(*call)
    assert not (promoter.within(request) and allows(promoter.policy, request))
    assert not _lets_in(PROMOTER, *call)


def test_what_is_promoted_is_signed_and_registered_as_pending_by_who_cannot_approve(
    promoter: Principal,
) -> None:
    place = "arn:aws:sagemaker:us-east-1:444455556666"
    package = f"{place}:model-package/sashiko-prod-complaint-triage"
    status = "sagemaker:ModelApprovalStatus"
    assert promoter.may("sagemaker:CreateModelPackage", package, {status: "PendingManualApproval"})
    assert not promoter.may("sagemaker:CreateModelPackage", package, {status: "Approved"})
    for action in ("UpdateModelPackage", "CreateTrainingJob", "CreateEndpoint"):
        assert not promoter.may(f"sagemaker:{action}", "*"), action
    bucket, prod = bucket_name(PROD, "artifacts"), environment_of("serving_prod")
    assert prod.object_paths(promoter, "s3:PutObject", bucket) == ("models/*",)
    assert prod.object_paths(promoter, "s3:GetObject", bucket) == ()


def test_an_earlier_key_is_verified_with_by_its_own_alias(promoter: Principal) -> None:
    """What dev's key was called before it was replaced, and what begins as that does."""
    for alias, allowed in (("signing-1", True), ("signing", True), ("signings", False)):
        context = DIGEST | {"kms:requestalias": f"alias/sashiko-dev-{alias}"}
        assert promoter.may("kms:Verify", KEY, context) == allowed, alias


def _signers(variant: str) -> set[str]:
    (deny,) = (
        item
        for policy in _policies(variant)
        for item in policy
        if item.effect == "Deny" and item.actions == ("kms:Sign",)
    )
    arns = deny.conditions["ArnNotEquals"]["aws:PrincipalArn"]
    return {arn.rpartition("-")[2] for arn in as_list(arns)}


def test_a_promoter_signs_only_where_versions_are_promoted_to() -> None:
    assert _signers("serving_prod") == {"registrar", "promoter"}
    assert _signers("serving") == _signers("prod") == {"registrar"}


@pytest.mark.parametrize("variant", ["dev", "prod"])
def test_as_it_ships_no_environment_knows_another_and_the_promoter_can_do_nothing(
    variant: str,
) -> None:
    policy = principals_of(variant)["promoter"].policy
    assert [item for item in policy if item.effect == "Allow"] == []
    other = {"dev": "444455556666", "prod": "111122223333"}[variant]
    assert other not in json.dumps(templates_of(variant))
    statements_of_all = [item for policy in _policies(variant) for item in policy]
    assert not [item for item in statements_of_all if "-promoter" in str(item.conditions)]
