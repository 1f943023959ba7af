"""Policy statements with the reason for each wildcard, and policies and roles made of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from constructs import Construct, IConstruct

from sashiko.account.names import Role, role_name
from sashiko.settings.environment import Settings
from sashiko_cdk.security_rules.acknowledge import acknowledge

# Why a role's own policy is inline.
DENIES: Final = (
    "What a role must never do is part of it: a managed policy can be detached from it, or "
    "attached to another."
)
DIES_WITH_IT: Final = (
    "The policy is of this one role and lives and dies with it; the boundary limits it."
)


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """A statement, and finding -> reason for each wildcard that it needs."""

    statement: iam.PolicyStatement
    wildcards: Mapping[str, str]


def allow(
    actions: Sequence[str],
    resources: Sequence[str],
    *,
    conditions: Mapping[str, Any] | None = None,
    why: str | None = None,
) -> Allowed:
    """Allows `actions` on `resources`, which are ARNs.

    `why` is the reason for the wildcards in both, for a reviewer: one without it fails synth.
    """
    findings = [f"Action::{action}" for action in actions if "*" in action]
    findings += [f"Resource::{resource}" for resource in resources if "*" in resource]
    statement = iam.PolicyStatement(
        actions=list(actions), resources=list(resources), conditions=conditions
    )
    wildcards = {f"IAM5[{finding}]": why for finding in findings} if why else {}
    return Allowed(statement=statement, wildcards=wildcards)


def deny(
    sid: str,
    actions: Sequence[str],
    *,
    resources: Sequence[str] = ("*",),
    not_resources: Sequence[str] = (),
    conditions: Mapping[str, Any] | None = None,
) -> iam.PolicyStatement:
    """Denies `actions` on `resources`, or on all but `not_resources`."""
    return iam.PolicyStatement(
        sid=sid,
        effect=iam.Effect.DENY,
        actions=list(actions),
        resources=None if not_resources else list(resources),
        not_resources=list(not_resources) or None,
        conditions=conditions,
    )


def explain(construct: IConstruct, allowed: Iterable[Allowed]) -> None:
    """Acknowledges the explained wildcards on `construct`, which carries the statements."""
    reasons: dict[str, list[str]] = {}
    for item in allowed:
        for finding, why in item.wildcards.items():
            # Two statements may have the same wildcard: the reviewer reads both reasons.
            reasons.setdefault(finding, []).append(why)
    acknowledge(construct, {finding: " ".join(whys) for finding, whys in reasons.items()})


class RolePolicy(Construct):
    """A managed policy that a later stack attaches to one role of Identity, by the role's name.

    No export arises, and the permission lives and dies with the resources it is about. The policy
    has no fixed name, so that CloudFormation can replace it. A person reads `description` in the
    console.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        settings: Settings,
        role: Role,
        statements: Sequence[Allowed],
        *,
        description: str,
    ) -> None:
        super().__init__(scope, id)
        policy = iam.CfnManagedPolicy(
            self,
            "Resource",
            description=description,
            policy_document=iam.PolicyDocument(statements=[item.statement for item in statements]),
            roles=[role_name(settings, role)],
        )
        explain(policy, statements)


def add_role(
    scope: Construct,
    id: str,
    *,
    name: str | None,
    description: str,
    trust: iam.IPrincipal,
    boundary: iam.IManagedPolicy,
    allowed: Sequence[Allowed],
    denied: Sequence[iam.PolicyStatement] = (),
    hours: int | None = None,
    inline: str = DIES_WITH_IT,
) -> iam.Role:
    """Adds a role with a policy of its own; `inline` is the reason why that is no managed one."""
    statements = [*(item.statement for item in allowed), *denied]
    role = iam.Role(
        scope,
        id,
        role_name=name,
        description=description,
        assumed_by=trust,
        permissions_boundary=boundary,
        max_session_duration=Duration.hours(hours) if hours else None,
        inline_policies={"own": iam.PolicyDocument(statements=statements)},
    )
    explain(role, allowed)
    acknowledge(role, {"NIST-IAMNoInlinePolicy": inline})
    return role
