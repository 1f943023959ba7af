"""Evaluates IAM policies as AWS does; unknown conditions count as allowing.

If the value of a condition key is unknown, an Allow with the condition applies and a Deny does not.
So a denied request is denied in AWS, and an allowed request may still be denied there. A request
with a complete context has no unknown condition keys.
"""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Effect = Literal["Allow", "Deny"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to AWS."""

    action: str  # such as `s3:GetObject`
    resource: str  # an ARN; with a `*`, some resource that it matches
    context: Mapping[str, str] = field(default_factory=dict)  # the known condition keys
    complete: bool = False  # whether the request has no other condition keys


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of a policy document, with all members as tuples."""

    effect: Effect
    actions: tuple[str, ...]
    not_actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_resources: tuple[str, ...]
    principals: tuple[str, ...]
    services: tuple[str, ...]  # those of `principals` that are services
    not_principals: tuple[str, ...]
    conditions: Mapping[str, Mapping[str, Any]]

    @property
    def condition_keys(self) -> frozenset[str]:
        """The keys of its conditions, in lower case."""
        return frozenset(key.lower() for pairs in self.conditions.values() for key in pairs)

    def applies(self, request: Request) -> bool:
        """Says whether the statement applies; if unknown, an Allow applies and a Deny does not."""
        if not self._names(request):
            return False
        results = [
            _condition_holds(operator, key.lower(), _many(values), request)
            for operator, pairs in self.conditions.items()
            for key, values in pairs.items()
        ]
        holds = False if False in results else (None if None in results else True)
        return self.effect == "Allow" if holds is None else holds

    def _names(self, request: Request) -> bool:
        resource = request.resource
        if _is_among(self.not_actions or self.actions, request.action) == bool(self.not_actions):
            return False
        # A request for `bucket/*` stands for some object: an Allow on any object grants it, a Deny
        # denies it only if it covers all objects.
        inside, outside = (overlap, covers) if self.effect == "Allow" else (covers, overlap)
        if self.not_resources:
            return not any(outside(pattern, resource) for pattern in self.not_resources)
        return any(inside(pattern, resource) for pattern in self.resources)

    def is_for(self, arn: str) -> bool:
        """Says whether a resource policy's principals include this one, by name or as everybody."""
        if self.not_principals:
            return not any(covers(pattern, arn) for pattern in self.not_principals)
        return any(covers(pattern, arn) for pattern in self.principals)


def statements(document: Mapping[str, Any]) -> tuple[Statement, ...]:
    """Reads a policy document."""
    return tuple(
        Statement(
            effect="Deny" if item["Effect"] == "Deny" else "Allow",
            actions=_many(item.get("Action", ())),
            not_actions=_many(item.get("NotAction", ())),
            resources=_many(item.get("Resource", ())),
            not_resources=_many(item.get("NotResource", ())),
            principals=_principals(item.get("Principal", ())),
            services=_principals(item.get("Principal", ()), kind="Service"),
            not_principals=_principals(item.get("NotPrincipal", ())),
            conditions=item.get("Condition", {}),
        )
        for item in _many(document.get("Statement", []))
    )


def allows(policy: Iterable[Statement], request: Request) -> bool:
    """Says whether a statement allows the request, regardless of Deny statements."""
    return any(item.effect == "Allow" and item.applies(request) for item in policy)


def denies(policy: Iterable[Statement], request: Request) -> bool:
    """Says whether a statement denies the request."""
    return any(item.effect == "Deny" and item.applies(request) for item in policy)


@functools.cache
def overlap(first: str, second: str) -> bool:
    """Says whether some text matches both patterns (`*` and `?` are wildcards)."""
    if not first or not second:
        return set(first + second) <= {"*"}
    if first[0] == "*":
        return overlap(first[1:], second) or overlap(first, second[1:])
    if second[0] == "*":
        return overlap(second, first)
    return (first[0] == second[0] or "?" in (first[0], second[0])) and overlap(
        first[1:], second[1:]
    )


@functools.cache
def covers(pattern: str, text: str) -> bool:
    """Says whether a pattern matches every text that the pattern `text` matches."""
    parts = {"*": ".*", "?": "."}
    regex = "".join(parts.get(letter) or re.escape(letter) for letter in pattern)
    return re.fullmatch(regex, text, re.S) is not None


@functools.cache
def _is_among(patterns: tuple[str, ...], action: str) -> bool:
    return any(covers(pattern.lower(), action.lower()) for pattern in patterns)


def _principals(value: Any, *, kind: str | None = None) -> tuple[str, ...]:
    """Lists AWS principals, `*` for everybody, and services by their name; or those of a kind."""
    if isinstance(value, Mapping):
        named = (names for key, names in value.items() if kind in (None, key))
        return tuple(name for names in named for name in _many(names))
    return () if kind else _many(value)


def _many(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)


def _condition_holds(
    operator: str, key: str, values: tuple[Any, ...], request: Request
) -> bool | None:
    if operator == "Null":
        if key not in request.context and not request.complete:
            return None
        return (key not in request.context) == (str(values[0]).lower() == "true")
    # Of a key with several values each has to match, and of one that is missing none does not.
    every = operator.startswith("ForAllValues:")
    operator = operator.removeprefix("ForAllValues:")
    plain = operator.removesuffix("IfExists")
    negated = "Not" in plain
    kind = plain.replace("Not", "")
    if kind not in {"StringEquals", "StringLike", "ArnEquals", "ArnLike", "Bool"}:
        return None
    value = request.context.get(key)
    if value is None:
        return (negated or every or plain != operator) if request.complete else None
    patterns = [str(item).lower() if kind == "Bool" else str(item) for item in values]
    exact = kind in {"StringEquals", "Bool"}
    return any(value == p if exact else covers(p, value) for p in patterns) != negated
