"""CloudFormation's read operations."""

from typing import Any

from . import schema
from .region import Region, Request
from .stack import Stack
from .template import parse


class Reading:
    """Read operations on the stacks of a region."""

    def __init__(self, region: Region) -> None:
        """Reads the stacks of `region`."""
        self.region = region

    def describe_stacks(self, request: Request) -> dict[str, Any]:
        """Returns one stack, or all."""
        name = request.get("StackName")
        stacks = [self.region.stack(name)] if name else self.region.stacks.values()
        return {"Stacks": [_described(stack) for stack in stacks]}

    def list_stacks(self, request: Request) -> dict[str, Any]:
        """Returns all stacks, deleted ones too."""
        statuses = request.get("StackStatusFilter")
        stacks = [*self.region.stacks.values(), *self.region.deleted.values()]
        return {
            "StackSummaries": [
                _described(stack) for stack in stacks if not statuses or stack.status in statuses
            ]
        }

    def describe_stack_events(self, request: Request) -> dict[str, Any]:
        """Returns a stack's events, newest first."""
        return {"StackEvents": self.region.stack(request["StackName"]).events[::-1]}

    def describe_events(self, request: Request) -> dict[str, Any]:
        """Returns failures before a deploy: none, since creating a change set validates here."""
        return {"OperationEvents": []}

    def describe_stack_resources(self, request: Request) -> dict[str, Any]:
        """Returns a stack's resources, or one."""
        stack = self.region.stack(request["StackName"])
        logical_id = request.get("LogicalResourceId")
        return {
            "StackResources": [
                {
                    "StackId": stack.id,
                    "StackName": stack.name,
                    "LogicalResourceId": item.logical_id,
                    "PhysicalResourceId": item.physical_id,
                    "ResourceType": item.type,
                    "ResourceStatus": item.status,
                    "Timestamp": stack.created,
                }
                for item in stack.resources.values()
                if logical_id in (None, item.logical_id)
            ]
        }

    def list_stack_resources(self, request: Request) -> dict[str, Any]:
        """Returns a stack's resources in short."""
        resources = self.describe_stack_resources(request)["StackResources"]
        return {
            "StackResourceSummaries": [
                {**item, "LastUpdatedTimestamp": item["Timestamp"]} for item in resources
            ]
        }

    def get_template(self, request: Request) -> dict[str, Any]:
        """Returns the template as it was sent."""
        return {"TemplateBody": self.region.stack(request["StackName"]).template_body}

    def get_template_summary(self, request: Request) -> dict[str, Any]:
        """Returns what an import may ask for: each type's identifying properties."""
        template = parse(self.region.body(request))
        kinds: dict[str, list[str]] = {}
        for name, item in template["Resources"].items():
            kinds.setdefault(item["Type"], []).append(name)
        importable = {kind: schema.identifier(kind, self.region.region) for kind in kinds}
        return {
            "ResourceTypes": list(kinds),
            "ResourceIdentifierSummaries": [
                {
                    "ResourceType": kind,
                    "LogicalResourceIds": kinds[kind],
                    "ResourceIdentifiers": list(names),
                }
                for kind, names in importable.items()
                if names
            ],
        }

    def list_exports(self, request: Request) -> dict[str, Any]:
        """Returns every export."""
        return {
            "Exports": [
                {"ExportingStackId": stack.id, "Name": name, "Value": value}
                for stack in self.region.stacks.values()
                for name, value in stack.exports().items()
            ]
        }


def _described(stack: Stack) -> dict[str, Any]:
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "CreationTime": stack.created,
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason,
        "Parameters": [
            {"ParameterKey": name, "ParameterValue": value} for name, value in stack.inputs.items()
        ],
        "Outputs": stack.outputs,
        "Tags": stack.tags,
        "Capabilities": stack.capabilities,
        "EnableTerminationProtection": stack.protected,
        "DisableRollback": False,
        "NotificationARNs": [],
        **(
            {"Description": stack.template["Description"]}
            if "Description" in stack.template
            else {}
        ),
        **({"RoleARN": stack.role_arn} if stack.role_arn else {}),
    }
