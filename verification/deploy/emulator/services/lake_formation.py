"""Lake Formation: moto's has no filters, takes any principal and column, and loses tags.

It makes the checks that the real service makes when it stores something. It enforces nothing on
reading: Athena and Glue do that, and nothing executes here.
"""

import copy
import re
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from .json_api import Handler, ServiceError

Record = dict[str, Any]
_GROUPS = ("IAM_ALLOWED_PRINCIPALS", "EVERYONE")


def get_item(items: dict[Any, Any], key: Any) -> Any:
    if key not in items:
        raise ServiceError("EntityNotFoundException", f"{key} does not exist")
    return items[key]


def filter_key(item: Record) -> tuple[str, str, str]:
    return item["DatabaseName"], item["TableName"], item["Name"]


def named(resource: Record) -> tuple[str, ...]:
    """Returns the database, and the table if any, of a resource."""
    ((kind, item),) = resource.items()
    if kind == "Database":
        return (item["Name"],)
    if kind in ("Table", "TableWithColumns"):
        return (item["DatabaseName"], item.get("Name", "*"))
    return filter_key(item)[:2] if kind == "DataCellsFilter" else ()


# "Lake Formation permissions per resource type", in the words of the API:
# https://docs.aws.amazon.com/lake-formation/latest/dg/lf-permissions-reference.html
_DATABASE = {"ALL", "ALTER", "CREATE_TABLE", "DESCRIBE", "DROP"}
_TABLE = {"ALL", "ALTER", "DELETE", "DESCRIBE", "DROP", "INSERT", "SELECT"}
_ALLOWED = {
    "Catalog": {"ALL", "ALTER", "CREATE_DATABASE", "CREATE_LF_TAG", "DESCRIBE", "DROP"},
    "Database": _DATABASE,
    "Table": _TABLE,
    "TableWithColumns": {"SELECT"},
    "DataCellsFilter": {"DESCRIBE", "DROP", "SELECT"},
    "DataLocation": {"DATA_LOCATION_ACCESS"},
    "LFTag": {"ALTER", "ASSOCIATE", "DESCRIBE", "DROP", "GRANT_WITH_LF_TAG_EXPRESSION"},
    "LFTagPolicy DATABASE": _DATABASE,
    "LFTagPolicy TABLE": _TABLE,
}


def check_permissions(resource: Record, permissions: list[str]) -> None:
    """Raises ServiceError if a permission means nothing on a resource of that kind."""
    ((kind, item),) = resource.items()
    if kind == "LFTagPolicy":
        kind = f"{kind} {item['ResourceType']}"
    if unknown := set(permissions) - _ALLOWED.get(kind, set()):
        raise ServiceError(
            "InvalidInputException", f"Permission {min(unknown)} is not valid on a {kind}"
        )


def _tag_targets(resource: Record) -> list[tuple[str, ...]]:
    name = named(resource)
    columns = resource.get("TableWithColumns", {}).get("ColumnNames")
    return [(*name, column) for column in columns] if columns else [name]


_TEXT = re.compile(r"'(?:[^']|'')*'")
_NAME = re.compile(r'"([^"]+)"|\b([A-Za-z_]\w*)\b(?!\s*\()')
_WORDS = {
    "AND", "AS", "BETWEEN", "DATE", "ESCAPE", "FALSE", "IN", "IS", "LIKE", "NOT", "NULL", "OR",
    "TIMESTAMP", "TRUE",
}  # fmt: skip


def columns_of(expression: str) -> list[str]:
    """Names a row filter's columns: what is neither text nor number, keyword nor function."""
    bare = _TEXT.sub("", expression)
    names = [quoted or plain for quoted, plain in _NAME.findall(bare)]
    return [name for name in names if name.upper() not in _WORDS]


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


def _is_of(grant: Record, resource: Record) -> bool:
    """Says whether a listing of a resource has a grant: a table's has those of its columns."""
    if "Table" not in resource or "TableWithColumns" not in grant:
        return grant == resource
    return resource["Table"].items() <= grant["TableWithColumns"].items()


