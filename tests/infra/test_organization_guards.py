"""Each statement of the organization's policies denies what it is about."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from sashiko.aws.operations.access.policies import Request
from sashiko.aws.resources.names import bucket_name
from tests.infra.organization import (
    DELIVERY,
    ORGANIZATION,
    PERSON,
    accounts_of,
    denying,
    documents,
    environment_of,
    make_request,
)

HERE = "arn:aws:{}:us-east-1:111122223333:{}"
ROLE = "arn:aws:iam::111122223333:role/sashiko-dev-{}"
CDK = "arn:aws:iam::111122223333:role/cdk-sashiko-{}-role-111122223333-us-east-1"
CFN = CDK.format("cfn-exec")
OURS = {"aws:ResourceTag/project": "sashiko"}
KEY, VPC = HERE.format("kms", "key/1"), HERE.format("ec2", "vpc/vpc-1")
BUCKET = "arn:aws:s3:::sashiko-dev-raw-111122223333-us-east-1"
VERSION = HERE.format("sagemaker", "model-package/sashiko-dev-triage/3")
BUILD = HERE.format("codebuild", "project/sashiko-dev-image-build")
ROOT = "arn:aws:iam::111122223333:root"
GITHUB = "token.actions.githubusercontent.com:sub"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """What a statement denies, and what is like it and is not denied.

    Attributes:
        bad: the request that the statement denies.
        good: a request that differs in the one thing that matters; None where there is none.
    """

    bad: Request
    good: Request | None = None


def without(request: Request, *keys: str) -> Request:
    """The same request without some condition keys."""
    kept = {key: value for key, value in request.context.items() if key not in keys}
    return dataclasses.replace(request, context=kept)


def stranger(request: Request) -> Request:
    """The same by somebody who is in no organization."""
    return without(request, "aws:principalorgid")


SERVICE = {"aws:PrincipalIsAWSService": "true", "aws:SourceAccount": "999999999999"}
FOR_US = {"aws:SourceOrgID": ORGANIZATION}
CASES: Mapping[str, Case] = {
    "AccountStaysInTheOrganization": Case(bad=make_request("organizations:LeaveOrganization")),
    "NoRootUser": Case(
        bad=make_request("s3:ListAllMyBuckets", caller=ROOT),
        good=make_request(
            "s3:DeleteBucketPolicy", BUCKET, {"aws:AssumedRoot": "true"}, caller=ROOT
        ),
    ),
    "RegionsOfTheProject": Case(
        bad=make_request("sagemaker:CreateApp", region="eu-west-1"),
        good=make_request("iam:ListRoles", region="eu-west-1"),
    ),
    "TracesStay": Case(
        bad=make_request("cloudtrail:StopLogging"),
        good=make_request(
            "config:StopConfigurationRecorder",
            caller="arn:aws:iam::111122223333:role/AWSControlTowerExecution",
        ),
    ),
    "NoLastingCredentials": Case(bad=make_request("iam:CreateAccessKey", caller=CFN)),
    "NoOtherProviders": Case(
        bad=make_request("iam:CreateSAMLProvider"),
        good=make_request("iam:CreateOpenIDConnectProvider", caller=CFN),
    ),
    "NoPublicBuckets": Case(bad=make_request("s3:PutAccountPublicAccessBlock")),
    "RolesByDeploy": Case(
        bad=make_request("iam:UpdateAssumeRolePolicy", ROLE.format("training")),
        good=make_request(
            "iam:UpdateAssumeRolePolicy", "arn:aws:iam::111122223333:role/another-team"
        ),
    ),
    "KeysByDeploy": Case(
        bad=make_request("kms:ScheduleKeyDeletion", KEY, OURS),
        good=make_request("kms:ScheduleKeyDeletion", KEY, OURS, caller=CFN),
    ),
    "AliasesByDeploy": Case(
        bad=make_request("kms:UpdateAlias", HERE.format("kms", "alias/sashiko-dev-signing")),
        good=make_request("kms:UpdateAlias", HERE.format("kms", "alias/another-team")),
    ),
    "SignedByRegistrars": Case(
        bad=make_request("kms:Sign", KEY, OURS, caller=CFN),
        good=make_request("kms:Sign", KEY, OURS, caller=ROLE.format("registrar")),
    ),
    "RegisteredByRegistrars": Case(
        bad=make_request("sagemaker:CreateModelPackage", VERSION, caller=ROLE.format("training")),
        good=make_request("sagemaker:CreateModelPackage", VERSION, caller=ROLE.format("registrar")),
    ),
    "DecidedByApprovers": Case(
        bad=make_request("sagemaker:UpdateModelPackage", VERSION),
        good=make_request("sagemaker:UpdateModelPackage", VERSION, caller=ROLE.format("approver")),
    ),
    "BucketsStayClosed": Case(
        bad=make_request("s3:PutBucketPublicAccessBlock", BUCKET),
        good=make_request("s3:PutBucketPublicAccessBlock", BUCKET, caller=CFN),
    ),
    "DeploysByDeployers": Case(
        bad=make_request("sts:AssumeRole", CDK.format("deploy")),
        good=make_request("sts:AssumeRole", CDK.format("deploy"), caller=ROLE.format("deployer")),
    ),
    "ComparesByDelivery": Case(
        bad=make_request("sts:AssumeRole", CDK.format("lookup"), caller=ROLE.format("deployer")),
        good=make_request(
            "sts:AssumeRole", CDK.format("lookup"), caller=ROLE.format("github-reader")
        ),
    ),
    "CloudFormationByDeploy": Case(
        bad=make_request("iam:PassRole", CFN, caller=ROLE.format("deployer")),
        good=make_request("iam:PassRole", CFN, caller=CDK.format("deploy")),
    ),
    "ObjectsByReaders": Case(
        bad=make_request("s3:GetObject", f"{BUCKET}/x"),
        good=make_request("s3:GetObject", f"{BUCKET}/x", caller=ROLE.format("break-glass")),
    ),
    "BuildsByTheirStarters": Case(
        bad=make_request("codebuild:StartBuild", BUILD),
        good=make_request("codebuild:StartBuild", BUILD, caller=ROLE.format("image-build-starter")),
    ),
    "NoLogsByLookup": Case(
        bad=make_request("logs:GetLogEvents", caller=CDK.format("lookup")),
        good=make_request("logs:DescribeLogGroups", caller=CDK.format("lookup")),
    ),
    "NoWayOut": Case(
        bad=make_request("ec2:AttachInternetGateway", VPC, OURS, caller=CFN),
        good=make_request("ec2:AttachInternetGateway", VPC),
    ),
    "LakeByDeploy": Case(
        bad=make_request("lakeformation:GrantPermissions"),
        good=make_request("lakeformation:PutDataLakeSettings", caller=ROLE.format("lake-settings")),
    ),
    "OrganizationAlone": Case(
        bad=stranger(make_request("sts:AssumeRole", ROLE.format("approver"))),
        good=make_request("s3:ListBucket", BUCKET),
    ),
    "ServicesForTheOrganizationAlone": Case(
        bad=stranger(make_request("s3:PutObject", f"{BUCKET}/x", SERVICE)),
        good=stranger(make_request("s3:PutObject", f"{BUCKET}/x", SERVICE | FOR_US)),
    ),
    "TlsAlone": Case(
        bad=make_request("s3:ListBucket", BUCKET, {"aws:SecureTransport": "false"}),
    ),
    "NoFederation": Case(
        bad=stranger(make_request("sts:AssumeRoleWithSAML", ROLE.format("approver"))),
        good=stranger(
            make_request("sts:AssumeRoleWithSAML", "arn:aws:iam::111122223333:role/aws-reserved/x")
        ),
    ),
    "OurRepositoryAlone": Case(
        bad=stranger(
            make_request(
                "sts:AssumeRoleWithWebIdentity",
                ROLE.format("github-deployer"),
                {GITHUB: "repo:acme@1234/another@99:environment:dev"},
            )
        ),
        good=stranger(
            make_request(
                "sts:AssumeRoleWithWebIdentity",
                ROLE.format("github-deployer"),
                {GITHUB: "repo:acme@1234/churn@567890:environment:dev"},
            )
        ),
    ),
}


@pytest.mark.parametrize("sid", CASES)
def test_a_statement_denies_its_bad_case_alone(sid: str) -> None:
    for kind in ("scp", "rcp"):
        denied = denying("serving", CASES[sid].bad, kind=kind)
        assert denied == ({sid} if sid in _sids(kind) else set())


@pytest.mark.parametrize("sid", [sid for sid, case in CASES.items() if case.good])
def test_a_statement_lets_through_what_is_like_its_bad_case(sid: str) -> None:
    good: Any = CASES[sid].good
    assert denying("serving", good) == set()
    assert denying("serving", good, kind="rcp") == set()


def test_each_statement_has_its_case_here_or_among_the_jobs() -> None:
    from tests.infra.test_organization_jobs import CASES as JOBS

    assert _sids("scp") | _sids("rcp") == CASES.keys() | JOBS.keys()


def _sids(kind: str) -> set[str]:
    return {
        statement["Sid"]
        for name, document in documents("serving").items()
        if name.startswith(kind)
        for statement in document["Statement"]
    }


def test_a_member_of_another_organization_is_a_stranger() -> None:
    other = {"aws:PrincipalOrgID": "o-another0000"}
    request = make_request("s3:ListBucket", BUCKET, other)
    assert denying("serving", request, kind="rcp") == {"OrganizationAlone"}


def test_a_token_of_another_provider_gets_no_role() -> None:
    request = make_request("sts:AssumeRoleWithWebIdentity", ROLE.format("github-deployer"))
    assert denying("serving", stranger(request), kind="rcp") == {"OurRepositoryAlone"}


def test_where_github_delivers_nothing_no_token_gets_a_role() -> None:
    token = {GITHUB: "repo:acme@1234/churn@567890:environment:dev"}
    request = make_request("sts:AssumeRoleWithWebIdentity", ROLE.format("deployer"), token)
    assert denying("iam_only", stranger(request), kind="rcp") == {"NoFederation"}


def test_a_promoter_signs_where_versions_are_taken_and_nowhere_else() -> None:
    for variant, name, denied in (
        ("serving", "arn:aws:iam::111122223333:role/sashiko-dev-promoter", {"SignedByRegistrars"}),
        ("serving_prod", "arn:aws:iam::444455556666:role/sashiko-prod-promoter", set()),
    ):
        assert denying(variant, make_request("kms:Sign", KEY, OURS, caller=name)) == denied


def test_a_lake_that_somebody_else_governs_is_left_to_them() -> None:
    assert denying("iam_only", make_request("lakeformation:GrantPermissions")) == set()
    assert "scp-lake" not in documents("iam_only")


@pytest.mark.parametrize("variant", ["serving", "serving_prod", "delivery"])
@pytest.mark.parametrize("part", ["deploy", "file-publishing", "image-publishing", "lookup"])
def test_who_may_assume_every_role_does_not_deploy(variant: str, part: str) -> None:
    """The bootstrap's roles trust their account as a whole."""
    for place in accounts_of(variant).places:
        name = f"cdk-sashiko-{part}-role-{place.account}-{place.region}"
        role = f"arn:aws:iam::{place.account}:role/{name}"
        for caller in (PERSON, place.role_arn("data-scientist")):
            sids = denying(variant, make_request("sts:AssumeRole", role, caller=caller))
            assert sids == {"ComparesByDelivery" if part == "lookup" else "DeploysByDeployers"}


