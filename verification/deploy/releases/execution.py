"""An execution of a pipeline, and the approval that it waits for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["InProgress", "Succeeded", "Failed", "Superseded", "Cancelled"]
_VARIABLE = re.compile(r"#\{([A-Za-z0-9@\-_]+)\.([A-Za-z0-9@\-_]+)\}")


@dataclass(kw_only=True)
class Approval:
    """A manual approval.

    Attributes:
        stage: of the pipeline.
        action: of the stage.
        message: what the person is shown.
        token: names it in PutApprovalResult.
        status: whether somebody has answered, and how.
        by: the ARN of who did.
    """

    stage: str
    action: str
    message: str
    token: str
    status: Literal["InProgress", "Approved", "Rejected"] = "InProgress"
    by: str = ""


@dataclass(kw_only=True)
class Execution:
    """An execution.

    Attributes:
        id: its own.
        version: of the pipeline's structure.
        commit: what it delivers.
        status: where it stands.
        stage: the index of the stage that it is in, or waits in front of.
        inside: whether it is in the stage, which it then locks.
        done: the actions of the stage that have succeeded.
        variables: what actions have exported, by namespace.
        artifacts: the keys of the artifacts in the bucket, by name.
        approvals: those that it has asked for.
        failure: what failed: stage, action and output.
    """

    id: str
    version: int
    commit: str
    status: Status = "InProgress"
    stage: int = 0
    inside: bool = False
    done: set[str] = field(default_factory=set)
    variables: dict[str, Mapping[str, str]] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    approvals: list[Approval] = field(default_factory=list)
    failure: tuple[str, str, str] = ("", "", "")

    @property
    def waits_for(self) -> Approval | None:
        """The approval that nobody has answered."""
        return next((item for item in self.approvals if item.status == "InProgress"), None)

    def resolve(self, text: str) -> str:
        """Puts the values of variables into a configuration's text.

        Raises:
            KeyError: if no action has exported one.
        """
        return _VARIABLE.sub(lambda match: self.variables[match[1]][match[2]], text)
