"""Change sets: what the CDK command line deploys by."""

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from . import schema
from .adoption import Adoption
from .checks import check_status, checked
from .deployment import deploy, given_parameters
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
    """The change sets of a region's stacks, beside what reads the stacks."""

    def __init__(self, region: Region) -> None:
        """Starts without a change set."""
        super().__init__(region)
        self.change_sets: dict[str, ChangeSet] = {}

    def describe_change_set(self, request: Request) -> dict[str, Any]:
        """Returns a change set with its changes."""
        found = self._change_set(request)
        return {
            "ChangeSetId": found.id,
            "ChangeSetName": found.name,
            "StackId": found.stack.id,
            "StackName": found.stack.name,
            "Status": found.status,
            "StatusReason": found.reason,
            "ExecutionStatus": found.execution,
            "CreationTime": found.created,
            "Changes": found.changes,
        }

    def list_change_sets(self, request: Request) -> dict[str, Any]:
        """Returns a stack's change sets."""
        stack = self.region.stack(request["StackName"])
        found = [item for item in self.change_sets.values() if item.stack is stack]
        return {"Summaries": [{"ChangeSetId": i.id, "ChangeSetName": i.name} for i in found]}

    def create_change_set(self, request: Request) -> dict[str, Any]:
        """Plans a create, an update or an import."""
        kind, name = request.get("ChangeSetType", "UPDATE"), request["StackName"]
        request["TemplateBody"] = self.region.body(request)
        template = checked(request["TemplateBody"], request)
        stack = self.region.find(name)
        if kind == "UPDATE" and (not stack or stack.status == "REVIEW_IN_PROGRESS"):
            raise ValidationError(f"Stack [{name}] does not exist")
        if kind == "CREATE" and stack and stack.status != "REVIEW_IN_PROGRESS":
            raise ValidationError(f"Stack [{name}] already exists and cannot be created again")
        stack = stack or self.region.new_stack(name)
        check_status(stack)
        changes = _changes(stack, template, request, kind)
        given = {item["ParameterKey"]: item for item in request.get("Parameters", ())}
        same = template == stack.template and given_parameters(stack, given) == stack.given
        same = same and request.get("Tags", []) == stack.tags and kind == "UPDATE"
        identifier = f"arn:aws:cloudformation:{self.region.region}:{self.region.account}:changeSet"
        found = ChangeSet(
            id=f"{identifier}/{request['ChangeSetName']}/{uuid.uuid4()}",
            name=request["ChangeSetName"],
            type=kind,
            stack=stack,
            request=request,
            changes=changes,
            status="FAILED" if same else "CREATE_COMPLETE",
            reason=_NO_CHANGES if same else "",
            execution="UNAVAILABLE" if same else "AVAILABLE",
        )
        self.change_sets[found.id] = found
        return {"Id": found.id, "StackId": stack.id}

    def delete_change_set(self, request: Request) -> None:
        """Forgets a change set."""
        try:
            del self.change_sets[self._change_set(request).id]
        except ChangeSetNotFoundError:
            return

    def execute_change_set(self, request: Request) -> None:
        """Does what a change set says."""
        found = self._change_set(request)
        if found.execution != "AVAILABLE":
            raise ValidationError(f"ChangeSet [{found.id}] cannot be executed: {found.reason}")
        found.execution = "EXECUTE_COMPLETE"
        listed = {
            item["LogicalResourceId"]: item["ResourceIdentifier"]
            for item in found.request.get("ResourcesToImport", ())
        }
        existing = bool(found.request.get("ImportExistingResources"))
        deploy(self.region, found.stack, found.request, Adoption(listed=listed, existing=existing))

    def _change_set(self, request: Request) -> ChangeSet:
        wanted = request["ChangeSetName"]
        for item in self.change_sets.values():
            if wanted == item.id or (
                wanted == item.name and request.get("StackName") in (item.stack.name, item.stack.id)
            ):
                return item
        raise ChangeSetNotFoundError(f"ChangeSet [{wanted}] does not exist")


def _changes(
    stack: Stack, template: dict[str, Any], request: Request, kind: str
) -> list[dict[str, Any]]:
    adopted = {item["LogicalResourceId"] for item in request.get("ResourcesToImport", ())}
    old, new = stack.template.get("Resources", {}), template["Resources"]
    changes = []
    for name in {**old, **new}:
        if name not in new:
            changes.append(_change("Remove", name, old[name], stack))
        elif name in adopted:
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
    known = stack.resources.get(name)
    change: dict[str, Any] = {
        "Action": action,
        "LogicalResourceId": name,
        "ResourceType": body["Type"],
    }
    if known:
        change["PhysicalResourceId"] = known.physical_id
    if replaced is not None:
        change["Replacement"] = "True" if replaced else "False"
    return {"Type": "Resource", "ResourceChange": change}