def test_who_administers_the_tools_account_starts_no_deploy() -> None:
    """A build that is started with other variables and another source deploys what it is given."""
    accounts = accounts_of(DELIVERY)
    assert accounts.tools
    place = f"arn:aws:codebuild:us-east-1:{accounts.tools.account}:project/sashiko-delivery"

    def denied(name: str, action: str = "StartBuild") -> bool:
        caller = f"arn:aws:iam::{accounts.tools.account}:role/{name}"
        request = make_request(f"codebuild:{action}", f"{place}-prod-deploy", caller=caller)
        return "BuildsByTheirStarters" in denying(DELIVERY, request)

    assert denied("Administrator") and denied("Administrator", "RetryBuild")
    assert not denied("sashiko-delivery-pipeline")


@pytest.mark.parametrize("variant", ["serving", "serving_prod"])
@pytest.mark.parametrize("bucket", ["raw", "curated", "snapshots", "capture"])
def test_an_administrator_reads_no_object_and_those_read_whom_the_templates_let(
    variant: str, bucket: str
) -> None:
    environment = environment_of(variant)
    settings = environment.settings
    objects = f"arn:aws:s3:::{bucket_name(settings, bucket)}/*"
    for action in ("s3:GetObject", "s3:GetObjectVersion"):
        assert denying(variant, make_request(action, objects)) == {"ObjectsByReaders"}
        readers = [role for role in environment.principals if role.may(action, objects)]
        assert readers or action == "s3:GetObjectVersion"
        for role in readers:
            assert denying(variant, make_request(action, objects, caller=role.arn)) == set()


