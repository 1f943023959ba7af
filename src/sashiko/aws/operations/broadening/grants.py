"""Policy documents taken apart: one principal, action, resource and set of conditions each.

Values stay as the template has them: a `Ref` is equal to the same `Ref` and to nothing else.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from sashiko.aws.operations.access.policies import covers

# Values of a condition with such an operator narrow it as they become more.
_EXCLUDES = "Not"


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What one statement allows, or denies, to one principal."""

    effect: str
    principal: str
    action: str
    resource: str
    conditions: frozenset[tuple[str, str, frozenset[str]]]  # operator, key, values

    def covers(self, other: "Grant") -> bool:
        """Says whether all requests that `other` is about are among those of this one."""
        return (
            self.effect == other.effect
            and self.principal in ("*", other.principal)
            and _covers(self.action.lower(), other.action.lower())
            and _covers(self.resource, other.resource)
            and all(
                any(_holds_within(mine, theirs) for theirs in other.conditions)
                for mine in self.conditions
            )
        )

    def __str__(self) -> str:
        """Describes it on one line."""
        whom = f" to {self.principal}" if self.principal else ""
        verb = "allows" if self.effect == "Allow" else "denies"
        limits = "; ".join(
            f"{operator} {key} {', '.join(sorted(values))}"
            for operator, key, values in sorted(self.conditions, key=lambda item: item[:2])
        )
        return f"{verb} {self.action} on {self.resource}{whom}" + (
            f" if {limits}" if limits else ""
        )


def documents(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yields the policy documents in a value, at any depth."""
    if isinstance(value, Mapping):
        if "Statement" in value:
            yield value
            return
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from documents(item)


def grants(document: Mapping[str, Any]) -> Iterator[Grant]:
    """Yields what a policy document allows and denies."""
    for statement in many(document["Statement"]):
        conditions = frozenset(
            (operator, key, frozenset(text(value) for value in many(values)))
            for operator, pairs in statement.get("Condition", {}).items()
            for key, values in pairs.items()
        )
        for principal, action, resource in product(
            _principals(statement), _member(statement, "Action"), _member(statement, "Resource")
        ):
            yield Grant(
                effect=statement["Effect"],
                principal=principal,
                action=action,
                resource=resource,
                conditions=conditions,
            )


def many(value: Any) -> Sequence[Any]:
    """Returns a list, or the one value in a list."""
    return value if isinstance(value, list) else [value]


def text(value: Any) -> str:
    """Returns a value on one line; equal values give equal text."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _member(statement: Mapping[str, Any], name: str) -> Sequence[str]:
    """Returns the values of a member; those of its opposite, such as `NotAction`, as one."""
    if f"Not{name}" in statement:
        return [f"all but {text(sorted(text(v) for v in many(statement[f'Not{name}'])))}"]
    return [text(value) for value in many(statement.get(name, "*"))]


def _principals(statement: Mapping[str, Any]) -> Sequence[str]:
    """Returns the principals; none of a role's own policy is the empty text."""
    if "NotPrincipal" in statement:
        return [f"all but {text(statement['NotPrincipal'])}"]
    principal = statement.get("Principal", "")
    if not isinstance(principal, Mapping):
        return [text(principal)]
    return [
        "*" if name == "*" else f"{kind} {text(name)}"
        for kind, names in principal.items()
        for name in many(names)
    ]


def _covers(pattern: str, value: str) -> bool:
    """Compares two patterns; of those with a function or an exclusion, equality alone is known."""
    plain = not pattern.startswith(("{", "all but ")) and not value.startswith(("{", "all but "))
    return pattern in (value, "*") or (plain and covers(pattern, value))


def _holds_within(
    mine: tuple[str, str, frozenset[str]], theirs: tuple[str, str, frozenset[str]]
) -> bool:
    """Says whether one condition holds wherever another does: the same test, of no more values."""
    if mine[:2] != theirs[:2]:
        return False
    if _EXCLUDES in mine[0]:
        return mine[2] <= theirs[2]
    return theirs[2] <= mine[2] if mine[0].startswith(("String", "Arn")) else mine[2] == theirs[2]
