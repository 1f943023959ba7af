"""Who may do what with which resource: stored, never enforced."""

import copy
from collections.abc import Callable

from ..json_api import Handler, ServiceError
from .lookups import Lookups, Record, named
from .permissions import check_permissions


class Grants:
    """The grants of an account."""

    def __init__(self, look: Lookups, check_resource: Callable[[Record], None]) -> None:
        """Starts without a grant; `check_resource` refuses a resource that is not there."""
        self._look = look
        self._check_resource = check_resource
        self._grants: list[Record] = []
        self.operations: dict[str, Handler] = {
            "GrantPermissions": self._grant,
            "RevokePermissions": self._revoke,
            "ListPermissions": self._list_grants,
        }

    def _grant(self, request: Record) -> None:
        self._look.check_principal(request["Principal"])
        check_permissions(request["Resource"], request["Permissions"])
        self._check_resource(request["Resource"])
        self.add_grant(request)

    def add_grant(self, request: Record) -> None:
        """Adds permissions to what a principal has on a resource; they are unchecked."""
        grant = self._grant_of(request)
        if grant is None:
            grant = {
                "Principal": request["Principal"],
                "Resource": _with_catalog(request["Resource"], self._look.account),
                "Permissions": [],
                "PermissionsWithGrantOption": [],
            }
            self._grants.append(grant)
        for kind in ("Permissions", "PermissionsWithGrantOption"):
            grant[kind] = sorted({*grant[kind], *(request.get(kind) or ())})

    def _grant_of(self, request: Record) -> Record | None:
        wanted = (request["Principal"], _with_catalog(request["Resource"], self._look.account))
        return next((g for g in self._grants if (g["Principal"], g["Resource"]) == wanted), None)

    def _revoke(self, request: Record) -> None:
        grant = self._grant_of(request)
        if grant is None or not {*request["Permissions"]} <= {*grant["Permissions"]}:
            raise ServiceError(
                "InvalidInputException",
                "No permissions revoked. Grantee has no permissions to revoke on the resource",
            )
        for kind in ("Permissions", "PermissionsWithGrantOption"):
            grant[kind] = sorted({*grant[kind]} - {*(request.get(kind) or ())})
        if not grant["Permissions"]:
            self._grants.remove(grant)

    def _list_grants(self, request: Record) -> Record:
        found = self._grants
        if "Principal" in request:
            found = [grant for grant in found if grant["Principal"] == request["Principal"]]
        if "Resource" in request:
            wanted = _with_catalog(request["Resource"], self._look.account)
            found = [grant for grant in found if grant["Resource"] == wanted]
        if kind := request.get("ResourceType"):
            names = _RESOURCE_TYPES.get(kind, ())
            found = [grant for grant in found if set(names) & set(grant["Resource"])]
        return {"PrincipalResourcePermissions": copy.deepcopy(found)}

    def reach(self, resource: Record, principals: tuple[str, ...]) -> bool:
        """Says whether one of the principals may do anything with a database or table."""
        place = named(resource)
        return any(
            grant["Principal"]["DataLakePrincipalIdentifier"] in principals
            and named(grant["Resource"]) in (place, (*place[:-1], "*"))
            for grant in self._grants
        )

    def forget(self, gone: tuple[str, ...]) -> None:
        """Drops the grants on what Glue has deleted."""
        self._grants = [
            grant for grant in self._grants if named(grant["Resource"])[: len(gone)] != gone
        ]


_RESOURCE_TYPES = {
    "CATALOG": ("Catalog",),
    "DATABASE": ("Database",),
    "TABLE": ("Table", "TableWithColumns", "DataCellsFilter"),
    "DATA_LOCATION": ("DataLocation",),
    "LF_TAG": ("LFTag",),
    "LF_TAG_POLICY": ("LFTagPolicy",),
    "LF_TAG_POLICY_DATABASE": ("LFTagPolicy",),
    "LF_TAG_POLICY_TABLE": ("LFTagPolicy",),
}


def _with_catalog(resource: Record, account: str) -> Record:
    """The account's own catalog may be named or left out: the same resource, which names it."""
    ((kind, item),) = resource.items()
    name = {"Catalog": "Id", "DataCellsFilter": "TableCatalogId"}.get(kind, "CatalogId")
    named = {name: account, **item}
    for key in ("ColumnNames", "Expression"):
        if key in named:
            named[key] = sorted(named[key], key=str)
    return {kind: named}
