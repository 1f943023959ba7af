"""Lake Formation: moto's has no filters, takes any principal and column, and loses tags.

What the real service checks when it stores something is checked here. Nothing is enforced on
reading: that is Athena's and Glue's part, and nothing executes here.
"""

import copy
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from .json_api import Handler, ServiceError

_GROUPS = ("IAM_ALLOWED_PRINCIPALS", "EVERYONE")
_EVERYONE = {
    "Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"},
    "Permissions": ["ALL"],
}
Record = dict[str, Any]


class LakeFormation:
    """The Lake Formation of one account in one region."""

    def __init__(self, account: str, aws: Callable[[str], Any]) -> None:
        self._account = account
        self._aws = aws
        self._settings: Record = {
            "DataLakeAdmins": [],
            "CreateDatabaseDefaultPermissions": [_EVERYONE],
            "CreateTableDefaultPermissions": [_EVERYONE],
        }
        self._locations: dict[str, Record] = {}
        self._tags: dict[str, list[str]] = {}
        self._assigned: dict[tuple[str, ...], dict[str, str]] = {}
        self._filters: dict[tuple[str, ...], Record] = {}
        self._grants: list[Record] = []
        self.operations: dict[str, Handler] = {
            "GetDataLakeSettings": lambda _: {"DataLakeSettings": self._settings},
            "PutDataLakeSettings": self._put_settings,
            "RegisterResource": self._register,
            "UpdateResource": self._update_location,
            "DeregisterResource": self._deregister,
            "DescribeResource": lambda request: {
                "ResourceInfo": _found(self._locations, request["ResourceArn"])
            },
            "ListResources": lambda _: {"ResourceInfoList": list(self._locations.values())},
            "CreateLFTag": self._create_tag,
            "UpdateLFTag": self._update_tag,
            "DeleteLFTag": self._delete_tag,
            "GetLFTag": lambda request: self._tag(request["TagKey"]),
            "ListLFTags": lambda _: {"LFTags": [self._tag(key) for key in self._tags]},
            "AddLFTagsToResource": self._assign,
            "RemoveLFTagsFromResource": self._unassign,
            "GetResourceLFTags": self._assigned_tags,
            "CreateDataCellsFilter": self._create_filter,
            "UpdateDataCellsFilter": self._update_filter,
            "DeleteDataCellsFilter": self._delete_filter,
            "GetDataCellsFilter": lambda request: {
                "DataCellsFilter": _found(self._filters, _filter_key(request))
            },
            "ListDataCellsFilter": self._list_filters,
            "GrantPermissions": self._grant,
            "RevokePermissions": self._revoke,
            "ListPermissions": self._list_grants,
        }

    # Settings and locations

    def _put_settings(self, request: Record) -> None:
        settings = request["DataLakeSettings"]
        for admin in settings.get("DataLakeAdmins", []):
            self._check_principal(admin)
        self._settings = settings

    def _register(self, request: Record) -> None:
        arn = request["ResourceArn"]
        if arn in self._locations:
            raise ServiceError("AlreadyExistsException", f"Resource {arn} is already registered")
        if "RoleArn" in request:
            self._check_principal({"DataLakePrincipalIdentifier": request["RoleArn"]})
        kept = ("ResourceArn", "RoleArn", "WithFederation", "HybridAccessEnabled")
        self._locations[arn] = {key: request[key] for key in kept if key in request}

    def _update_location(self, request: Record) -> None:
        _found(self._locations, request["ResourceArn"]).update(request)

    def _deregister(self, request: Record) -> None:
        _found(self._locations, request["ResourceArn"])
        del self._locations[request["ResourceArn"]]

    # LF-Tags

    def _tag(self, key: str) -> Record:
        values = _found(self._tags, key)
        return {"CatalogId": self._account, "TagKey": key, "TagValues": values}

    def _create_tag(self, request: Record) -> None:
        if request["TagKey"] in self._tags:
            raise ServiceError("AlreadyExistsException", f"Tag {request['TagKey']} already exists")
        self._tags[request["TagKey"]] = list(request["TagValues"])

    def _update_tag(self, request: Record) -> None:
        key, gone = request["TagKey"], set(request.get("TagValuesToDelete") or ())
        values = _found(self._tags, key)
        used = {tags[key] for tags in self._assigned.values() if key in tags}
        if in_use := gone & used:
            raise ServiceError("InvalidInputException", f"Tag value {min(in_use)} is in use")
        added = [item for item in request.get("TagValuesToAdd") or () if item not in values]
        self._tags[key] = [*(item for item in values if item not in gone), *added]

    def _delete_tag(self, request: Record) -> None:
        _found(self._tags, request["TagKey"])
        del self._tags[request["TagKey"]]
        for tags in self._assigned.values():
            tags.pop(request["TagKey"], None)

    def _check_values(self, key: str, values: list[str]) -> None:
        if unknown := set(values) - set(self._tags.get(key, ())):
            raise ServiceError(
                "EntityNotFoundException",
                f"Tag or tag value does not exist: {key}={min(unknown)}",
            )

    def _assign(self, request: Record) -> Record:
        self._check_resource(request["Resource"])
        for tag in request["LFTags"]:
            self._check_values(tag["TagKey"], tag["TagValues"])
            for key in _tag_targets(request["Resource"]):
                self._assigned.setdefault(key, {})[tag["TagKey"]] = tag["TagValues"][0]
        return {"Failures": []}

    def _unassign(self, request: Record) -> Record:
        for tag in request["LFTags"]:
            for key in _tag_targets(request["Resource"]):
                self._assigned.get(key, {}).pop(tag["TagKey"], None)
        return {"Failures": []}

    def _assigned_tags(self, request: Record) -> Record:
        """A database's tags reach its tables and columns that have no value of their own."""
        self._check_resource(request["Resource"])
        database, *rest = _tag_targets(request["Resource"])[0]
        own = bool(request.get("ShowAssignedLFTags"))
        on_database = self._assigned.get((database,), {})
        answer: Record = {"LFTagOnDatabase": self._pairs(on_database)}
        if rest:
            inherited = {} if own else on_database
            on_table = {**inherited, **self._assigned.get((database, rest[0]), {})}
            answer["LFTagsOnTable"] = self._pairs(on_table)
            inherited = {} if own else on_table
            answer["LFTagsOnColumns"] = [
                {
                    "Name": key[2],
                    "LFTags": self._pairs({**inherited, **self._assigned.get(key, {})}),
                }
                for key in _tag_targets(request["Resource"])
                if len(key) == 3
            ]
        return answer

    def _pairs(self, tags: dict[str, str]) -> list[Record]:
        return [
            {"CatalogId": self._account, "TagKey": key, "TagValues": [value]}
            for key, value in tags.items()
        ]

    # Data cells filters

    def _create_filter(self, request: Record) -> None:
        data = request["TableData"]
        if _filter_key(data) in self._filters:
            raise ServiceError("AlreadyExistsException", f"Filter {data['Name']} already exists")
        self._check_filter(data)
        self._filters[_filter_key(data)] = data

    def _update_filter(self, request: Record) -> None:
        data = request["TableData"]
        _found(self._filters, _filter_key(data))
        self._check_filter(data)
        self._filters[_filter_key(data)] = data

    def _delete_filter(self, request: Record) -> None:
        _found(self._filters, _filter_key(request))
        del self._filters[_filter_key(request)]

    def _list_filters(self, request: Record) -> Record:
        table = request.get("Table") or {}
        wanted = (table.get("DatabaseName"), table.get("Name"))
        return {
            "DataCellsFilters": [
                item
                for (database, name, _), item in self._filters.items()
                if wanted in ((None, None), (database, name))
            ]
        }

    def _check_filter(self, data: Record) -> None:
        names = data.get("ColumnNames") or (data.get("ColumnWildcard") or {}).get(
            "ExcludedColumnNames", []
        )
        self._check_columns(data["DatabaseName"], data["TableName"], names)

    # Grants

    def _grant(self, request: Record) -> None:
        self._check_principal(request["Principal"])
        self._check_resource(request["Resource"])
        self.add_grant(request)

    def add_grant(self, request: Record) -> None:
        """Adds permissions to what a principal has on a resource; they are unchecked."""
        grant = self._grant_of(request)
        if grant is None:
            grant = {
                "Principal": request["Principal"],
                "Resource": _with_catalog(request["Resource"], self._account),
                "Permissions": [],
                "PermissionsWithGrantOption": [],
            }
            self._grants.append(grant)
        for kind in ("Permissions", "PermissionsWithGrantOption"):
            grant[kind] = sorted({*grant[kind], *(request.get(kind) or ())})

    def _grant_of(self, request: Record) -> Record | None:
        wanted = (request["Principal"], _with_catalog(request["Resource"], self._account))
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
            wanted = _with_catalog(request["Resource"], self._account)
            found = [grant for grant in found if grant["Resource"] == wanted]
        if kind := request.get("ResourceType"):
            names = _RESOURCE_TYPES.get(kind, ())
            found = [grant for grant in found if set(names) & set(grant["Resource"])]
        return {"PrincipalResourcePermissions": copy.deepcopy(found)}

    # What the service looks up before it stores something

    def _check_principal(self, principal: Record) -> None:
        name = principal["DataLakePrincipalIdentifier"]
        if name in _GROUPS or name == self._account:
            return
        role = name.rsplit("/", 1)[-1]
        try:
            if ":role/" in name:
                self._aws("iam").get_role(RoleName=role)
                return
            if ":user/" in name:
                self._aws("iam").get_user(UserName=role)
                return
        except ClientError as error:
            raise ServiceError("InvalidInputException", f"Invalid principal: {name}") from error
        raise ServiceError("InvalidInputException", f"Invalid principal: {name}")

    def _check_resource(self, resource: Record) -> None:
        ((kind, item),) = resource.items()
        if kind == "Database":
            self._look_up("get_database", Name=item["Name"])
        elif kind == "Table":
            if "Name" in item:
                self._look_up("get_table", DatabaseName=item["DatabaseName"], Name=item["Name"])
            else:
                self._look_up("get_database", Name=item["DatabaseName"])
        elif kind == "TableWithColumns":
            self._check_columns(item["DatabaseName"], item["Name"], item.get("ColumnNames", []))
        elif kind == "DataCellsFilter":
            _found(self._filters, _filter_key(item))
        elif kind == "LFTag":
            self._check_values(item["TagKey"], [v for v in item["TagValues"] if v != "*"])
        elif kind == "LFTagPolicy":
            for tag in item.get("Expression", []):
                self._check_values(tag["TagKey"], tag["TagValues"])

    def _check_columns(self, database: str, table: str, names: list[str]) -> None:
        found = self._look_up("get_table", DatabaseName=database, Name=table)["Table"]
        columns = [*found["StorageDescriptor"]["Columns"], *found.get("PartitionKeys", [])]
        if unknown := [name for name in names if name not in {c["Name"] for c in columns}]:
            raise ServiceError(
                "InvalidInputException",
                f"Column(s) {', '.join(unknown)} not found in table {database}.{table}",
            )

    def _look_up(self, operation: str, **arguments: str) -> Record:
        try:
            return dict(getattr(self._aws("glue"), operation)(**arguments))
        except ClientError as error:
            raise ServiceError("EntityNotFoundException", str(error)) from error

    # What Glue asks for

    def default_permissions(self, kind: str) -> list[Record]:
        """Returns the settings' default permissions for a new `Database` or `Table`."""
        return list(self._settings.get(f"Create{kind}DefaultPermissions", []))

    def forget(self, database: str, table: str | None = None) -> None:
        """Drops tags, filters and grants of a database or table that Glue has deleted."""
        gone = (database,) if table is None else (database, table)
        keep = {key: tags for key, tags in self._assigned.items() if key[: len(gone)] != gone}
        self._assigned = keep
        self._filters = {k: item for k, item in self._filters.items() if k[: len(gone)] != gone}
        self._grants = [
            grant for grant in self._grants if _named(grant["Resource"])[: len(gone)] != gone
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


def _found(items: dict[Any, Any], key: Any) -> Any:
    if key not in items:
        raise ServiceError("EntityNotFoundException", f"{key} does not exist")
    return items[key]


def _filter_key(item: Record) -> tuple[str, str, str]:
    return item["DatabaseName"], item["TableName"], item["Name"]


def _named(resource: Record) -> tuple[str, ...]:
    ((kind, item),) = resource.items()
    if kind == "Database":
        return (item["Name"],)
    if kind in ("Table", "TableWithColumns"):
        return (item["DatabaseName"], item.get("Name", "*"))
    return _filter_key(item)[:2] if kind == "DataCellsFilter" else ()


def _tag_targets(resource: Record) -> list[tuple[str, ...]]:
    name = _named(resource)
    columns = resource.get("TableWithColumns", {}).get("ColumnNames")
    return [(*name, column) for column in columns] if columns else [name]


def _with_catalog(resource: Record, account: str) -> Record:
    """The account's own catalog may be named or left out: the same resource, which names it."""
    ((kind, item),) = resource.items()
    name = {"Catalog": "Id", "DataCellsFilter": "TableCatalogId"}.get(kind, "CatalogId")
    named = {name: account, **item}
    for key in ("ColumnNames", "Expression"):
        if key in named:
            named[key] = sorted(named[key], key=str)
    return {kind: named}
