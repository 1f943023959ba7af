"""The organization's policies deny nothing that the project does."""

import dataclasses
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cfnlint.data import AdditionalSpecs
from cfnlint.helpers import load_resource

from sashiko.account.access.policy_evaluation import Request, covers, statements
from sashiko.account.instances import families_with_local_disk
from sashiko.account.names import (
    BootstrapRole,
    bootstrap_role_arn,
    bucket_name,
    exec_role_arn,
    prefix,
)
from sashiko.account.templates import Resource
from tests.infra.both_sides import bootstrap_role
from tests.infra.delivery import tools_of
from tests.infra.deploy_facts import HANDLERS, NOT_IN_IAM
from tests.infra.deploy_requests import OF_TOOLS, required_actions, settings, templates_in
from tests.infra.organization import (
    ORGANIZATION,
    PERSON,
    VARIANTS,
    actions_like,
    denying,
    documents,
    environment_of,
    grants,
    make_request,
)
from tests.infra.test_organization_jobs import JOBS
from tests.project_root import REPOSITORY

CDK_ROLES: tuple[BootstrapRole, ...] = ("deploy", "file-publishing", "image-publishing", "lookup")
# What these deny depends on members of the request: see the jobs below.
STARTS = {
    f"sagemaker:create{kind}"
    for kind in ("endpointconfig", "model", "processingjob", "trainingjob", "transformjob")
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_cloudformation_makes_changes_and_deletes_each_resource(variant: str) -> None:
    caller = exec_role_arn(settings(variant))
    denied = {
        (item.action, item.resource): sids
        for item in required_actions(variant)
        if item.action not in NOT_IN_IAM and item.action.lower() not in STARTS
        for request in item.requests
        if (sids := denying(variant, _by(caller, request)))
    }
    assert denied == {}


def _by(caller: str, request: Request) -> Request:
    sent = make_request(request.action, caller=caller)
    return dataclasses.replace(request, context={**sent.context, **request.context})


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_role_does_what_its_policies_allow(variant: str) -> None:
    """In doubt about a condition key that the templates do not say, it counts as denied."""
    assert _denied_roles(variant, environment_of(variant).principals) == {}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_roles_of_the_cdk_publish_look_up_and_deploy(variant: str) -> None:
    roles = [bootstrap_role(settings(variant), part) for part in CDK_ROLES]
    # The stock `deploy` may read objects of any other account, for pipelines: not the lake's.
    reading = {("deploy", f"s3:getobject{version}") for version in ("", "version")}
    assert _denied_roles(variant, roles) == {key: {"ObjectsByReaders"} for key in reading}


def _denied_roles(variant: str, roles: Any) -> dict[tuple[str, str], set[str]]:
    region = settings(variant).region
    grants_of_roles = [(role, request) for role in roles for request in grants(role, region=region)]
    assert grants_of_roles
    return {
        (role.name, request.action): sids
        for role, request in grants_of_roles
        if request.action not in STARTS
        if (sids := denying(variant, request, doubt=True))
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_strangers_are_no_part_of_what_resource_policies_and_trust_let_in(variant: str) -> None:
    allowed = list(_let_in(variant))
    assert {request.action.partition(":")[0] for request in allowed} >= {"sts", "kms", "s3"}
    denied = {
        (request.action, request.resource): sids
        for request in allowed
        if (sids := denying(variant, request, kind="rcp"))
    }
    assert denied == {}


def _let_in(variant: str) -> Iterator[Request]:
    """Requests by each principal that a policy of a resource, or a trust, allows."""
    templates = templates_in(variant)
    kinds = ("ECR::Repository", "IAM::Role", "KMS::Key", "S3::BucketPolicy", "SQS::QueuePolicy")
    for kind in kinds:
        for resource in templates.of_type(f"AWS::{kind}"):
            yield from _of_resource(variant, resource)


def _of_resource(variant: str, resource: Resource) -> Iterator[Request]:
    properties = resource.properties
    names = ("AssumeRolePolicyDocument", "KeyPolicy", "PolicyDocument", "RepositoryPolicyText")
    role = f"arn:aws:iam::{settings(variant).account}:role/{properties.get('RoleName', 'x')}"
    for name in names:
        for item in statements(properties.get(name, {})):
            for principal in item.principals if item.effect == "Allow" else ():
                for pattern in item.actions:
                    for action in actions_like(pattern):
                        target = role if action.startswith("sts:") else resource.ref
                        yield _from(variant, principal, action, target, item.conditions)


def _from(variant: str, principal: str, action: str, target: str, conditions: Any) -> Request:
    """A request as the principal makes it: a service for our account, a member, a federated one."""
    account = settings(variant).account
    if principal.endswith(".amazonaws.com"):
        service = {
            "aws:PrincipalIsAWSService": "true",
            "aws:SourceAccount": account,
            "aws:SourceOrgID": ORGANIZATION,
        }
        return stranger(make_request(action, target, service))
    if ":oidc-provider/" in principal:
        return stranger(make_request(action, target, conditions["StringEquals"]))
    owner = principal.split(":")[4] if ":" in principal else principal
    members = {place.account for place in (*tools_of().stages, tools_of().settings)}
    assert owner in members, f"{principal} is a stranger"
    return make_request(action, target, caller=f"arn:aws:iam::{owner}:role/some")


def stranger(request: Request) -> Request:
    """The same by a caller that is no member: it has no organization."""
    context = {k: v for k, v in request.context.items() if k != "aws:principalorgid"}
    return dataclasses.replace(request, context=context)


def test_whoever_bootstraps_may_make_the_cdks_own_resources() -> None:
    """Roles, policies, bucket and repository: with the person's credentials, as no stack's role."""
    place = "111122223333-us-east-1"
    resources_by_kind = {
        "AWS::IAM::Role": f"arn:aws:iam::111122223333:role/cdk-sashiko-deploy-role-{place}",
        "AWS::IAM::ManagedPolicy": "arn:aws:iam::111122223333:policy/cdk-sashiko-cap-us-east-1",
        "AWS::S3::Bucket": f"arn:aws:s3:::cdk-sashiko-assets-{place}",
        "AWS::S3::BucketPolicy": f"arn:aws:s3:::cdk-sashiko-assets-{place}",
        "AWS::ECR::Repository": "arn:aws:ecr:us-east-1:111122223333:repository/cdk-sashiko-x",
    }
    for kind, resource in resources_by_kind.items():
        for action in {action for actions in HANDLERS[kind].values() for action in actions}:
            request = make_request(action, resource, {"aws:ResourceTag/project": "sashiko"})
            assert denying("serving", request) == set(), action


def test_a_person_reads_everything_in_the_region() -> None:
    """So `doctor`, `audit` and the console see what they see without the policies."""
    reading = [
        action
        for service in ("athena", "ec2", "ecr", "glue", "iam", "kms", "lakeformation", "s3")
        for verb in ("BatchGet", "Describe", "Get", "List", "Search")
        for action in actions_like(f"{service}:{verb}*")
    ]
    assert len(reading) > 600
    assert {action for action in reading if denying("serving", make_request(action))} == set()


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        # docs/troubleshooting.md: whoever runs `make destroy`.
        ("s3:DeleteObjectVersion", "arn:aws:s3:::sashiko-dev-raw-111122223333-us-east-1/x"),
        ("s3:PutBucketLogging", "arn:aws:s3:::sashiko-dev-raw-111122223333-us-east-1"),
        ("s3:PutBucketPolicy", "arn:aws:s3:::sashiko-dev-raw-111122223333-us-east-1"),
        (
            "sagemaker:DeleteModelPackage",
            "arn:aws:sagemaker:us-east-1:111122223333:model-package/sashiko-dev-x/1",
        ),
        # The alert of break-glass: `Revoke active sessions`.
        ("iam:PutRolePolicy", "arn:aws:iam::111122223333:role/sashiko-dev-break-glass"),
        ("lakeformation:RevokePermissions", "*"),
        ("servicequotas:RequestServiceQuotaIncrease", "*"),
    ],
)
def test_what_pages_and_alerts_tell_a_person_to_do_is_not_denied(
    action: str, resource: str
) -> None:
    assert denying("serving", make_request(action, resource)) == set()


