"""A stack and what an operation does to it: create, update, roll back, delete."""

import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from . import schema
from .errors import FAILURES, ResourceError
from .resources import TYPES, Place, Properties, ResourceType
from .template import Scope, creation_order, references


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
    given: dict[str, str] = field(default_factory=dict)
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
        """Moves the stack to a status and tells so in an event."""
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
        """Returns where a resource of this stack lives."""
        return Place(
            account=self.account,
            region=self.region,
            stack=self.name,
            logical_id=logical_id,
            aws=self.aws,
        )


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """Which existing resources an operation takes over instead of making them.

    Attributes:
        listed: identifying properties by logical id, of a change set of type IMPORT.
        existing: whether any resource with a name of its own that exists is taken over.
    """

    listed: dict[str, dict[str, str]] = field(default_factory=dict)
    existing: bool = False

    def identifiers(self, kind: ResourceType, at: Place, body: Any, wanted: Properties) -> Any:
        """Returns a resource's identifying properties if it is to be adopted."""
        if at.logical_id in self.listed:
            return self.listed[at.logical_id]
        names = schema.identifier(kind.name, at.region)
        retained = str(body.get("DeletionPolicy", "")).startswith("Retain")
        if not (self.existing and retained and names):
            return None
        optional = {"CatalogId": at.account, "TableCatalogId": at.account}
        given = {name: wanted.get(name, optional.get(name)) for name in names}
        return given if all(given.values()) and _is_there(kind, at, wanted, given) else None


def _is_there(kind: ResourceType, at: Place, wanted: Properties, given: dict[str, str]) -> bool:
    try:
        kind.read(at, kind.found_id(at, wanted, given), wanted)
    except (*FAILURES, LookupError):
        return False
    return True