EVERYBODY = "IAM_ALLOWED_PRINCIPALS"
_EVERYONE = {"Principal": {"DataLakePrincipalIdentifier": EVERYBODY}, "Permissions": ["ALL"]}


class LakeFormation:
    """The Lake Formation of one account in one region."""

    def __init__(self, account: str, _: str, aws: Callable[[str], Any]) -> None:
        self.account, self._aws = account, aws
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
        self._opt_ins: list[Record] = []
        self.operations: dict[str, Handler] = {
            "GetDataLakeSettings": lambda _: {"DataLakeSettings": self._settings},
            "PutDataLakeSettings": self._put_settings,
            "RegisterResource": self._register,
            "UpdateResource": self._update_location,
            "DeregisterResource": self._deregister,
            "DescribeResource": lambda request: {
                "ResourceInfo": get_item(self._locations, request["ResourceArn"])
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
                "DataCellsFilter": get_item(self._filters, filter_key(request))
            },
            "ListDataCellsFilter": self._list_filters,
            "GrantPermissions": self._grant,
            "RevokePermissions": self._revoke,
            "ListPermissions": self._list_grants,
            "CreateLakeFormationOptIn": self._opt_ins.append,
            "DeleteLakeFormationOptIn": self._opt_out,
            "ListLakeFormationOptIns": lambda _: {"LakeFormationOptInsInfoList": self._opt_ins},
        }

    def _put_settings(self, request: Record) -> None:
        settings = request["DataLakeSettings"]
        for admin in settings.get("DataLakeAdmins", []):
            self.check_principal(admin)
        self._settings = settings

    def _register(self, request: Record) -> None:
        arn = request["ResourceArn"]
        if arn in self._locations:
            raise ServiceError("AlreadyExistsException", f"Resource {arn} is already registered")
        if "RoleArn" in request:
            self.check_principal({"DataLakePrincipalIdentifier": request["RoleArn"]})
        members = ("ResourceArn", "RoleArn", "WithFederation", "HybridAccessEnabled")
        self._locations[arn] = {key: request[key] for key in members if key in request}

    def _update_location(self, request: Record) -> None:
        get_item(self._locations, request["ResourceArn"]).update(request)

    def _deregister(self, request: Record) -> None:
        get_item(self._locations, request["ResourceArn"])
        del self._locations[request["ResourceArn"]]

    def _check_location(self, arn: str) -> None:
        parts = arn.split("/")
        prefixes = ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
        if not any(place in self._locations for place in prefixes):
            raise ServiceError("EntityNotFoundException", f"Resource {arn} is not registered")

    def _check_resource(self, resource: Record) -> None:
        ((kind, item),) = resource.items()
        if kind == "Database":
            self.find("get_database", Name=item["Name"])
        elif kind == "Table":
            if "Name" in item:
                self.find("get_table", DatabaseName=item["DatabaseName"], Name=item["Name"])
            else:
                self.find("get_database", Name=item["DatabaseName"])
        elif kind == "TableWithColumns":
            self.check_columns(item["DatabaseName"], item["Name"], item.get("ColumnNames", []))
        elif kind == "DataLocation":
            self._check_location(item["ResourceArn"])
        elif kind == "DataCellsFilter":
            get_item(self._filters, filter_key(item))
        elif kind == "LFTag":
            self.check_values(item["TagKey"], [v for v in item["TagValues"] if v != "*"])
        elif kind == "LFTagPolicy":
            for tag in item.get("Expression", []):
                self.check_values(tag["TagKey"], tag["TagValues"])

    def check_visible(self, role: str, resource: Record) -> None:
        """Raises ServiceError if a role, an ARN, sees nothing of a database or table.

        As in "Troubleshooting Lake Formation" of AWS's guide.
        """
        self._check_resource(resource)
        admins = [a["DataLakePrincipalIdentifier"] for a in self._settings["DataLakeAdmins"]]
        if role not in admins and not self.has_grant(resource, (role, EVERYBODY)):
            raise ServiceError(
                "AccessDeniedException",
                "Insufficient Lake Formation permission(s): Required Describe on "
                f"{named(resource)[-1]}",
            )

    def default_permissions(self, kind: str) -> list[Record]:
        """Returns the settings' default permissions for a new `Database` or `Table`."""
        return list(self._settings.get(f"Create{kind}DefaultPermissions", []))

    def check_principal(self, principal: Record) -> None:
        name = principal["DataLakePrincipalIdentifier"]
        if name in _GROUPS or name == self.account:
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

    def check_columns(self, database: str, table: str, names: list[str]) -> None:
        description = self.find("get_table", DatabaseName=database, Name=table)["Table"]
        columns = [
            *description["StorageDescriptor"]["Columns"],
            *description.get("PartitionKeys", []),
        ]
        if unknown := [name for name in names if name not in {c["Name"] for c in columns}]:
            raise ServiceError(
                "InvalidInputException",
                f"Column(s) {', '.join(unknown)} not found in table {database}.{table}",
            )

    def find(self, operation: str, **arguments: str) -> Record:
        try:
            return dict(getattr(self._aws("glue"), operation)(**arguments))
        except ClientError as error:
            raise ServiceError("EntityNotFoundException", str(error)) from error

    def _tag(self, key: str) -> Record:
        values = get_item(self._tags, key)
        return {"CatalogId": self.account, "TagKey": key, "TagValues": values}

    def _create_tag(self, request: Record) -> None:
        if request["TagKey"] in self._tags:
            raise ServiceError("AlreadyExistsException", f"Tag {request['TagKey']} already exists")
        self._tags[request["TagKey"]] = list(request["TagValues"])

    def _update_tag(self, request: Record) -> None:
        key, removed = request["TagKey"], set(request.get("TagValuesToDelete") or ())
        values = get_item(self._tags, key)
        used = {tags[key] for tags in self._assigned.values() if key in tags}
        if in_use := removed & used:
            raise ServiceError("InvalidInputException", f"Tag value {min(in_use)} is in use")
        added = [item for item in request.get("TagValuesToAdd") or () if item not in values]
        self._tags[key] = [*(item for item in values if item not in removed), *added]

    def _delete_tag(self, request: Record) -> None:
        get_item(self._tags, request["TagKey"])
        del self._tags[request["TagKey"]]
        for tags in self._assigned.values():
            tags.pop(request["TagKey"], None)

    def check_values(self, key: str, values: list[str]) -> None:
        if unknown := set(values) - set(self._tags.get(key, ())):
            raise ServiceError(
                "EntityNotFoundException", f"Tag or tag value does not exist: {key}={min(unknown)}"
            )

    def _assign(self, request: Record) -> Record:
        self._check_resource(request["Resource"])
        keys = [tag["TagKey"] for tag in request["LFTags"]]
        if len({*keys}) < len(keys) or any(len(t["TagValues"]) > 1 for t in request["LFTags"]):
            raise ServiceError(
                "InvalidInputException", "A resource can have one value of an LF-Tag's key only"
            )
        for tag in request["LFTags"]:
            self.check_values(tag["TagKey"], tag["TagValues"])
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
        direct_only = bool(request.get("ShowAssignedLFTags"))
        on_database = self._assigned.get((database,), {})
        answer: Record = {"LFTagOnDatabase": self._pairs(on_database)}
        if rest:
            inherited = {} if direct_only else on_database
            on_table = {**inherited, **self._assigned.get((database, rest[0]), {})}
            answer["LFTagsOnTable"] = self._pairs(on_table)
            inherited = {} if direct_only else on_table
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
            {"CatalogId": self.account, "TagKey": key, "TagValues": [value]}
            for key, value in tags.items()
        ]

    def _create_filter(self, request: Record) -> None:
        data = request["TableData"]
        if filter_key(data) in self._filters:
            raise ServiceError("AlreadyExistsException", f"Filter {data['Name']} already exists")
        self._check_filter(data)
        self._filters[filter_key(data)] = data

    def _update_filter(self, request: Record) -> None:
        data = request["TableData"]
        get_item(self._filters, filter_key(data))
        self._check_filter(data)
        self._filters[filter_key(data)] = data

    def _delete_filter(self, request: Record) -> None:
        get_item(self._filters, filter_key(request))
        del self._filters[filter_key(request)]

    def _list_filters(self, request: Record) -> Record:
        table = request.get("Table") or {}
        table_key = (table.get("DatabaseName"), table.get("Name"))
        return {
            "DataCellsFilters": [
                item
                for (database, name, _), item in self._filters.items()
                if table_key in ((None, None), (database, name))
            ]
        }

    def _check_filter(self, data: Record) -> None:
        names, wildcard = data.get("ColumnNames"), data.get("ColumnWildcard")
        if bool(names) == (wildcard is not None):
            raise ServiceError(
                "InvalidInputException", "Give either ColumnNames or ColumnWildcard of a filter"
            )
        expression = data.get("RowFilter", {}).get("FilterExpression", "")
        for columns in (
            names or (wildcard or {}).get("ExcludedColumnNames", []),
            columns_of(expression),
        ):
            self.check_columns(data["DatabaseName"], data["TableName"], columns)

    def _grant(self, request: Record) -> None:
        self.check_principal(request["Principal"])
        check_permissions(request["Resource"], request["Permissions"])
        self._check_resource(request["Resource"])
        self.add_grant(request)

    def add_grant(self, request: Record) -> None:
        """Adds unchecked permissions to those that a principal has on a resource."""
        grant = self._grant_of(request)
        if grant is None:
            grant = {
                "Principal": request["Principal"],
                "Resource": _with_catalog(request["Resource"], self.account),
                "Permissions": [],
                "PermissionsWithGrantOption": [],
            }
            self._grants.append(grant)
        for kind in ("Permissions", "PermissionsWithGrantOption"):
            grant[kind] = sorted({*grant[kind], *(request.get(kind) or ())})

    def _grant_of(self, request: Record) -> Record | None:
        key = (request["Principal"], _with_catalog(request["Resource"], self.account))
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
            resource = _with_catalog(request["Resource"], self.account)
            grants = [grant for grant in grants if _is_of(grant["Resource"], resource)]
        if kind := request.get("ResourceType"):
            names = _RESOURCE_TYPES.get(kind, ())
            grants = [grant for grant in grants if set(names) & set(grant["Resource"])]
        return {"PrincipalResourcePermissions": copy.deepcopy(grants)}

    def has_grant(self, resource: Record, principals: tuple[str, ...]) -> bool:
        """Says whether one of the principals may do anything with a database or table."""
        path = named(resource)
        return any(
            grant["Principal"]["DataLakePrincipalIdentifier"] in principals
            and (
                named(grant["Resource"]) in (path, (*path[:-1], "*"))
                or self._is_tagged(path, grant["Resource"].get("LFTagPolicy"))
            )
            for grant in self._grants
        )

    def _is_tagged(self, path: tuple[str, ...], policy: Record | None) -> bool:
        """Says whether a database, or a table or a column of it, has each tag of a grant."""
        if policy is None or policy["ResourceType"] != ("DATABASE", "TABLE")[len(path) - 1]:
            return False
        columns = [key for key in self._assigned if len(path) == 2 and key[:-1] == path]
        for place in (path, *columns):
            tags: dict[str, str] = {}
            for length in range(1, len(place) + 1):  # its own come last
                tags |= self._assigned.get(place[:length], {})
            if all(tags.get(tag["TagKey"]) in tag["TagValues"] for tag in policy["Expression"]):
                return True
        return False

    def _opt_out(self, request: dict[str, Any]) -> None:
        if request not in self._opt_ins:
            raise ServiceError("EntityNotFoundException", f"no opt-in {request}")
        self._opt_ins.remove(request)

    def forget(self, *path: str) -> None:
        for items in (self._assigned, self._filters):
            for key in [key for key in items if key[: len(path)] == path]:
                del items[key]
        self._grants = [
            grant for grant in self._grants if named(grant["Resource"])[: len(path)] != path
        ]
