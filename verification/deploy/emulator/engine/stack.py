"""Stacks of an account in a region: their state, and operations on their resources."""

import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .resources import (
    FAILURES,
    AbsentError,
    Place,
    Properties,
    ResourceError,
    ResourceType,
    ValidationError,
    identifier,
    needs_replacement,
    type_of,
    validated,
)
from .template import Scope, creation_order, dependencies


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """The existing resources that an operation takes over instead of creating them."""

    # Logical id -> identifying properties, of a change set of type IMPORT.
    import_ids: dict[str, dict[str, str]] = field(default_factory=dict)
    existing: bool = False  # whether any that has a name of its own is taken over

    def identifiers(self, kind: ResourceType, place: Place, body: Any, desired: Properties) -> Any:
        """Returns a resource's identifying properties if it is to be adopted."""
        if place.logical_id in self.import_ids:
            return self.import_ids[place.logical_id]
        names = identifier(kind.name, place.region)
        retained = str(body.get("DeletionPolicy", "")).startswith("Retain")
        if not (self.existing and retained and names):
            return None
        optional = {"CatalogId": place.account, "TableCatalogId": place.account}
        identifiers = {name: desired.get(name, optional.get(name)) for name in names}
        return (
            identifiers
            if all(identifiers.values()) and _exists(kind, place, desired, identifiers)
            else None
        )


def _exists(
    kind: ResourceType, place: Place, desired: Properties, identifiers: dict[str, str]
) -> bool:
    try:
        kind.read(place, kind.import_id(place, desired, identifiers), desired)
    except (*FAILURES, AbsentError):
        return False
    return True


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
        return {
            output["ExportName"]: output["OutputValue"]
            for output in self.outputs
            if "ExportName" in output
        }

    def set_status(self, status: str, reason: str = "") -> None:
        self.status, self.reason = status, reason
        self.record(self.name, "AWS::CloudFormation::Stack", self.id, status, reason)

    def record(self, name: str, kind: str, physical_id: str, status: str, reason: str = "") -> None:
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
    by_name = {item.logical_id: item for item in resources}
    bodies = {
        name: {"DependsOn": [one for one in item.depends_on if one in by_name and one != name]}
        for name, item in by_name.items()
    }
    return [by_name[name] for name in reversed(creation_order(bodies))]


Request = dict[str, Any]


