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
        updated: those that `update` applies. A change of another one is refused, so that no
            update reports success and changes nothing.
    """

    name: ClassVar[str]
    handled: ClassVar[frozenset[str] | None] = None
    updated: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def create(self, at: Place, wanted: Properties) -> str:
        """Makes the resource and returns its physical id: what `Ref` gives."""

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        """Changes it in place; called only where none but `updated` properties differ."""
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


TYPES: dict[str, ResourceType] = {}


def register(kind: type[ResourceType]) -> type[ResourceType]:
    """Makes a type known to the engine."""
    TYPES[kind.name] = kind()
    return kind
