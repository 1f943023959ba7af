"""A finding, of any of the checks."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ReportedFinding:
    """A resource that breaks a rule of one framework."""

    framework: str  # whose rule it is, such as `NIST.800.53.R5`
    rule: str  # the id of the acknowledgement, without the framework's name and the detail
    detail: str  # which one, if a resource can break the rule in several ways
    resource: str  # the construct's path
    description: str  # what the rule says, with the ids of the controls behind it
    reason: str | None  # the explanation; None without one

    @property
    def is_open(self) -> bool:
        """Whether it has no explanation."""
        return self.reason is None
