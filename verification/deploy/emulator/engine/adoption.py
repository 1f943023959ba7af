"""Which existing resources a stack takes over instead of making them."""

from dataclasses import dataclass, field
from typing import Any

from . import schema
from .errors import FAILURES, AbsentError
from .resources import Place, Properties, ResourceType


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
    except (*FAILURES, AbsentError):
        return False
    return True
