"""Parts of a lake's governance in JSON, in the form that CloudFormation and the API share."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sashiko.account.access.lake_governance import (
    CellsFilter,
    Expression,
    Grant,
    Location,
    Securable,
)


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
    values_by_name = {
        key: _values(value) for key, value in settings.items() if key not in _SETTINGS_APART
    }
    return {key: value for key, value in values_by_name.items() if value}


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