def test_an_access_point_is_no_other_way_to_the_objects() -> None:
    point = HERE.format("s3", "accesspoint/mine/object/x")
    assert denying("serving", make_request("s3:GetObject", point)) == {"ObjectsByReaders"}


def test_each_reader_that_is_let_through_reads_something() -> None:
    """A name in the exception that reads nothing would be one for somebody else to take."""
    (statement,) = (
        item
        for item in documents("serving")["scp-access"]["Statement"]
        if item["Sid"] == "ObjectsByReaders"
    )
    environment = environment_of("serving")
    assert set(statement["Condition"]["ArnNotLike"]["aws:PrincipalArn"]) == {
        role.arn
        for role in environment.principals
        for bucket in ("raw", "curated", "snapshots", "capture")
        if role.may("s3:GetObject", f"arn:aws:s3:::{bucket_name(environment.settings, bucket)}/*")
    }


def test_a_way_out_is_denied_in_a_subnet_as_in_the_vpc() -> None:
    """A zonal NAT gateway names a subnet, a regional one the VPC."""
    subnet = HERE.format("ec2", "subnet/subnet-1")
    request = make_request("ec2:CreateNatGateway", subnet, OURS)
    assert denying("serving", request) == {"NoWayOut"}


def test_bedrock_subscribes_to_a_model_wherever_the_marketplace_is() -> None:
    request = make_request("aws-marketplace:Subscribe", region="us-west-2")
    assert denying("serving", request) == set()