class Region:
    """The stacks by id, and the deleted ones."""

    def __init__(self, account: str, region: str, aws: Callable[[str], Any]) -> None:
        self.account = account
        self.region = region
        self.aws = aws
        self.stacks: dict[str, Stack] = {}
        self.deleted: dict[str, Stack] = {}

    def new_stack(self, name: str) -> Stack:
        identifier = f"arn:aws:cloudformation:{self.region}:{self.account}:stack/{name}"
        stack = Stack(
            id=f"{identifier}/{uuid.uuid4()}",
            name=name,
            account=self.account,
            region=self.region,
            aws=self.aws,
        )
        self.stacks[stack.id] = stack
        return stack

    def find(self, name: str) -> Stack | None:
        for stack in self.stacks.values():
            if name in (stack.name, stack.id):
                return stack
        return None

    def stack(self, name: str) -> Stack:
        """Returns a stack by its name, or also a deleted one by its id.

        Raises:
            ValidationError: if there is none.
        """
        stack = self.find(name) or self.deleted.get(name)
        if stack is None:
            raise ValidationError(f"Stack with id {name} does not exist")
        return stack

    def check_exports(self, stack: Stack, new: dict[str, str], verb: str) -> None:
        """Raises ResourceError if a stack's `new` exports take a used name or remove one in use."""
        for other in self.stacks.values():
            if other is not stack and (duplicates := set(new) & set(other.exports())):
                raise ResourceError(f"Export with name {min(duplicates)} is already exported")
        for name, value in stack.exports().items():
            users = [other.name for other in self.stacks.values() if name in other.imports]
            if users and new.get(name) != value:
                raise ResourceError(
                    f"Export {name} cannot be {verb} as it is in use by {', '.join(users)}"
                )

    def imported(self, stack: Stack, name: str) -> str:
        for other in self.stacks.values():
            if other is not stack and name in other.exports():
                return other.exports()[name]
        raise ResourceError(f"No export named {name} found.")

    def stack_output(self, reference: dict[str, str]) -> str:
        if reference.get("Region", self.region) != self.region:
            raise ResourceError("the emulator knows one region only in Fn::GetStackOutput")
        stack = self.find(reference["StackName"])
        for output in stack.outputs if stack else ():
            if output["OutputKey"] == reference["OutputName"]:
                return output["OutputValue"]
        raise ResourceError(
            f"Output {reference['OutputName']} of {reference['StackName']} is not there"
        )

    def body(self, request: Request) -> str:
        """Returns the template that a request gives, names by its URL, or keeps."""
        if body := request.get("TemplateBody"):
            return str(body)
        if template_url := request.get("TemplateURL"):
            bucket, key = _bucket_and_key(template_url)
            content = self.aws("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
            return str(content.decode())
        return self.stack(request["StackName"]).template_body


def _bucket_and_key(url: str) -> tuple[str, str]:
    host, _, path = url.split("://", 1)[1].partition("/")
    if host.startswith("s3.") or ":" in host:
        bucket, _, key = path.partition("/")
        return bucket, key
    return host.split(".s3", 1)[0], path


class Operation:
    """One create, update or delete of a stack's resources, which it can undo."""

    def __init__(self, stack: Stack, adoption: Adoption | None = None) -> None:
        self.stack = stack
        self.adoption = adoption or Adoption()
        self._undo: list[Callable[[], None]] = []
        self._replaced: list[Resource] = []

    def apply(self, scope: Scope) -> None:
        """Creates, changes and replaces the template's resources, in order.

        Raises:
            ResourceError: if a resource fails; call `roll_back`.
        """
        for logical_id, body in scope.active().items():
            kind = type_of(body["Type"])
            old = self.stack.resources.get(logical_id)
            try:
                desired = self._properties(kind, scope, body)
                if old and old.type == kind.name:
                    self._change(kind, old, body, desired)
                else:
                    self._create(kind, logical_id, body, desired, old)
            except Exception as error:
                # A fault of the emulator fails the stack too: clients would retry an error 500.
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
        desired = scope.resolve(body.get("Properties", {}))
        desired = validated(kind.name, self.stack.region, desired)
        if kind.handled is not None and (unknown := set(desired) - kind.handled):
            raise ResourceError(
                f"the emulator does not know {kind.name}'s property {min(unknown)}: "
                "see verification/README.md"
            )
        return desired

    def _create(
        self,
        kind: ResourceType,
        logical_id: str,
        body: dict[str, Any],
        desired: Properties,
        old: Resource | None = None,
    ) -> None:
        stack, place = self.stack, self.stack.place(logical_id)
        identifiers = self.adoption.identifiers(kind, place, body, desired)
        verb = "IMPORT" if identifiers else "CREATE"
        stack.record(logical_id, kind.name, "", f"{verb}_IN_PROGRESS")
        if identifiers:
            physical_id = self._adopt(kind, place, body, desired, identifiers)
        else:
            physical_id = self._create_physical(kind, place, desired)
        new = new_resource(logical_id, body, desired, physical_id, f"{verb}_COMPLETE")
        stack.resources[logical_id] = new
        if old:
            self._replaced.append(old)
        self._undo.append(lambda: self._undo_create(new, old, adopted=bool(identifiers)))
        new.attributes = kind.attributes(place, physical_id, desired)
        stack.record(logical_id, kind.name, physical_id, new.status)

    def _create_physical(self, kind: ResourceType, place: Place, desired: Properties) -> str:
        try:
            return kind.create(place, desired)
        except Exception:
            # Resources of earlier calls of this creation exist already, and no undo covers them.
            for physical_id in place.created_ids:
                identity = (place.logical_id, kind.name, physical_id)
                try:
                    kind.delete(
                        place, physical_id, {**desired, **kind.read(place, physical_id, desired)}
                    )
                except (*FAILURES, AbsentError) as error:
                    self.stack.record(*identity, "DELETE_FAILED", str(error))
                else:
                    self.stack.record(*identity, "DELETE_COMPLETE")
            raise

    def _adopt(
        self,
        kind: ResourceType,
        place: Place,
        body: Any,
        desired: Properties,
        identifiers: dict[str, str],
    ) -> str:
        if identifier(kind.name, place.region) is None:
            raise ResourceError(f"ResourceTypes [{kind.name}] are not supported for Import")
        if "DeletionPolicy" not in body:
            raise ResourceError("Resources to import must have DeletionPolicy attribute specified")
        physical_id = kind.import_id(place, desired, identifiers)
        try:
            kind.read(place, physical_id, desired)
        except AbsentError as error:
            raise ResourceError(f"Resource of type '{kind.name}' was not found: {error}") from error
        return physical_id

    def _change(
        self, kind: ResourceType, old: Resource, body: dict[str, Any], desired: Properties
    ) -> None:
        stack = self.stack
        if old.properties == desired:
            new = new_resource(old.logical_id, body, desired, old.physical_id, old.status)
            new.attributes = old.attributes
        elif needs_replacement(kind.name, stack.region, old.properties, desired):
            reason = "Requested update requires the creation of a new physical resource"
            stack.record(old.logical_id, kind.name, "", "UPDATE_IN_PROGRESS", reason)
            self._create(kind, old.logical_id, body, desired, old)
            return
        else:
            new = self._update(kind, old, body, desired)
        stack.resources[old.logical_id] = new
        self._undo.append(lambda: stack.resources.update({old.logical_id: old}))

    def _update(
        self, kind: ResourceType, old: Resource, body: dict[str, Any], desired: Properties
    ) -> Resource:
        stack, place = self.stack, self.stack.place(old.logical_id)
        stack.record(old.logical_id, kind.name, old.physical_id, "UPDATE_IN_PROGRESS")
        changed = _changed_keys(old.properties, desired)
        for name in changed & kind.fixed.keys():
            raise ResourceError(kind.fixed[name])
        if kind.updated is not None and (unknown := changed - kind.updated):
            raise ResourceError(f"the emulator can't change {min(unknown)} of {kind.name}")
        physical_id = old.physical_id

        def undo() -> None:
            kind.update(place, physical_id, desired, old.properties)
            if physical_id != old.physical_id:
                kind.delete(place, physical_id, desired)

        self._undo.append(undo)
        physical_id = kind.update(place, physical_id, old.properties, desired) or physical_id
        if physical_id != old.physical_id:
            self._replaced.append(old)
        new = new_resource(old.logical_id, body, desired, physical_id, "UPDATE_COMPLETE")
        new.attributes = kind.attributes(place, physical_id, desired)
        stack.record(old.logical_id, kind.name, physical_id, "UPDATE_COMPLETE")
        return new

    def _undo_create(self, new: Resource, old: Resource | None, *, adopted: bool) -> None:
        del self.stack.resources[new.logical_id]
        if old:
            self.stack.resources[new.logical_id] = old
        if not adopted:
            self._delete(new, new.deletion_policy)

    def roll_back(self) -> list[str]:
        """Undoes what `apply` did, newest first; returns the errors."""
        failed = []
        for undo in reversed(self._undo):
            try:
                undo()
            except FAILURES as error:
                failed.append(str(error))
        return failed

    def clean_up(self, logical_ids: set[str]) -> None:
        """Deletes replaced resources and those that the template no longer has.

        As in CloudFormation the stack is updated by then: a resource that can't be deleted is left
        behind, and an event says so.
        """
        removed = [item for name, item in self.stack.resources.items() if name not in logical_ids]
        for resource in deletion_order([*self.stack.resources.values()]):
            if resource in removed:
                del self.stack.resources[resource.logical_id]
                self._try_delete(resource, resource.deletion_policy)
        for resource in reversed(self._replaced):
            self._try_delete(resource, resource.replace_policy)

    def delete_all(self) -> list[str]:
        """Deletes every resource, dependants first; returns the logical ids that failed.

        A resource that a failed one depends on is left alone, as in CloudFormation.
        """
        failed: list[str] = []
        for resource in deletion_order([*self.stack.resources.values()]):
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
            identity = (resource.logical_id, resource.type, resource.physical_id)
            self.stack.record(*identity, "DELETE_FAILED", str(error))
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
        type_of(resource.type).delete(stack.place(name), resource.physical_id, resource.properties)
        stack.record(*identity, "DELETE_COMPLETE")


def _changed_keys(old: Properties, new: Properties) -> set[str]:
    return {key for key in {*old, *new} if old.get(key) != new.get(key)}
