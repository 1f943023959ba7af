"""The governance of a lake as one record, read from templates or from an account.

Grants are stored as single permissions, in the form in which Lake Formation lists them, so that two
records can be compared as sets.
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

EVERYBODY = "IAM_ALLOWED_PRINCIPALS"
Expression = frozenset[tuple[str, frozenset[str]]]
TableName = tuple[str, str]  # database, table


@dataclass(frozen=True, kw_only=True, order=True)
class Target:
    """The target of an LF-Tag: a database, a table or a column."""

    database: str
    table: str = ""
    column: str = ""

    def __str__(self) -> str:
        return ".".join(part for part in (self.database, self.table, self.column) if part)


@dataclass(frozen=True, kw_only=True)
class Securable:
    """The resource of a permission."""

    # As the API calls it: Database, Table, TableWithColumns, DataLocation, LFTagPolicy...
    kind: str
    database: str = ""  # a database's name
    table: str = ""  # a table's name, `*` for all of the database's
    columns: frozenset[str] | None = None  # the columns; None for all but `excluded`
    excluded: frozenset[str] = frozenset()  # columns that are left out of all
    name: str = ""  # of a filter, an LF-Tag or a data location's ARN
    resource_type: str = ""  # what a tag expression matches: DATABASE or TABLE
    # A tag expression: all of the keys, each with any of its values; an LF-Tag's own.
    expression: Expression = frozenset()

    def __str__(self) -> str:
        expression = " and ".join(
            f"{key}={'|'.join(sorted(v))}" for key, v in sorted(self.expression)
        )
        path = ".".join(part for part in (self.database, self.table, self.name) if part)
        columns = f"({', '.join(sorted(self.columns))})" if self.columns is not None else ""
        exclusion = f" without {', '.join(sorted(self.excluded))}" if self.excluded else ""
        parts = (self.kind, self.resource_type, path, expression)
        return " ".join(part for part in parts if part) + columns + exclusion


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One permission of one principal on one thing."""

    principal: str  # a role's ARN, or a group such as IAM_ALLOWED_PRINCIPALS
    securable: Securable  # the resource
    permission: str  # such as SELECT
    grantable: bool = False  # whether the principal may grant it to others; a permission of its own
    condition: str = ""  # an expression that restricts it, empty if none


@dataclass(frozen=True, kw_only=True)
class CellsFilter:
    """A data-cells filter: which rows and which columns of a table."""

    rows: str  # a WHERE expression; empty for all rows
    columns: frozenset[str] | None  # the columns; None for all but `excluded`
    excluded: frozenset[str]  # columns that are left out of all


@dataclass(frozen=True, kw_only=True)
class Location:
    """A registered S3 location."""

    role: str  # ARN of the role that Lake Formation reads it with
    # The enabled switches of the API, such as HybridAccessEnabled.
    modes: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class LakeSettings:
    """The data-lake settings of an account."""

    admins: frozenset[str]  # the administrators
    # The principals with default permissions on a new database.
    database_defaults: frozenset[str] = frozenset()
    # The principals with default permissions on a new table.
    table_defaults: frozenset[str] = frozenset()
    # The API's name of every other member -> its values; an enabled switch has the value `true`, a
    # parameter is `name=value`.
    others: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def lists_all_to(self, caller: str) -> bool:
        """Says whether a caller is an administrator, or a read-only one.

        For other callers Lake Formation lists only their own grants. `caller` is the ARN that STS
        gives: of a user, or of a role's session.
        """
        everybody = self.admins | self.others.get("ReadOnlyAdmins", frozenset())
        _, session, rest = caller.partition(":assumed-role/")
        if not session:
            return caller in everybody
        role = rest.partition("/")[0]
        return any(admin.rpartition("/")[2] == role for admin in everybody if ":role/" in admin)


@dataclass(frozen=True, kw_only=True)
class Governance:
    """The settings, tags, tables and grants that decide who reads what in a lake."""

    settings: LakeSettings | None  # None where no template sets them
    tags: Mapping[str, frozenset[str]]  # LF-Tag key -> its values
    assigned: Mapping[Target, Mapping[str, str]]  # target with LF-Tags of its own -> key -> value
    # Name -> the principals with all permissions on its new tables; None if unset.
    databases: Mapping[str, frozenset[str] | None]
    # Name -> column -> Glue type, the partition keys last.
    tables: Mapping[TableName, Mapping[str, str]]
    places: Mapping[TableName, str]  # name -> where the table's files are, an S3 URI
    locations: Mapping[str, Location]  # registered S3 ARN -> its registration
    filters: Mapping[tuple[str, str, str], CellsFilter]  # table and filter's name -> the filter
    grants: frozenset[Grant]  # every permission
    # Opt-ins of hybrid mode, as grants of OPT_IN. Templates cannot create them.
    opt_ins: frozenset[Grant] = frozenset()

    def tags_of(self, target: Target) -> Mapping[str, str]:
        """Returns a target's LF-Tags: a table inherits its database's, a column its table's.

        The tags of the nearest level win, key by key.
        """
        database = self.assigned.get(Target(database=target.database), {})
        table = self.assigned.get(Target(database=target.database, table=target.table), {})
        return {**database, **table, **self.assigned.get(target, {})}