def test_global_services_work_from_every_region() -> None:
    """What deploys and roles call of a service without regions, they call in us-east-1."""
    (statement,) = (
        item for item in documents("serving")["scp-account"]["Statement"] if "NotAction" in item
    )
    taken = {item.action for variant in VARIANTS for item in required_actions(variant)}
    for variant in VARIANTS:
        for role in environment_of(variant).principals:
            taken |= {action for item in role.policy for action in item.actions}
    services = _without_regions()
    global_actions = {action for action in taken if action.partition(":")[0] in services}
    assert {action.partition(":")[0] for action in global_actions} >= {"budgets", "iam", "route53"}
    assert {
        action
        for action in global_actions
        if not any(covers(pattern, action) for pattern in statement["NotAction"])
    } == set()


def _without_regions() -> set[str]:
    from botocore.loaders import Loader

    services = Loader().load_data("endpoints")["partitions"][0]["services"]
    # Billing has no entry there: its one endpoint is global ("AWS Billing", General Reference).
    known = {name for name, facts in services.items() if facts.get("isRegionalized") is False}
    return {*known, "billing"}


HERE = "arn:aws:{}:us-east-1:111122223333:{}"
ROLE = "arn:aws:iam::111122223333:role/sashiko-dev-{}"
CDK = "arn:aws:iam::111122223333:role/cdk-sashiko-{}-role-111122223333-us-east-1"
CFN = CDK.format("cfn-exec")
OURS = {"aws:ResourceTag/project": "sashiko"}
KEY, VPC = HERE.format("kms", "key/1"), HERE.format("ec2", "vpc/vpc-1")
BUCKET = "arn:aws:s3:::sashiko-dev-raw-111122223333-us-east-1"
VERSION = HERE.format("sagemaker", "model-package/sashiko-dev-triage/3")
BUILD = HERE.format("codebuild", "project/sashiko-dev-image-build")
# Of the services that resource control policies support, those that are used ("Resource control
# policies (RCPs)", AWS Organizations User Guide).
RCP_SERVICES = {"ecr", "kms", "s3", "secretsmanager", "sqs", "sts"}
ROOT = "arn:aws:iam::111122223333:root"
GITHUB = "token.actions.githubusercontent.com:sub"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """What a statement denies, and what is like it and is not denied."""

    bad: Request  # the request that the statement denies
    # a request that differs in the one thing that matters; None where there is none
    good: Request | None = None


