"""One thing that a role may do, with the reason for each wildcard in it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import aws_iam as iam
from constructs import IConstruct

from sashiko_cdk.security_rules.acknowledge import acknowledge


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """A statement, and finding -> reason of the wildcards that it cannot do without."""

    statement: iam.PolicyStatement
    wildcards: Mapping[str, str]


def allow(
    actions: Sequence[str],
    resources: Sequence[str],
    *,
    conditions: Mapping[str, Any] | None = None,
    why: str | None = None,
) -> Allowed:
    """Allows `actions` on `resources`.

    Args:
        actions: such as `s3:GetObject`.
        resources: ARNs.
        conditions: operator -> key -> value.
        why: why the wildcards in actions and resources are needed; a reviewer reads it. Without
            it a wildcard fails synth.
    """
    found = [f"Action::{action}" for action in actions if "*" in action]
    found += [f"Resource::{resource}" for resource in resources if "*" in resource]
    return Allowed(
        statement=iam.PolicyStatement(
            actions=list(actions), resources=list(resources), conditions=conditions
        ),
        wildcards={f"IAM5[{finding}]": why for finding in found} if why else {},
    )


def explain(construct: IConstruct, allowed: Iterable[Allowed]) -> None:
    """Acknowledges on `construct`, which carries the statements, the wildcards they explain."""
    reasons: dict[str, list[str]] = {}
    for item in allowed:
        for finding, why in item.wildcards.items():
            # Two statements with one wildcard: a reviewer reads why of each.
            reasons.setdefault(finding, []).append(why)
    acknowledge(construct, {finding: " ".join(whys) for finding, whys in reasons.items()})