def tag_values(tags: Iterable[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """Returns the values of each LF-Tag, of templates or of the API."""
    return {tag["TagKey"]: frozenset(tag["TagValues"]) for tag in tags}


def defaults(permissions: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Returns the principals with default permissions."""
    return frozenset(
        item["Principal"]["DataLakePrincipalIdentifier"]
        for item in permissions
        if item.get("Permissions")
    )


_SETTINGS_APART = {
    "Admins",
    "CreateDatabaseDefaultPermissions",
    "CreateTableDefaultPermissions",
    "DataLakeAdmins",
    "MutationType",
}


def other_settings(settings: Mapping[str, Any]) -> Mapping[str, frozenset[str]]:
    """Returns the data-lake settings beside administrators and defaults, without empty ones."""
    named = {key: _values(value) for key, value in settings.items() if key not in _SETTINGS_APART}
    return {key: value for key, value in named.items() if value}


def _values(value: Any) -> frozenset[str]:
    if isinstance(value, Mapping):
        return frozenset(f"{key}={item}" for key, item in value.items())
    if isinstance(value, list):
        return frozenset(
            item["DataLakePrincipalIdentifier"] if isinstance(item, Mapping) else str(item)
            for item in value
        )
    return frozenset({"true"} if value else ())


def location(properties: Mapping[str, Any]) -> Location:
    """Reads a registered location, of a template or of the API."""
    switches = ("HybridAccessEnabled", "WithFederation", "WithPrivilegedAccess")
    modes = frozenset(name for name in switches if properties.get(name))
    return Location(role=properties.get("RoleArn", ""), modes=modes)


def columns(table: Mapping[str, Any]) -> Mapping[str, str]:
    """Returns a Glue table's columns with their types, the partition keys last."""
    plain = table.get("StorageDescriptor", {}).get("Columns", [])
    return {
        item["Name"]: item.get("Type", "") for item in [*plain, *table.get("PartitionKeys", [])]
    }


def filter_key(properties: Mapping[str, Any]) -> tuple[str, str, str]:
    """Names a data-cells filter: database, table, name."""
    return properties["DatabaseName"], properties["TableName"], properties["Name"]


def cells_filter(properties: Mapping[str, Any]) -> CellsFilter:
    """Reads a data-cells filter, of a template or of the API."""
    included, excluded = _columns(properties)
    # The API gives all rows an expression too: TRUE.
    row_filter = properties.get("RowFilter") or {}
    rows = "" if "AllRowsWildcard" in row_filter else row_filter.get("FilterExpression", "")
    return CellsFilter(rows=rows, columns=included, excluded=excluded)


def grants(properties: Mapping[str, Any]) -> Iterator[Grant]:
    """Yields the single permissions of a grant, of a template or of the API."""
    principal = properties["Principal"]["DataLakePrincipalIdentifier"]
    condition = (properties.get("Condition") or {}).get("Expression", "")
    for member, grantable in (("Permissions", False), ("PermissionsWithGrantOption", True)):
        for permission in properties.get(member) or ():
            yield Grant(
                principal=principal,
                securable=_securable(properties["Resource"], permission),
                permission=permission,
                grantable=grantable,
                condition=condition,
            )


def _securable(resource: Mapping[str, Any], permission: str) -> Securable:
    kind, members = next(
        (kind, members) for kind, members in resource.items() if members is not None
    )
    database, name = members.get("DatabaseName", ""), members.get("Name", "")
    table = "*" if "TableWildcard" in members or name == "ALL_TABLES" else name
    fields: dict[str, Any] = {"name": name}
    match kind:
        case "Database":
            fields = {"database": name}
        case "Table":
            # Lake Formation lists a table's SELECT as one on all of its columns.
            kind = "TableWithColumns" if permission == "SELECT" else kind
            fields = {"database": database, "table": table}
        case "TableWithColumns":
            included, excluded = _columns(members)
            fields = {"database": database, "table": table}
            fields |= {"columns": included, "excluded": excluded}
        case "DataLocation":
            fields = {"name": members["ResourceArn"]}
        case "DataCellsFilter":
            fields = {"database": database, "table": members["TableName"], "name": name}
        case "LFTag":
            fields = {"name": members["TagKey"], "expression": _expression([members])}
        case "LFTagPolicy":
            fields = {"resource_type": members["ResourceType"]}
            fields |= {
                "name": members.get("ExpressionName") or "",
                "expression": _expression(members.get("Expression") or ()),
            }
    return Securable(kind=kind, **fields)


def _expression(tags: Iterable[Mapping[str, Any]]) -> Expression:
    return frozenset((tag["TagKey"], frozenset(tag["TagValues"])) for tag in tags)


def _columns(members: Mapping[str, Any]) -> tuple[frozenset[str] | None, frozenset[str]]:
    if members.get("ColumnNames"):
        return frozenset(members["ColumnNames"]), frozenset()
    wildcard = members.get("ColumnWildcard") or {}
    return None, frozenset(wildcard.get("ExcludedColumnNames") or ())


def securable_json(securable: Securable, *, account: str) -> dict[str, Any]:
    """Returns a securable as the API takes it."""
    on, kind = securable, securable.kind
    body: dict[str, Any] = {"CatalogId": account}
    match kind:
        case "Database":
            body |= {"Name": on.database}
        case "Table" | "TableWithColumns":
            everything = on.table == "*"
            body |= {"DatabaseName": on.database}
            body["TableWildcard" if everything else "Name"] = {} if everything else on.table
            # The API accepts all columns of all tables only as a table.
            kind = "Table" if everything else kind
            body |= _columns_json(on) if kind == "TableWithColumns" else {}
        case "DataLocation":
            body |= {"ResourceArn": on.name}
        case "DataCellsFilter":
            body = {"TableCatalogId": account, "DatabaseName": on.database}
            body |= {"TableName": on.table, "Name": on.name}
        case "LFTag":
            body |= _tags_json(on)[0]
        case "LFTagPolicy":
            body |= {"ResourceType": on.resource_type, "Expression": _tags_json(on)}
        case _:
            body = {}
    return {kind: body}


def _tags_json(on: Securable) -> list[dict[str, Any]]:
    return [{"TagKey": key, "TagValues": sorted(values)} for key, values in sorted(on.expression)]


def filter_json(key: tuple[str, str, str], cells: CellsFilter, *, account: str) -> dict[str, Any]:
    """Returns a data-cells filter as the API takes it."""
    rows: dict[str, Any] = (
        {"FilterExpression": cells.rows} if cells.rows else {"AllRowsWildcard": {}}
    )
    database, table, name = key
    place: dict[str, Any] = {
        "TableCatalogId": account,
        "DatabaseName": database,
        "TableName": table,
        "Name": name,
    }
    return place | {"RowFilter": rows} | _columns_json(cells)


def _columns_json(source: Securable | CellsFilter) -> dict[str, Any]:
    if source.columns is not None:
        return {"ColumnNames": sorted(source.columns)}
    excluded = {"ExcludedColumnNames": sorted(source.excluded)} if source.excluded else {}
    return {"ColumnWildcard": excluded}


_CALL = "aws lakeformation"
_PRINCIPALS = {"ExternalDataFilteringAllowList", "ReadOnlyAdmins"}


def change_settings(**members: str) -> str:
    """Returns the command that changes some members and leaves the others as they are.

    `members` has the API's name of a member -> its new value, as JMESPath on the old settings.
    """
    changed = ", ".join(f"{name}: {value}" for name, value in members.items())
    query = shlex.quote(f"DataLakeSettings | merge(@, {{{changed}}})")
    return (
        f"{_CALL} get-data-lake-settings --output json --query {query} > settings.json && "
        f"{_CALL} put-data-lake-settings --data-lake-settings file://settings.json"
    )


def add_administrator(arn: str) -> str:
    """Returns the command that adds an administrator of the lake."""
    return _add("DataLakeAdmins", arn)


def add_reader(arn: str) -> str:
    """Returns the command that adds a read-only administrator of the lake."""
    return _add("ReadOnlyAdmins", arn)


def drop_administrators(arns: Iterable[str]) -> str:
    """Returns the command that removes administrators of the lake."""
    removed = f"contains({_literal(sorted(arns))}, DataLakePrincipalIdentifier)"
    return change_settings(DataLakeAdmins=f"DataLakeAdmins[?!{removed}]")


def put_defaults(*kinds: str, principals: Iterable[str] = ()) -> str:
    """Returns the command that sets default permissions on a new `Database` or `Table`."""
    everything = [
        {"Principal": _principal(name), "Permissions": ["ALL"]} for name in sorted(principals)
    ]
    names = [f"Create{kind}DefaultPermissions" for kind in kinds]
    return change_settings(**dict.fromkeys(names, _literal(everything)))


def put_member(name: str, items: Iterable[str]) -> str:
    """Returns the command that sets another member, from its form in `LakeSettings.others`."""
    values = sorted(items)
    value: Any = values
    if name.startswith("Allow"):
        value = bool(values)
    elif name == "Parameters":
        value = dict(item.split("=", 1) for item in values)
    elif name in _PRINCIPALS:
        value = [_principal(item) for item in values]
    return change_settings(**{name: _literal(value)})


def _add(member: str, arn: str) -> str:
    return change_settings(
        **{member: f"[not_null({member}, `[]`), {_literal([_principal(arn)])}][]"}
    )


def _principal(arn: str) -> dict[str, str]:
    return {"DataLakePrincipalIdentifier": arn}


def _literal(value: Any) -> str:
    return f"`{json.dumps(value)}`"