class Operation:
    """One create, update or delete of a stack's resources, which it can undo."""

    def __init__(self, stack: Stack, adoption: Adoption | None = None) -> None:
        self.stack = stack
        self.adoption = adoption or Adoption()
        self._undo: list[Callable[[], None]] = []
        self._replaced: list[Resource] = []

    def apply(self, scope: Scope) -> None:
        """Makes, changes and replaces what the template says, in order.

        Raises:
            ResourceError: if a resource fails; call `roll_back`.
        """
        for logical_id, body in scope.active().items():
            kind = TYPES[body["Type"]]
            old = self.stack.resources.get(logical_id)
            try:
                wanted = self._properties(kind, scope, body)
                if old and old.type == kind.name:
                    self._change(kind, old, body, wanted)
                else:
                    self._create(kind, logical_id, body, wanted, old)
            except Exception as error:
                # A fault of the emulator fails the stack too: an error 500 would be tried again.
                if not isinstance(error, FAILURES):
                    traceback.print_exc()
                status = "UPDATE_FAILED" if old else "CREATE_FAILED"
                physical_id = old.physical_id if old else ""
                self.stack.record(logical_id, kind.name, physical_id, status, str(error))
                raise ResourceError(
                    f"The following resource(s) failed to {'update' if old else 'create'}: "
                    f"[{logical_id}]. {error}"
                ) from error

    def _properties(self, kind: ResourceType, scope: Scope, body: dict[str, Any]) -> Properties:
        wanted = scope.resolve(body.get("Properties", {}))
        wanted = schema.validated(kind.name, self.stack.region, wanted)
        if kind.handled is not None and (unknown := set(wanted) - kind.handled):
            raise ResourceError(
                f"the emulator does not know {kind.name}'s property {min(unknown)}: "
                "see docs/emulator.md"
            )
        return wanted

    def _create(
        self,
        kind: ResourceType,
        logical_id: str,
        body: dict[str, Any],
        wanted: Properties,
        old: Resource | None = None,
    ) -> None:
        stack, at = self.stack, self.stack.place(logical_id)
        identifiers = self.adoption.identifiers(kind, at, body, wanted)
        verb = "IMPORT" if identifiers else "CREATE"
        stack.record(logical_id, kind.name, "", f"{verb}_IN_PROGRESS")
        if identifiers:
            physical_id = self._adopted(kind, at, body, wanted, identifiers)
        else:
            physical_id = kind.create(at, wanted)
        new = _resource(logical_id, body, wanted, physical_id, f"{verb}_COMPLETE")
        stack.resources[logical_id] = new
        if old:
            self._replaced.append(old)
        self._undo.append(lambda: self._uncreate(new, old, adopted=bool(identifiers)))
        new.attributes = kind.attributes(at, physical_id, wanted)
        stack.record(logical_id, kind.name, physical_id, new.status)

    def _adopted(
        self, kind: ResourceType, at: Place, body: Any, wanted: Properties, given: dict[str, str]
    ) -> str:
        if schema.identifier(kind.name, at.region) is None:
            raise ResourceError(f"ResourceTypes [{kind.name}] are not supported for Import")
        if "DeletionPolicy" not in body:
            raise ResourceError("Resources to import must have DeletionPolicy attribute specified")
        physical_id = kind.found_id(at, wanted, given)
        try:
            kind.read(at, physical_id, wanted)
        except LookupError as error:
            raise ResourceError(f"Resource of type '{kind.name}' was not found: {error}") from error
        return physical_id

    def _change(
        self, kind: ResourceType, old: Resource, body: dict[str, Any], wanted: Properties
    ) -> None:
        stack, at = self.stack, self.stack.place(old.logical_id)
        if old.properties == wanted:
            new = _resource(old.logical_id, body, wanted, old.physical_id, old.status)
            new.attributes = old.attributes
        elif schema.needs_replacement(kind.name, stack.region, old.properties, wanted):
            reason = "Requested update requires the creation of a new physical resource"
            stack.record(old.logical_id, kind.name, "", "UPDATE_IN_PROGRESS", reason)
            self._create(kind, old.logical_id, body, wanted, old)
            return
        else:
            stack.record(old.logical_id, kind.name, old.physical_id, "UPDATE_IN_PROGRESS")
            self._undo.append(lambda: kind.update(at, old.physical_id, wanted, old.properties))
            kind.update(at, old.physical_id, old.properties, wanted)
            new = _resource(old.logical_id, body, wanted, old.physical_id, "UPDATE_COMPLETE")
            new.attributes = kind.attributes(at, old.physical_id, wanted)
            stack.record(old.logical_id, kind.name, old.physical_id, "UPDATE_COMPLETE")
        stack.resources[old.logical_id] = new
        self._undo.append(lambda: stack.resources.update({old.logical_id: old}))

    def _uncreate(self, new: Resource, old: Resource | None, *, adopted: bool) -> None:
        del self.stack.resources[new.logical_id]
        if old:
            self.stack.resources[new.logical_id] = old
        if not adopted:
            self._delete(new, new.deletion_policy)

    def roll_back(self) -> list[str]:
        """Undoes what `apply` did, newest first; returns what could not be undone."""
        failed = []
        for undo in reversed(self._undo):
            try:
                undo()
            except FAILURES as error:
                failed.append(str(error))
        return failed

    def clean_up(self, wanted: set[str]) -> None:
        """Deletes what was replaced and what the template no longer holds.

        As in CloudFormation the stack is updated by then: what can't be deleted is left behind,
        and an event says so.
        """
        gone = [item for name, item in self.stack.resources.items() if name not in wanted]
        for resource in _deletion_order([*self.stack.resources.values()]):
            if resource in gone:
                del self.stack.resources[resource.logical_id]
                self._try_delete(resource, resource.deletion_policy)
        for resource in reversed(self._replaced):
            self._try_delete(resource, resource.replace_policy)

    def delete_all(self) -> list[str]:
        """Deletes every resource, each after what depends on it; returns what failed.

        What something else that failed depends on is left alone, as in CloudFormation.
        """
        failed: list[str] = []
        for resource in _deletion_order([*self.stack.resources.values()]):
            dependants = [
                name
                for name in failed
                if resource.logical_id in self.stack.resources[name].depends_on
            ]
            if not dependants and self._try_delete(resource, resource.deletion_policy):
                del self.stack.resources[resource.logical_id]
            else:
                failed.append(resource.logical_id)
        return failed

    def _try_delete(self, resource: Resource, policy: str) -> bool:
        try:
            self._delete(resource, policy)
        except FAILURES as error:
            self.stack.record(
                resource.logical_id,
                resource.type,
                resource.physical_id,
                "DELETE_FAILED",
                str(error),
            )
            return False
        return True

    def _delete(self, resource: Resource, policy: str) -> None:
        stack, name = self.stack, resource.logical_id
        identity = (name, resource.type, resource.physical_id)
        if policy == "Retain" or (
            policy == "RetainExceptOnCreate" and "ROLLBACK" not in stack.status
        ):
            stack.record(*identity, "DELETE_SKIPPED")
            return
        stack.record(*identity, "DELETE_IN_PROGRESS")
        TYPES[resource.type].delete(stack.place(name), resource.physical_id, resource.properties)
        stack.record(*identity, "DELETE_COMPLETE")


def _resource(
    logical_id: str, body: dict[str, Any], wanted: Properties, physical_id: str, status: str
) -> Resource:
    explicit = body.get("DependsOn", [])
    return Resource(
        logical_id=logical_id,
        type=body["Type"],
        physical_id=physical_id,
        properties=wanted,
        depends_on=[
            *([explicit] if isinstance(explicit, str) else explicit),
            *references(body.get("Properties")),
        ],
        deletion_policy=body.get("DeletionPolicy", "Delete"),
        replace_policy=body.get("UpdateReplacePolicy", "Delete"),
        status=status,
    )


def _deletion_order(resources: list[Resource]) -> list[Resource]:
    by_name = {item.logical_id: item for item in resources}
    bodies = {
        name: {"DependsOn": [used for used in item.depends_on if used in by_name and used != name]}
        for name, item in by_name.items()
    }
    return [by_name[name] for name in reversed(creation_order(bodies))]
