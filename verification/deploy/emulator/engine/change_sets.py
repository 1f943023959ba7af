"""Change sets, with which the CDK command line deploys."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from . import schema
from .adoption import Adoption
from .checks import check_status, check_template
from .deployment import deploy, input_parameters
from .errors import ChangeSetNotFoundError, ValidationError
from .reading import Reading
from .region import Region, Request
from .stack import Stack

_NO_CHANGES = (
    "The submitted information didn't contain changes. "
    "Submit different information to create a change set."
)


@dataclass(kw_only=True)
class ChangeSet:
    """A change set and what it would change."""

    id: str
    name: str
    type: str
    stack: Stack
    request: Request
    changes: list[dict[str, Any]]
    status: str
    reason: str
    execution: str
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


class ChangeSets(Reading):
    """The change sets of a region's stacks, and the read operations of the stacks."""

    def __init__(self, region: Region) -> None:
        """Starts without a change set."""
        super().__init__(region)
        self.change_sets: dict[str, ChangeSet] = {}

    def describe_change_set(self, request: Request) -> dict[str, Any]:
        """Returns a change set with its changes."""
        change_set = self._change_set(request)
        return {
            "ChangeSetId": change_set.id,
            "ChangeSetName": change_set.name,
            "StackId": change_set.stack.id,
            "StackName": change_set.stack.name,
            "Status": change_set.status,
            "StatusReason": change_set.reason,
            "ExecutionStatus": change_set.execution,
            "CreationTime": change_set.created,
            "Changes": change_set.changes,
        }

    def list_change_sets(self, request: Request) -> dict[str, Any]:
        """Returns a stack's change sets."""
        stack = self.region.stack(request["StackName"])
        change_sets = [item for item in self.change_sets.values() if item.stack is stack]
        return {"Summaries": [{"ChangeSetId": i.id, "ChangeSetName": i.name} for i in change_sets]}

    def create_change_set(self, request: Request) -> dict[str, Any]:
        """Plans a create, an update or an import."""
        kind, name = request.get("ChangeSetType", "UPDATE"), request["StackName"]
        request["TemplateBody"] = self.region.body(request)
        template = check_template(request["TemplateBody"], request)
        stack = self.region.find(name)
        if kind == "UPDATE" and (not stack or stack.status == "REVIEW_IN_PROGRESS"):
            raise ValidationError(f"Stack [{name}] does not exist")
        if kind == "CREATE" and stack and stack.status != "REVIEW_IN_PROGRESS":
            raise ValidationError(f"Stack [{name}] already exists and cannot be created again")
        stack = stack or self.region.new_stack(name)
        check_status(stack)
        changes = _changes(stack, template, request, kind)
        parameters = {item["ParameterKey"]: item for item in request.get("Parameters", ())}
        unchanged = (
            template == stack.template and input_parameters(stack, parameters) == stack.inputs
        )
        unchanged = unchanged and request.get("Tags", []) == stack.tags and kind == "UPDATE"
        identifier = f"arn:aws:cloudformation:{self.region.region}:{self.region.account}:changeSet"
        change_set = ChangeSet(
            id=f"{identifier}/{request['ChangeSetName']}/{uuid.uuid4()}",
            name=request["ChangeSetName"],
            type=kind,
            stack=stack,
            request=request,
            changes=changes,
            status="FAILED" if unchanged else "CREATE_COMPLETE",
            reason=_NO_CHANGES if unchanged else "",
            execution="UNAVAILABLE" if unchanged else "AVAILABLE",
        )
        self.change_sets[change_set.id] = change_set
        return {"Id": change_set.id, "StackId": stack.id}

    def delete_change_set(self, request: Request) -> None:
        """Deletes a change set."""
        try:
            del self.change_sets[self._change_set(request).id]
        except ChangeSetNotFoundError:
            return

    def execute_change_set(self, request: Request) -> None:
        """Executes a change set."""
        change_set = self._change_set(request)
        if change_set.execution != "AVAILABLE":
            raise ValidationError(
                f"ChangeSet [{change_set.id}] cannot be executed: {change_set.reason}"
            )
        change_set.execution = "EXECUTE_COMPLETE"
        import_ids = {
            item["LogicalResourceId"]: item["ResourceIdentifier"]
            for item in change_set.request.get("ResourcesToImport", ())
        }
        existing = bool(change_set.request.get("ImportExistingResources"))
        deploy(
            self.region,
            change_set.stack,
            change_set.request,
            Adoption(import_ids=import_ids, existing=existing),
        )

    def _change_set(self, request: Request) -> ChangeSet:
        name = request["ChangeSetName"]
        for item in self.change_sets.values():
            if name == item.id or (
                name == item.name and request.get("StackName") in (item.stack.name, item.stack.id)
            ):
                return item
        raise ChangeSetNotFoundError(f"ChangeSet [{name}] does not exist")


def _changes(
    stack: Stack, template: dict[str, Any], request: Request, kind: str
) -> list[dict[str, Any]]:
    imported = {item["LogicalResourceId"] for item in request.get("ResourcesToImport", ())}
    old, new = stack.template.get("Resources", {}), template["Resources"]
    changes = []
    for name in {**old, **new}:
        if name not in new:
            changes.append(_change("Remove", name, old[name], stack))
        elif name in imported:
            changes.append(_change("Import", name, new[name], stack))
        elif name not in old:
            changes.append(_change("Add", name, new[name], stack))
        elif new[name] != old[name]:
            before, after = (body.get("Properties", {}) for body in (old[name], new[name]))
            replaced = schema.needs_replacement(new[name]["Type"], stack.region, before, after)
            changes.append(_change("Modify", name, new[name], stack, replaced=replaced))
    if kind == "IMPORT" and [c for c in changes if c["ResourceChange"]["Action"] != "Import"]:
        raise ValidationError(
            "As part of the import operation, you cannot modify or add [Outputs or resources]"
        )
    return changes


def _change(
    action: str, name: str, body: dict[str, Any], stack: Stack, *, replaced: bool | None = None
) -> dict[str, Any]:
    resource = stack.resources.get(name)
    change: dict[str, Any] = {
        "Action": action,
        "LogicalResourceId": name,
        "ResourceType": body["Type"],
    }
    if resource:
        change["PhysicalResourceId"] = resource.physical_id
    if replaced is not None:
        change["Replacement"] = "True" if replaced else "False"
    return {"Type": "Resource", "ResourceChange": change}
