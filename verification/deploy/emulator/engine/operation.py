"""What an operation does to a stack's resources: create, update, roll back, delete."""

import traceback
from collections.abc import Callable
from typing import Any

from . import schema
from .adoption import Adoption
from .errors import FAILURES, AbsentError, ResourceError
from .resources import Place, Properties, ResourceType, type_of
from .stack import Resource, Stack, deletion_order, new_resource
from .template import Scope


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
            kind = type_of(body["Type"])
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
            physical_id = self._made(kind, at, wanted)
        new = new_resource(logical_id, body, wanted, physical_id, f"{verb}_COMPLETE")
        stack.resources[logical_id] = new
        if old:
            self._replaced.append(old)
        self._undo.append(lambda: self._uncreate(new, old, adopted=bool(identifiers)))
        new.attributes = kind.attributes(at, physical_id, wanted)
        stack.record(logical_id, kind.name, physical_id, new.status)

    def _made(self, kind: ResourceType, at: Place, wanted: Properties) -> str:
        try:
            return kind.create(at, wanted)
        except Exception:
            # What a later call of a creation failed at exists by then, and no undo knows of it.
            for physical_id in at.made:
                identity = (at.logical_id, kind.name, physical_id)
                try:
                    kind.delete(at, physical_id, {**wanted, **kind.read(at, physical_id, wanted)})
                except (*FAILURES, AbsentError) as error:
                    self.stack.record(*identity, "DELETE_FAILED", str(error))
                else:
                    self.stack.record(*identity, "DELETE_COMPLETE")
            raise

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
        except AbsentError as error:
            raise ResourceError(f"Resource of type '{kind.name}' was not found: {error}") from error
        return physical_id

    def _change(
        self, kind: ResourceType, old: Resource, body: dict[str, Any], wanted: Properties
    ) -> None:
        stack = self.stack
        if old.properties == wanted:
            new = new_resource(old.logical_id, body, wanted, old.physical_id, old.status)
            new.attributes = old.attributes
        elif schema.needs_replacement(kind.name, stack.region, old.properties, wanted):
            reason = "Requested update requires the creation of a new physical resource"
            stack.record(old.logical_id, kind.name, "", "UPDATE_IN_PROGRESS", reason)
            self._create(kind, old.logical_id, body, wanted, old)
            return
        else:
            new = self._updated(kind, old, body, wanted)
        stack.resources[old.logical_id] = new
        self._undo.append(lambda: stack.resources.update({old.logical_id: old}))

    def _updated(
        self, kind: ResourceType, old: Resource, body: dict[str, Any], wanted: Properties
    ) -> Resource:
        stack, at = self.stack, self.stack.place(old.logical_id)
        stack.record(old.logical_id, kind.name, old.physical_id, "UPDATE_IN_PROGRESS")
        changed = _changed(old.properties, wanted)
        for name in changed & kind.fixed.keys():
            raise ResourceError(kind.fixed[name])
        if kind.updated is not None and (unknown := changed - kind.updated):
            raise ResourceError(f"the emulator can't change {min(unknown)} of {kind.name}")
        physical_id = old.physical_id

        def undo() -> None:
            kind.update(at, physical_id, wanted, old.properties)
            if physical_id != old.physical_id:
                kind.delete(at, physical_id, wanted)

        self._undo.append(undo)
        physical_id = kind.update(at, physical_id, old.properties, wanted) or physical_id
        if physical_id != old.physical_id:
            self._replaced.append(old)
        new = new_resource(old.logical_id, body, wanted, physical_id, "UPDATE_COMPLETE")
        new.attributes = kind.attributes(at, physical_id, wanted)
        stack.record(old.logical_id, kind.name, physical_id, "UPDATE_COMPLETE")
        return new

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
        for resource in deletion_order([*self.stack.resources.values()]):
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
        type_of(resource.type).delete(stack.place(name), resource.physical_id, resource.properties)
        stack.record(*identity, "DELETE_COMPLETE")


def _changed(old: Properties, new: Properties) -> set[str]:
    return {key for key in {*old, *new} if old.get(key) != new.get(key)}
