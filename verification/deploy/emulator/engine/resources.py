"""The interface of a resource type."""

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

Properties = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Place:
    """The location of a resource, and the server's own API there.

    Attributes:
        created_ids: the ids that a creation of several calls has made so far; if a later call
            fails, the engine deletes those resources.
    """

    account: str
    region: str
    stack: str
    logical_id: str
    aws: Callable[[str], Any]
    created_ids: list[str] = field(default_factory=list)

    def generated_name(self, limit: int) -> str:
        """Returns a new random name for a resource whose template gives none."""
        return f"{self.stack}-{self.logical_id}"[: limit - 13] + f"-{uuid.uuid4().hex[:12]}"


class ResourceType(ABC):
    """One CloudFormation type.

    Its methods call the server's API through boto3, whose models of the real APIs check each
    member; the registry's schema has been checked before.

    Attributes:
        name: such as `AWS::Glue::Table`.
        handled: the properties that `create` supports; None where it passes all on.
        updated: those that `update` applies; None where it takes any. A change of another one is
            refused, so that no update reports success and changes nothing.
        fixed: those that may not change at all -> the error message.
    """

    name: str
    handled: frozenset[str] | None = None
    updated: frozenset[str] | None = frozenset()
    fixed: ClassVar[dict[str, str]] = {}

    @abstractmethod
    def create(self, place: Place, desired: Properties) -> str:
        """Creates the resource and returns its physical id, the value of `Ref`."""

    def update(
        self, place: Place, physical_id: str, old: Properties, new: Properties
    ) -> str | None:
        """Changes it in place; called only where no other than `updated` properties differ.

        Returns another physical id if the change has made another resource; the engine then deletes
        the old one at the end. Only custom resources do so.
        """
        raise NotImplementedError(f"{self.name}: no update in place")

    @abstractmethod
    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        """Deletes it."""

    @abstractmethod
    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        """Returns the service's description of it, in the shape of its template's properties.

        `desired` identifies the resource. The result may take a value from it only where an API
        can merely confirm the value.

        Raises:
            ClientError, AbsentError: if it does not exist.
        """

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        """Returns the values of `Fn::GetAtt`."""
        return {}

    def import_id(self, place: Place, desired: Properties, identifiers: dict[str, str]) -> str:
        """Returns the physical id of a resource to be imported, from its identifying properties."""
        return "|".join(identifiers.values())


def tags_of(pairs: dict[str, str]) -> list[dict[str, str]]:
    """Returns tags in the shape of most templates, from a service that answers with a map."""
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def changed_tags(old: Properties, new: Properties) -> tuple[list[str], list[dict[str, str]]]:
    """Returns the keys that an update removes, and the tags that it sets."""
    before, after = (side.get("Tags", []) for side in (old, new))
    before, after = (tags_of(tags) if isinstance(tags, dict) else tags for tags in (before, after))
    keys = {tag["Key"] for tag in after}
    return [tag["Key"] for tag in before if tag["Key"] not in keys], after


_TYPES: dict[str, ResourceType] = {}
_FAMILIES: dict[str, Callable[[str], ResourceType]] = {}


def register(kind: ResourceType) -> None:
    """Registers a type with the engine."""
    _TYPES[kind.name] = kind


def register_family(prefix: str, make: Callable[[str], ResourceType]) -> None:
    """Registers all types whose names begin with a prefix; `make` makes one by its name."""
    _FAMILIES[prefix] = make


def find_type(name: str) -> ResourceType | None:
    """Returns a type by its name, if the engine knows it."""
    for prefix, make in _FAMILIES.items():
        if name.startswith(prefix) and name not in _TYPES:
            _TYPES[name] = make(name)
    return _TYPES.get(name)


def type_of(name: str) -> ResourceType:
    """Returns a known type."""
    resource_type = find_type(name)
    if resource_type is None:
        raise KeyError(name)
    return resource_type
