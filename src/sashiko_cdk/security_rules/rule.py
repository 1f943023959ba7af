"""Rules and findings."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sashiko_cdk.security_rules.template import Resource


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A resource that breaks a rule.

    Attributes:
        resource: the resource.
        where: the property, such as `Properties/KmsKeyId`.
        detail: which one, if a resource can break the rule in several ways; it is part of the id
            of the acknowledgement.
    """

    resource: Resource
    where: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule over all templates of an app.

    Attributes:
        name: the id of acknowledgements.
        description: what is wrong with a resource that breaks it.
        fix: how to resolve a finding.
        check: finds the resources that break it.
    """

    name: str
    description: str
    fix: str
    check: Callable[[Sequence[Resource]], Iterable[Finding]]
