"""Operations on a stack's resources: create, update, roll back, delete."""

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
        desired = schema.validated(kind.name, self.stack.region, desired)
        if kind.handled is not None and (unknown := set(desired) - kind.handled):
            raise ResourceError(
                f"the emulator does not know {kind.name}'s property {min(unknown)}: "
                "see docs/emulator.md"
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
        if schema.identifier(kind.name, place.region) is None:
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
        elif schema.needs_replacement(kind.name, stack.region, old.properties, desired):
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


def _changed_keys(old: Properties, new: Properties) -> set[str]:
    return {key for key in {*old, *new} if old.get(key) != new.get(key)}
