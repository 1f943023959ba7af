"""What the engine asks of a resource type."""

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

Properties = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a resource lives, and the server's own API there."""

    account: str
    region: str
    stack: str
    logical_id: str
    aws: Callable[[str], Any]

    def generated_name(self, limit: int) -> str:
        """Returns a name for a resource whose template gives none: other ones each time."""
        return f"{self.stack}-{self.logical_id}"[: limit - 13] + f"-{uuid.uuid4().hex[:12]}"


class ResourceType(ABC):
    """One CloudFormation type.

    Its methods call the server's API through boto3, whose models of the real APIs check each
    member; the registry's schema has been checked before.

    Attributes:
        name: such as `AWS::Glue::Table`.
        handled: the properties that `create` and `update` know; None where they pass all on.
    """

    name: ClassVar[str]
    handled: ClassVar[frozenset[str] | None] = None

    @abstractmethod
    def create(self, at: Place, wanted: Properties) -> str:
        """Makes the resource and returns its physical id: what `Ref` gives."""

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        """Changes it in place; called only where no create-only property differs."""
        raise NotImplementedError(f"{self.name}: no update in place")

    @abstractmethod
    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        """Deletes it."""

    @abstractmethod
    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        """Returns what the service says of it.

        Raises:
            ClientError, LookupError: if it is not there.
        """

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        """Returns what `Fn::GetAtt` gives."""
        return {}

    def found_id(self, at: Place, wanted: Properties, given: dict[str, str]) -> str:
        """Returns the physical id of a resource to be imported, from its identifying properties."""
        return "|".join(given.values())


TYPES: dict[str, ResourceType] = {}


def register(kind: type[ResourceType]) -> type[ResourceType]:
    """Makes a type known to the engine."""
    TYPES[kind.name] = kind()
    return kind
