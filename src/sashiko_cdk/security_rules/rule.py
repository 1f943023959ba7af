"""Rules and findings."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sashiko_cdk.security_rules.template import Resource


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A resource that breaks a rule."""

    resource: Resource
    where: str  # the property, such as `Properties/KmsKeyId`
    # Which one, if a resource can break the rule in several ways; it is part of the id of the
    # acknowledgement.
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule over all templates of an app."""

    name: str  # the id of acknowledgements
    description: str  # what is wrong with a resource that breaks it
    fix: str  # how to resolve a finding
    check: Callable[[Sequence[Resource]], Iterable[Finding]]  # finds the resources that break it
