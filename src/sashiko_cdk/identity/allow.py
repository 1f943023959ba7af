"""A policy statement, with the reason for each wildcard in it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import aws_iam as iam
from constructs import IConstruct

from sashiko_cdk.security_rules.acknowledge import acknowledge


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
    """Allows `actions` on `resources`.

    Args:
        actions: such as `s3:GetObject`.
        resources: ARNs.
        conditions: operator -> key -> value.
        why: the reason for the wildcards in actions and resources, for a reviewer. A wildcard
            without a reason fails synth.
    """
    findings = [f"Action::{action}" for action in actions if "*" in action]
    findings += [f"Resource::{resource}" for resource in resources if "*" in resource]
    return Allowed(
        statement=iam.PolicyStatement(
            actions=list(actions), resources=list(resources), conditions=conditions
        ),
        wildcards={f"IAM5[{finding}]": why for finding in findings} if why else {},
    )


def explain(construct: IConstruct, allowed: Iterable[Allowed]) -> None:
    """Acknowledges the explained wildcards on `construct`, which carries the statements."""
    reasons: dict[str, list[str]] = {}
    for item in allowed:
        for finding, why in item.wildcards.items():
            # Two statements may have the same wildcard: the reviewer reads both reasons.
            reasons.setdefault(finding, []).append(why)
    acknowledge(construct, {finding: " ".join(whys) for finding, whys in reasons.items()})
