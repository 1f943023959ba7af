"""What a check found, whichever it was."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ReportedFinding:
    """A resource that breaks a rule of one framework.

    Attributes:
        framework: whose rule it is, such as `NIST.800.53.R5`.
        rule: the rule's id, as it is acknowledged but for the framework's name and the detail.
        detail: what exactly, where a resource can break the rule in several ways.
        resource: the construct's path.
        description: what the rule says, with the ids of the controls behind it.
        reason: why it stands; None if nobody said so.
    """

    framework: str
    rule: str
    detail: str
    resource: str
    description: str
    reason: str | None

    @property
    def is_open(self) -> bool:
        """Whether nobody explained it."""
        return self.reason is None
