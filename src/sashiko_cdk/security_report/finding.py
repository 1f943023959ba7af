"""A finding, of any of the checks."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ReportedFinding:
    """A resource that breaks a rule of one framework.

    Attributes:
        framework: whose rule it is, such as `NIST.800.53.R5`.
        rule: the id of the acknowledgement, without the framework's name and the detail.
        detail: which one, if a resource can break the rule in several ways.
        resource: the construct's path.
        description: what the rule says, with the ids of the controls behind it.
        reason: the explanation; None without one.
    """

    framework: str
    rule: str
    detail: str
    resource: str
    description: str
    reason: str | None

    @property
    def is_open(self) -> bool:
        """Whether it has no explanation."""
        return self.reason is None
