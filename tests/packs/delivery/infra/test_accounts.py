"""What crosses accounts in a delivery from the tools' account, by the policies of both sides.

Promotion's calls are in test_promotion.py, GitHub's in test_github_actions.py.
"""

import json
from dataclasses import replace
from typing import Any, get_args

import pytest

from sashiko.account.access.environment_access import Principal, read_principals
from sashiko.account.access.policy_evaluation import Statement, allows, statements
from sashiko.account.names import BootstrapRole, arn, bootstrap_role_arn, bucket_name
from sashiko.account.templates import read_templates
from sashiko_cdk.bootstrap.policies import bootstrap_options
from sashiko_packs.delivery.constructs.parts import ASSUMED, parts_of, places_of
from tests.infra.both_sides import assumes, bootstrap_role
from tests.infra.delivery import delivery_folder, delivery_template, tools_of
from tests.infra.deploy_requests import DELIVERY
from tests.infra.organization import denying, make_request
from tests.infra.variants import complete_request, resources

TOOLS = tools_of()
PARTS: tuple[BootstrapRole, ...] = get_args(BootstrapRole)


@pytest.fixture(scope="module")
def builders() -> dict[str, Principal]:
    templates = read_templates(TOOLS.settings, folder=delivery_folder())
    roles = {role.name: role for role in read_principals(templates, TOOLS.settings)}
    assert all(role.boundary for role in roles.values())
    return roles


def _far_side(place: Any, part: BootstrapRole, *, by_tools: bool = True) -> Principal:
    """A role of a place's bootstrap, with the trust that `make bootstrap` gives it."""
    tools = TOOLS if by_tools and place in TOOLS.stages else None
    options = dict(
        option.removeprefix("--").split("=", maxsplit=1)
        for option in bootstrap_options(place, tools=tools)[1:]
    )
    return bootstrap_role(
        place,
        part,
        trusts=options.get("trust", ""),
        trusts_for_lookup=options.get("trust-for-lookup", ""),
    )


def _reach(role: Principal, *, by_tools: bool = True) -> set[tuple[str, str]]:
    """Place and part of each role of a bootstrap that a role gets, by both accounts' policies."""
    return {
        (place.environment, part)
        for place in places_of(TOOLS)
        for part in PARTS
        if assumes(role, _far_side(place, part, by_tools=by_tools))
    }


def test_each_build_gets_the_roles_of_its_own_place_and_no_others(
    builders: dict[str, Principal],
) -> None:
    own = {
        part.id: {(part.place.environment, name) for name in ASSUMED[part.kind]}
        for part in parts_of(TOOLS)
        if part.place
    }
    assert own.keys() < builders.keys()
    for name, role in builders.items():
        assert _reach(role) == own.get(name, set()), name


def test_nobody_gets_into_an_account_whose_bootstrap_names_no_tools(
    builders: dict[str, Principal],
) -> None:
    for name, role in builders.items():
        places = _reach(role, by_tools=False)
        assert {place for place, _ in places} <= {"delivery"}, name


def test_what_is_let_into_an_account_is_not_let_on_from_there() -> None:
    """The roles that a build gets could name any role: the other accounts do not trust theirs."""
    for place in TOOLS.stages:
        for other in places_of(TOOLS):
            if other.account == place.account:
                continue
            for part in PARTS:
                inside = replace(_far_side(place, part), policy=_EVERYTHING)
                assert not any(assumes(inside, _far_side(other, name)) for name in PARTS)


_EVERYTHING = statements({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
READS = [
    ("s3:GetObject", f"arn:aws:s3:::{bucket_name(TOOLS.settings, 'artifacts')}/x/Synth/y", {}),
    ("s3:PutObject", f"arn:aws:s3:::{bucket_name(TOOLS.settings, 'artifacts')}/x/Synth/y", {}),
    ("kms:Decrypt", arn(TOOLS.settings, "kms", "key/0123"),
     {"kms:viaservice": "s3.us-east-1.amazonaws.com"}),
]  # fmt: skip


@pytest.mark.parametrize(("action", "resource", "context"), READS)
def test_the_tools_bucket_and_key_let_no_environment_in(
    action: str, resource: str, context: dict[str, str]
) -> None:
    """The bootstrap lets its deploy roles read foreign buckets: this side does not."""
    for place in TOOLS.stages:
        role = _far_side(place, "deploy")
        request = complete_request(
            action,
            resource,
            {
                "aws:principalarn": role.arn,
                "aws:principalaccount": place.account,
                "aws:securetransport": "true",
                "s3:resourceaccount": TOOLS.settings.account,
                **context,
            },
        )
        assert allows(role.policy, request)
        assert not any(allows(_for(policy, role), request) for policy in _resource_policies())


def _for(policy: tuple[Statement, ...], role: Principal) -> list[Statement]:
    account = role.arn.split(":")[4]
    names = (role.arn, account, f"arn:aws:iam::{account}:root")
    return [item for item in policy if any(item.is_for(name) for name in names)]


def _resource_policies() -> list[tuple[Statement, ...]]:
    kinds = {
        "AWS::S3::BucketPolicy": "PolicyDocument",
        "AWS::KMS::Key": "KeyPolicy",
        "AWS::SNS::TopicPolicy": "PolicyDocument",
    }
    template = delivery_template()
    policies = [
        statements({"Statement": _any_resource(item["Properties"][member])})
        for kind, member in kinds.items()
        for item in resources(template, kind).values()
    ]
    assert len(policies) >= 3
    return policies


def _any_resource(document: Any) -> list[dict[str, Any]]:
    """Statements as if they were on every resource: who is let in is the question."""
    return [{**item, "Resource": "*"} for item in document["Statement"]]


def test_no_policy_of_the_tools_names_another_account() -> None:
    text = json.dumps([resources(delivery_template(), kind) for kind in (
        "AWS::S3::BucketPolicy", "AWS::KMS::Key", "AWS::SNS::TopicPolicy",
    )])  # fmt: skip
    assert not [stage.account for stage in TOOLS.stages if stage.account in text]


def test_who_administers_the_tools_account_starts_no_build_and_deploys_nowhere() -> None:
    """A build that is started with other variables and another source deploys what it is given."""
    tools = tools_of()
    here = f"arn:aws:iam::{tools.settings.account}:role"
    build = "arn:aws:codebuild:us-east-1:777788889999:project/sashiko-delivery-prod-deploy"

    def denied(name: str, action: str, resource: str) -> set[str]:
        return denying(DELIVERY, make_request(action, resource, caller=f"{here}/{name}"))

    for action in ("codebuild:StartBuild", "codebuild:RetryBuild"):
        assert denied("Administrator", action, build) == {"BuildsByTheirStarters"}
        assert denied("sashiko-delivery-pipeline", action, build) == set()
    for stage in tools.stages:
        deploy = bootstrap_role_arn(stage, "deploy")
        assert denied("Administrator", "sts:AssumeRole", deploy) == {"DeploysByDeployers"}
        builder = f"sashiko-delivery-{stage.environment}-deploy"
        assert denied(builder, "sts:AssumeRole", deploy) == set()
