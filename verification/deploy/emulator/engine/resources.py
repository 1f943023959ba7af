"""What the engine asks of a resource type."""

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

Properties = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a resource lives, and the server's own API there.

    Attributes:
        made: the ids of what a creation of several calls has made so far; if a later call fails,
            the engine deletes it.
    """

    account: str
    region: str
    stack: str
    logical_id: str
    aws: Callable[[str], Any]
    made: list[str] = field(default_factory=list)

    def generated_name(self, limit: int) -> str:
        """Returns a name for a resource whose template gives none: other ones each time."""
        return f"{self.stack}-{self.logical_id}"[: limit - 13] + f"-{uuid.uuid4().hex[:12]}"


class ResourceType(ABC):
    """One CloudFormation type.

    Its methods call the server's API through boto3, whose models of the real APIs check each
    member; the registry's schema has been checked before.

    Attributes:
        name: such as `AWS::Glue::Table`.
        handled: the properties that `create` knows; None where it passes all on.
        updated: those that `update` applies; None where it takes any. A change of another one is
            refused, so that no update reports success and changes nothing.
        fixed: those that may not change at all -> what is said of it.
    """

    name: str
    handled: ClassVar[frozenset[str] | None] = None
    updated: ClassVar[frozenset[str] | None] = frozenset()
    fixed: ClassVar[dict[str, str]] = {}

    @abstractmethod
    def create(self, at: Place, wanted: Properties) -> str:
        """Makes the resource and returns its physical id: what `Ref` gives."""

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> str | None:
        """Changes it in place; called only where none but `updated` properties differ.

        Returns another physical id if the change has made another resource: the old one is then
        deleted at the end. Custom resources alone do.
        """
        raise NotImplementedError(f"{self.name}: no update in place")

    @abstractmethod
    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        """Deletes it."""

    @abstractmethod
    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        """Returns what the service says of it, in the shape of its template's properties.

        `wanted` tells where to look; no value of the answer may come from it but where an API
        can only be asked whether something holds.

        Raises:
            ClientError, AbsentError: if it is not there.
        """

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        """Returns what `Fn::GetAtt` gives."""
        return {}

    def found_id(self, at: Place, wanted: Properties, given: dict[str, str]) -> str:
        """Returns the physical id of a resource to be imported, from its identifying properties."""
        return "|".join(given.values())


def tags_of(pairs: dict[str, str]) -> list[dict[str, str]]:
    """Returns tags as most templates have them, from a service that answers with a map."""
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def changed_tags(old: Properties, new: Properties) -> tuple[list[str], list[dict[str, str]]]:
    """Returns the keys that an update takes away, and the tags that it sets."""
    kept = {tag["Key"] for tag in new.get("Tags", [])}
    gone = [tag["Key"] for tag in old.get("Tags", []) if tag["Key"] not in kept]
    return gone, new.get("Tags", [])


_TYPES: dict[str, ResourceType] = {}
_FAMILIES: dict[str, Callable[[str], ResourceType]] = {}


def register(kind: type[ResourceType]) -> None:
    """Makes a type known to the engine."""
    _TYPES[kind.name] = kind()


def register_family(prefix: str, make: Callable[[str], ResourceType]) -> None:
    """Makes all types known whose names begin with a prefix; `make` makes one by its name."""
    _FAMILIES[prefix] = make


def find_type(name: str) -> ResourceType | None:
    """Returns a type by its name, if the engine knows it."""
    for prefix, make in _FAMILIES.items():
        if name.startswith(prefix) and name not in _TYPES:
            _TYPES[name] = make(name)
    return _TYPES.get(name)


def type_of(name: str) -> ResourceType:
    """Returns a known type."""
    found = find_type(name)
    if found is None:
        raise KeyError(name)
    return found
