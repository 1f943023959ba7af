"""What a rule is."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sashiko_cdk.security_rules.template import Resource


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A resource that breaks a rule.

    Attributes:
        resource: the resource.
        where: the property, such as `Properties/KmsKeyId`.
        detail: what exactly, where one resource can break the rule in several ways; it is part of
            the id by which the finding is acknowledged.
    """

    resource: Resource
    where: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule over all templates of an app.

    Attributes:
        name: by which findings are acknowledged.
        description: what must hold.
        fix: what to do about a finding.
        check: finds what breaks it.
    """

    name: str
    description: str
    fix: str
    check: Callable[[Sequence[Resource]], Iterable[Finding]]
