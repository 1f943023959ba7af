"""IAM policies, evaluated as AWS does, and in doubt as if they allowed.

A condition whose key is not known here may hold or not: an Allow under it counts, a Deny does not.
So what is shown as denied is denied, and what is shown as allowed may be narrower in truth. A
request whose context is complete leaves no such doubt.
"""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Effect = Literal["Allow", "Deny"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What somebody wants to do.

    Attributes:
        action: such as `s3:GetObject`.
        resource: an ARN; with a `*`, some resource that it matches.
        context: what is known of the condition keys.
        complete: the context is all there is: AWS finds no other key in the request either.
    """

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)
    complete: bool = False


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of a policy document, its one-or-many members made many."""

    effect: Effect
    actions: tuple[str, ...]
    not_actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_resources: tuple[str, ...]
    principals: tuple[str, ...]
    not_principals: tuple[str, ...]
    conditions: Mapping[str, Mapping[str, Any]]

    def applies(self, request: Request) -> bool:
        """Says whether the statement is about a request; in doubt an Allow is, a Deny is not."""
        holds = _conditions_hold(self.conditions, request)
        doubt = self.effect == "Allow"
        return self._names(request) and (doubt if holds is None else holds)

    def _names(self, request: Request) -> bool:
        action = request.action.lower()
        if self.not_actions:
            acted = not any(covers(pattern.lower(), action) for pattern in self.not_actions)
        else:
            acted = any(covers(pattern.lower(), action) for pattern in self.actions)
        # A request for `bucket/*` is about some object: an Allow on any one of them grants it, a
        # Deny refuses it only if it is on all of them.
        inside, outside = (overlap, covers) if self.effect == "Allow" else (covers, overlap)
        if self.not_resources:
            return acted and not any(outside(p, request.resource) for p in self.not_resources)
        return acted and any(inside(p, request.resource) for p in self.resources)

    def is_for(self, arn: str) -> bool:
        """Says whether a resource's policy means this principal by name, or everybody."""
        if self.not_principals:
            return not any(covers(pattern, arn) for pattern in self.not_principals)
        return any(covers(pattern, arn) for pattern in self.principals)


def statements(document: Mapping[str, Any]) -> tuple[Statement, ...]:
    """Reads a policy document."""
    return tuple(_statement(item) for item in _many(document.get("Statement", [])))


def allows(policy: Iterable[Statement], request: Request) -> bool:
    """Says whether a statement allows the request; a Deny is another question."""
    return any(item.effect == "Allow" and item.applies(request) for item in policy)


def denies(policy: Iterable[Statement], request: Request) -> bool:
    """Says whether a statement denies the request, whatever allows it."""
    return any(item.effect == "Deny" and item.applies(request) for item in policy)


@functools.cache
def overlap(one: str, other: str) -> bool:
    """Says whether some text matches both patterns, of `*` and `?`."""
    if not one or not other:
        return set(one + other) <= {"*"}
    if one[0] == "*":
        return overlap(one[1:], other) or overlap(one, other[1:])
    if other[0] == "*":
        return overlap(other, one)
    return (one[0] == other[0] or "?" in (one[0], other[0])) and overlap(one[1:], other[1:])


def covers(pattern: str, text: str) -> bool:
    """Says whether a pattern matches all that `text` stands for."""
    return _compiled(pattern).fullmatch(text) is not None


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(c) or re.escape(c) for c in pattern), re.S)


def _statement(item: Mapping[str, Any]) -> Statement:
    return Statement(
        effect="Deny" if item["Effect"] == "Deny" else "Allow",
        actions=_many(item.get("Action", ())),
        not_actions=_many(item.get("NotAction", ())),
        resources=_many(item.get("Resource", ())),
        not_resources=_many(item.get("NotResource", ())),
        principals=_principals(item.get("Principal", ())),
        not_principals=_principals(item.get("NotPrincipal", ())),
        conditions=item.get("Condition", {}),
    )


def _principals(value: Any) -> tuple[str, ...]:
    """Lists AWS principals, `*` for everybody, and services by their name."""
    if isinstance(value, Mapping):
        return tuple(name for names in value.values() for name in _many(names))
    return _many(value)


def _many(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


def _conditions_hold(conditions: Mapping[str, Mapping[str, Any]], request: Request) -> bool | None:
    """All conditions must hold; None if that hangs on a key that is not known."""
    found = [
        _condition_holds(operator, key.lower(), _many(values), request)
        for operator, pairs in conditions.items()
        for key, values in pairs.items()
    ]
    return False if False in found else (None if None in found else True)


def _condition_holds(
    operator: str, key: str, wanted: tuple[Any, ...], request: Request
) -> bool | None:
    plain = operator.removesuffix("IfExists")
    negated = "Not" in plain
    kind = plain.replace("Not", "")
    if kind not in {"StringEquals", "StringLike", "ArnEquals", "ArnLike", "Bool"}:
        return None
    value = request.context.get(key)
    if value is None:
        return (negated or plain != operator) if request.complete else None
    patterns = [str(item).lower() if kind == "Bool" else str(item) for item in wanted]
    exact = kind in {"StringEquals", "Bool"}
    return any(value == p if exact else covers(p, value) for p in patterns) != negated
