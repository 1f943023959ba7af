"""The organization's policies deny nothing that the project does."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from sashiko.account.access.policy_evaluation import Request, covers, statements
from sashiko.account.names import BootstrapRole, exec_role_arn
from sashiko.account.templates import Resource
from tests.infra.both_sides import bootstrap_role
from tests.infra.delivery import tools_of
from tests.infra.deploy_facts import HANDLERS, NOT_IN_IAM
from tests.infra.deploy_requests import required_actions, settings, templates_in
from tests.infra.organization import (
    ORGANIZATION,
    VARIANTS,
    actions_like,
    denying,
    documents,
    environment_of,
    grants,
    make_request,
)

CDK_ROLES: tuple[BootstrapRole, ...] = ("deploy", "file-publishing", "image-publishing", "lookup")
# What these deny depends on members of the request: test_organization_jobs.py.
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
        return _outside(make_request(action, target, service))
    if ":oidc-provider/" in principal:
        return _outside(make_request(action, target, conditions["StringEquals"]))
    owner = principal.split(":")[4] if ":" in principal else principal
    members = {place.account for place in (*tools_of().stages, tools_of().settings)}
    assert owner in members, f"{principal} is a stranger"
    return make_request(action, target, caller=f"arn:aws:iam::{owner}:role/some")


def _outside(request: Request) -> Request:
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
        # docs/emulator.md: whoever runs `make destroy`.
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
