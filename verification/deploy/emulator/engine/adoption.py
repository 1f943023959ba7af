"""Existing resources that a stack takes over instead of creating them."""

from dataclasses import dataclass, field
from typing import Any

from . import schema
from .errors import FAILURES, AbsentError
from .resources import Place, Properties, ResourceType


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """The existing resources that an operation takes over instead of creating them.

    Attributes:
        import_ids: identifying properties by logical id, of a change set of type IMPORT.
        existing: whether any resource with a name of its own that exists is taken over.
    """

    import_ids: dict[str, dict[str, str]] = field(default_factory=dict)
    existing: bool = False

    def identifiers(self, kind: ResourceType, place: Place, body: Any, desired: Properties) -> Any:
        """Returns a resource's identifying properties if it is to be adopted."""
        if place.logical_id in self.import_ids:
            return self.import_ids[place.logical_id]
        names = schema.identifier(kind.name, place.region)
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
