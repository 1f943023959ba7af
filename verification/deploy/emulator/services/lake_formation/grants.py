"""Permissions on resources: stored, never enforced."""

import copy
from collections.abc import Callable

from ..json_api import Handler, ServiceError
from .lookups import Lookups, Record, named
from .permissions import check_permissions


class Grants:
    """The grants of an account."""

    def __init__(self, lookups: Lookups, check_resource: Callable[[Record], None]) -> None:
        """Starts without a grant; `check_resource` refuses a resource that does not exist."""
        self._lookups = lookups
        self._check_resource = check_resource
        self._grants: list[Record] = []
        self.operations: dict[str, Handler] = {
            "GrantPermissions": self._grant,
            "RevokePermissions": self._revoke,
            "ListPermissions": self._list_grants,
        }

    def _grant(self, request: Record) -> None:
        self._lookups.check_principal(request["Principal"])
        check_permissions(request["Resource"], request["Permissions"])
        self._check_resource(request["Resource"])
        self.add_grant(request)

    def add_grant(self, request: Record) -> None:
        """Adds unchecked permissions to those that a principal has on a resource."""
        grant = self._grant_of(request)
        if grant is None:
            grant = {
                "Principal": request["Principal"],
                "Resource": _with_catalog(request["Resource"], self._lookups.account),
                "Permissions": [],
                "PermissionsWithGrantOption": [],
            }
            self._grants.append(grant)
        for kind in ("Permissions", "PermissionsWithGrantOption"):
            grant[kind] = sorted({*grant[kind], *(request.get(kind) or ())})

    def _grant_of(self, request: Record) -> Record | None:
        key = (request["Principal"], _with_catalog(request["Resource"], self._lookups.account))
        return next((g for g in self._grants if (g["Principal"], g["Resource"]) == key), None)

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
        grants = self._grants
        if "Principal" in request:
            grants = [grant for grant in grants if grant["Principal"] == request["Principal"]]
        if "Resource" in request:
            resource = _with_catalog(request["Resource"], self._lookups.account)
            grants = [grant for grant in grants if grant["Resource"] == resource]
        if kind := request.get("ResourceType"):
            names = _RESOURCE_TYPES.get(kind, ())
            grants = [grant for grant in grants if set(names) & set(grant["Resource"])]
        return {"PrincipalResourcePermissions": copy.deepcopy(grants)}

    def has_grant(self, resource: Record, principals: tuple[str, ...]) -> bool:
        """Says whether one of the principals may do anything with a database or table."""
        path = named(resource)
        return any(
            grant["Principal"]["DataLakePrincipalIdentifier"] in principals
            and named(grant["Resource"]) in (path, (*path[:-1], "*"))
            for grant in self._grants
        )

    def forget(self, path: tuple[str, ...]) -> None:
        """Drops the grants on what Glue has deleted."""
        self._grants = [
            grant for grant in self._grants if named(grant["Resource"])[: len(path)] != path
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
    """Adds the account's own catalog, which a request may leave out, so that resources compare."""
    ((kind, item),) = resource.items()
    name = {"Catalog": "Id", "DataCellsFilter": "TableCatalogId"}.get(kind, "CatalogId")
    named = {name: account, **item}
    for key in ("ColumnNames", "Expression"):
        if key in named:
            named[key] = sorted(named[key], key=str)
    return {kind: named}