def of_caller(
    action: str,
    resource: str = "*",
    keys: Mapping[str, str] | None = None,
    *,
    good: str,
    bad: str = PERSON,
) -> Case:
    return Case(
        bad=make_request(action, resource, keys, caller=bad),
        good=make_request(action, resource, keys, caller=good),
    )


def of_github(subject: str) -> Request:
    call, role = "sts:AssumeRoleWithWebIdentity", ROLE.format("github-deployer")
    return stranger(make_request(call, role, {GITHUB: subject}))


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
    "KeysByDeploy": of_caller("kms:ScheduleKeyDeletion", KEY, OURS, good=CFN),
    "AliasesByDeploy": Case(
        bad=make_request("kms:UpdateAlias", HERE.format("kms", "alias/sashiko-dev-signing")),
        good=make_request("kms:UpdateAlias", HERE.format("kms", "alias/another-team")),
    ),
    "SignedByRegistrars": of_caller("kms:Sign", KEY, OURS, bad=CFN, good=ROLE.format("registrar")),
    "RegisteredByRegistrars": of_caller(
        "sagemaker:CreateModelPackage",
        VERSION,
        bad=ROLE.format("training"),
        good=ROLE.format("registrar"),
    ),
    "DecidedByApprovers": of_caller(
        "sagemaker:UpdateModelPackage", VERSION, good=ROLE.format("approver")
    ),
    "BucketsStayClosed": of_caller("s3:PutBucketPublicAccessBlock", BUCKET, good=CFN),
    "DeploysByDeployers": of_caller(
        "sts:AssumeRole", CDK.format("deploy"), good=ROLE.format("deployer")
    ),
    "ComparesByDelivery": of_caller(
        "sts:AssumeRole",
        CDK.format("lookup"),
        bad=ROLE.format("deployer"),
        good=ROLE.format("github-reader"),
    ),
    "CloudFormationByDeploy": of_caller(
        "iam:PassRole", CFN, bad=ROLE.format("deployer"), good=CDK.format("deploy")
    ),
    "ObjectsByReaders": of_caller("s3:GetObject", f"{BUCKET}/x", good=ROLE.format("break-glass")),
    "BuildsByTheirStarters": of_caller(
        "codebuild:StartBuild", BUILD, good=ROLE.format("image-build-starter")
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
    "TlsAlone": Case(bad=make_request("s3:ListBucket", BUCKET, {"aws:SecureTransport": "false"})),
    "NoFederation": Case(
        bad=stranger(make_request("sts:AssumeRoleWithSAML", ROLE.format("approver"))),
        good=stranger(
            make_request("sts:AssumeRoleWithSAML", "arn:aws:iam::111122223333:role/aws-reserved/x")
        ),
    ),
    "OurRepositoryAlone": Case(
        bad=of_github("repo:acme@1234/another@99:environment:dev"),
        good=of_github("repo:acme@1234/churn@567890:environment:dev"),
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
    assert _sids("scp") | _sids("rcp") == CASES.keys() | JOBS.keys()


def _sids(kind: str) -> set[str]:
    return {
        statement["Sid"]
        for name, document in documents("serving").items()
        if name.startswith(kind)
        for statement in document["Statement"]
    }


@pytest.mark.parametrize("variant", ["serving", "serving_prod", *OF_TOOLS])
@pytest.mark.parametrize("part", ["deploy", "file-publishing", "image-publishing", "lookup"])
def test_who_may_assume_every_role_does_not_deploy(variant: str, part: BootstrapRole) -> None:
    """The bootstrap's roles trust their account as a whole."""
    own = settings(variant)
    role = bootstrap_role_arn(own, part)
    for name in ("Administrator", f"{prefix(own)}-data-scientist"):
        caller = f"arn:aws:iam::{own.account}:role/{name}"
        sids = denying(variant, make_request("sts:AssumeRole", role, caller=caller))
        assert sids == {"ComparesByDelivery" if part == "lookup" else "DeploysByDeployers"}


@pytest.mark.parametrize("variant", ["serving", "serving_prod", *OF_TOOLS])
def test_whoever_is_excepted_by_name_is_made_by_a_deploy_alone(variant: str) -> None:
    """Or an administrator makes a role of that name, with a trust of their own."""
    patterns = {
        pattern
        for document in documents(variant).values()
        for statement in document["Statement"]
        for pattern in statement.get("Condition", {})
        .get("ArnNotLike", {})
        .get("aws:PrincipalArn", ())
        if ":role/cdk-" not in pattern and ":iam::*:" not in pattern
    }
    assert len(patterns) > 10
    for pattern in patterns:
        assert denying(variant, make_request("iam:CreateRole", pattern)) == {"RolesByDeploy"}


def test_volumes_without_a_key_are_those_of_all_families_with_local_disks() -> None:
    (statement,) = (
        item
        for item in documents("serving")["scp-jobs"]["Statement"]
        if item["Sid"] == "VolumesUnderAKey"
    )
    types = statement["Condition"]["ForAnyValue:StringNotLike"]["sagemaker:InstanceTypes"]
    assert types == [f"ml.{family}.*" for family in families_with_local_disk()]


def test_each_policy_has_the_grammar_and_fits() -> None:
    """ "SCP syntax", "RCP syntax", "Quotas and service limits" of the Organizations User Guide.

    An SCP may have 10,240 characters and an RCP 5,120, blanks included where a file is attached
    by the command line. The project's names are longer than the tests', by at most 40.
    """
    known = load_resource(AdditionalSpecs, "Policies.json")
    for name, document in documents("serving").items():
        text = (REPOSITORY / f"organization/{name}.json").read_text()
        longest = len(text) + 40 * text.count("<")
        assert longest <= (5_120 if name == "rcp" else 10_240), name
        assert document["Version"] == "2012-10-17"
        sids = [statement["Sid"] for statement in document["Statement"]]
        assert len(set(sids)) == len(sids)
        for statement in document["Statement"]:
            assert re.fullmatch(r"[A-Za-z0-9]+", statement["Sid"])
            assert (statement["Effect"], bool(statement["Resource"])) == ("Deny", True)
            assert statement.get("Principal") == ("*" if name == "rcp" else None)
            for action in statement.get("Action", ()):
                service, _, call = action.partition(":")
                assert name != "rcp" or service in RCP_SERVICES
                assert "*" in action or call.lower() in known[service]["Actions"], action


def test_the_pages_command_fills_everything_in(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/organization.md").read_text()
    (command,) = re.findall(r"```bash\n(mkdir .*?)```", page, re.DOTALL)
    shutil.copytree(REPOSITORY / "organization", tmp_path / "organization")
    subprocess.run(["bash", "-euc", command], cwd=tmp_path, check=True)
    files = {file.stem: file for file in (tmp_path / "organization/dev").iterdir()}
    assert {name: json.loads(file.read_text()) for name, file in files.items()} == documents(
        "serving"
    )


def test_a_member_of_another_organization_is_a_stranger() -> None:
    other = {"aws:PrincipalOrgID": "o-another0000"}
    request = make_request("s3:ListBucket", BUCKET, other)
    assert denying("serving", request, kind="rcp") == {"OrganizationAlone"}


def test_another_way_to_the_same_is_denied_and_the_marketplace_is_open() -> None:
    request = make_request("sts:AssumeRoleWithWebIdentity", ROLE.format("github-deployer"))
    assert denying("serving", stranger(request), kind="rcp") == {"OurRepositoryAlone"}
    point = HERE.format("s3", "accesspoint/mine/object/x")
    assert denying("serving", make_request("s3:GetObject", point)) == {"ObjectsByReaders"}

    # A zonal NAT gateway names a subnet, a regional one the VPC.
    subnet = HERE.format("ec2", "subnet/subnet-1")
    request = make_request("ec2:CreateNatGateway", subnet, OURS)
    assert denying("serving", request) == {"NoWayOut"}
    request = make_request("aws-marketplace:Subscribe", region="us-west-2")
    assert denying("serving", request) == set()


@pytest.mark.parametrize("variant", ["serving", "serving_prod", "asleep"])
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
        # A pack reads what is captured.
        assert readers or action == "s3:GetObjectVersion" or bucket == "capture"
        for role in readers:
            assert denying(variant, make_request(action, objects, caller=role.arn)) == set()


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
