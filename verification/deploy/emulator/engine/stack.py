"""A stack's state, as CloudFormation shows it."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .resources import Place, Properties
from .template import creation_order, dependencies


@dataclass(kw_only=True)
class Resource:
    """A resource that a stack has made, or has adopted."""

    logical_id: str
    type: str
    physical_id: str
    properties: Properties
    depends_on: list[str]
    deletion_policy: str
    replace_policy: str
    status: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class Stack:
    """A stack's state, as `DescribeStacks` and `DescribeStackEvents` show it."""

    id: str
    name: str
    account: str
    region: str
    aws: Callable[[str], Any]
    template_body: str = ""
    template: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    tags: list[dict[str, str]] = field(default_factory=list)
    capabilities: list[str] = field(default_factory=list)
    role_arn: str | None = None
    protected: bool = False
    status: str = "REVIEW_IN_PROGRESS"
    reason: str = ""
    resources: dict[str, Resource] = field(default_factory=dict)
    outputs: list[dict[str, str]] = field(default_factory=list)
    imports: set[str] = field(default_factory=set)
    events: list[dict[str, Any]] = field(default_factory=list)
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    def exports(self) -> dict[str, str]:
        """Returns the exports' values by name."""
        return {
            output["ExportName"]: output["OutputValue"]
            for output in self.outputs
            if "ExportName" in output
        }

    def set_status(self, status: str, reason: str = "") -> None:
        """Moves the stack to a status and records an event."""
        self.status, self.reason = status, reason
        self.record(self.name, "AWS::CloudFormation::Stack", self.id, status, reason)

    def record(self, name: str, kind: str, physical_id: str, status: str, reason: str = "") -> None:
        """Adds an event."""
        self.events.append(
            {
                "EventId": str(uuid.uuid4()),
                "StackId": self.id,
                "StackName": self.name,
                "LogicalResourceId": name,
                "PhysicalResourceId": physical_id,
                "ResourceType": kind,
                "Timestamp": datetime.now(UTC),
                "ResourceStatus": status,
                **({"ResourceStatusReason": reason} if reason else {}),
            }
        )

    def place(self, logical_id: str) -> Place:
        """Returns the location of a resource of this stack."""
        return Place(
            account=self.account,
            region=self.region,
            stack=self.name,
            logical_id=logical_id,
            aws=self.aws,
        )


def new_resource(
    logical_id: str, body: dict[str, Any], properties: Properties, physical_id: str, status: str
) -> Resource:
    """Returns the resource made from a template's `body`."""
    return Resource(
        logical_id=logical_id,
        type=body["Type"],
        physical_id=physical_id,
        properties=properties,
        depends_on=dependencies(body),
        deletion_policy=body.get("DeletionPolicy", "Delete"),
        replace_policy=body.get("UpdateReplacePolicy", "Delete"),
        status=status,
    )


def deletion_order(resources: list[Resource]) -> list[Resource]:
    """Orders resources so that each comes before its dependencies."""
    by_name = {item.logical_id: item for item in resources}
    bodies = {
        name: {
            "DependsOn": [
                dependency
                for dependency in item.depends_on
                if dependency in by_name and dependency != name
            ]
        }
        for name, item in by_name.items()
    }
    return [by_name[name] for name in reversed(creation_order(bodies))]