def test_whoever_administers_the_account_changes_nothing_that_grants_refer_to() -> None:
    """A pii column under another tag is open without a grant; to revoke stays possible."""
    boundary = environment_of("serving").principals[0].boundary
    assert boundary
    governing = {
        action
        for item in boundary
        if item.effect == "Deny" and len(item.actions) > 1
        for action in item.actions
        if action.startswith("lakeformation:") and "Revoke" not in action
    }
    assert {
        "lakeformation:AddLFTagsToResource",
        "lakeformation:DeregisterResource",
        "lakeformation:RemoveLFTagsFromResource",
        "lakeformation:UpdateDataCellsFilter",
        "lakeformation:UpdateLFTag",
    } <= governing
    for action in governing:
        assert denying("serving", make_request(action)) == {"LakeByDeploy"}


def test_what_no_role_may_stop_nobody_may() -> None:
    """The boundary of the roles denies it inside the account, the policy to everybody."""
    boundary = environment_of("serving").principals[0].boundary
    assert boundary
    watching = {
        action
        for item in boundary
        if item.effect == "Deny"
        for action in item.actions
        if action.startswith(("cloudtrail:", "config:", "guardduty:"))
    }
    assert len(watching) > 5
    for action in watching:
        assert denying("serving", make_request(action)) == {"TracesStay"}
