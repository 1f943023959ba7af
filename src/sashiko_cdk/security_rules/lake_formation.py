"""Rules of Lake Formation: its permissions are additive, and its settings are account-wide."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sashiko_cdk.security_rules.rule import Finding, Rule
from sashiko_cdk.security_rules.template import Resource, text, values_at

_GRANT = "AWS::LakeFormation::PrincipalPermissions"
_TAGGING = "AWS::LakeFormation::TagAssociation"
_READS = {"SELECT", "ALL", "SUPER"}
_ANYBODY = ("IAM_ALLOWED_PRINCIPALS", ":IAMPrincipals")
Table = tuple[str, str]
Tags = dict[str, frozenset[str]]


def _name(value: Mapping[str, Any], *, name: str = "Name") -> Table:
    return text(value.get("DatabaseName", "")), text(value.get(name, ""))


def _readers(resources: Sequence[Resource]) -> Iterator[tuple[Resource, str, Mapping[str, Any]]]:
    """Yields grants that let their principal read: (grant, principal, what it is on)."""
    for grant in resources:
        if grant.kind == _GRANT and _READS & set(grant.properties.get("Permissions", [])):
            principal = text(
                values_at(grant.properties, "Principal.DataLakePrincipalIdentifier")[0]
            )
            yield grant, principal, grant.properties["Resource"]


def _filter_undone(resources: Sequence[Resource]) -> Iterator[Finding]:
    """Finds grants by which a principal reads more of a table than its row filter shows."""
    tags = _tags(resources)
    filtered = {
        (reader, _name(on["DataCellsFilter"], name="TableName"))
        for _, reader, on in _readers(resources)
        if "DataCellsFilter" in on
    }
    for grant, reader, on in _readers(resources):
        any_principal = reader.endswith(_ANYBODY)
        tables = [table for principal, table in filtered if any_principal or principal == reader]
        if any(_reaches(on, table, tags) for table in tables):
            yield Finding(resource=grant, where="Properties/Resource")


def _reaches(on: Mapping[str, Any], table: Table, tags: Mapping[Table, list[Tags]]) -> bool:
    for kind in ("Table", "TableWithColumns"):
        if kind in on:
            database, name = _name(on[kind])
            return database == table[0] and (name == table[1] or "TableWildcard" in on[kind])
    if "LFTagPolicy" not in on:
        return False
    expression = {
        text(item["TagKey"]): set(map(text, item["TagValues"]))
        for item in on["LFTagPolicy"]["Expression"]
    }
    # A table without tags in the templates may have any tag.
    return any(
        all(assigned.get(key, frozenset()) & values for key, values in expression.items())
        for assigned in tags.get(table, [])
    ) or (table not in tags)


def _tags(resources: Sequence[Resource]) -> dict[Table, list[Tags]]:
    """Returns the tags of each table and of each of its tagged columns, inherited ones too."""
    databases: dict[str, Tags] = {}
    tables: dict[Table, Tags] = {}
    columns: dict[tuple[Table, str], Tags] = {}
    for item in (item for item in resources if item.kind == _TAGGING):
        on = item.properties["Resource"]
        tags = {
            text(tag["TagKey"]): frozenset(map(text, tag["TagValues"]))
            for tag in item.properties["LFTags"]
        }
        if "Database" in on:
            databases.setdefault(text(on["Database"]["Name"]), {}).update(tags)
        elif "Table" in on:
            tables.setdefault(_name(on["Table"]), {}).update(tags)
        elif "TableWithColumns" in on:
            table = _name(on["TableWithColumns"])
            tables.setdefault(table, {})
            for column in map(text, on["TableWithColumns"]["ColumnNames"]):
                columns.setdefault((table, column), {}).update(tags)
    table_tags = {table: databases.get(table[0], {}) | own for table, own in tables.items()}
    return {
        table: [inherited, *(inherited | own for (of, _), own in columns.items() if of == table)]
        for table, inherited in table_tags.items()
    }


def _environment_missing(resources: Sequence[Resource]) -> Iterator[Finding]:
    """Finds expressions that match other environments' tables: a wrong environment tag, or none."""
    own = _environments(resources)
    for grant in resources:
        policies = values_at(grant.properties, "Resource.LFTagPolicy")
        for policy in policies if grant.kind == _GRANT else []:
            values = list(_environment_tags(policy.get("Expression", ())))
            if len(values) != 1 or len(values[0]) != 1 or not values[0] <= (own or values[0]):
                yield Finding(resource=grant, where="Properties/Resource/LFTagPolicy/Expression")


def _environments(resources: Sequence[Resource]) -> frozenset[str]:
    """Returns the environment of the databases that the templates tag."""
    environments: set[str] = set()
    for item in (item for item in resources if item.kind == _TAGGING):
        if "Database" in item.properties["Resource"]:
            environments.update(*_environment_tags(item.properties["LFTags"]))
    return frozenset(environments)


def _environment_tags(tags: Iterable[Mapping[str, Any]]) -> Iterator[frozenset[str]]:
    for tag in tags:
        if text(tag["TagKey"]).endswith("-environment"):
            yield frozenset(map(text, tag["TagValues"]))


def _broken_types(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in resources:
        if item.kind.startswith("AWS::S3Tables::"):
            yield Finding(resource=item, where="Type")
        if item.kind == "AWS::Glue::Table" and _is_iceberg(item.properties):
            yield Finding(resource=item, where="Properties/TableInput")


def _is_iceberg(properties: Mapping[str, Any]) -> bool:
    declared = [str(value) for value in values_at(properties, "TableInput.Parameters.table_type")]
    return bool(values_at(properties, "OpenTableFormatInput")) or "ICEBERG" in map(
        str.upper, declared
    )


def _settings_by_cloudformation(resources: Sequence[Resource]) -> Iterator[Finding]:
    for item in resources:
        if item.kind == "AWS::LakeFormation::DataLakeSettings":
            yield Finding(resource=item, where="Type")


RULES = (
    Rule(
        name="row-filter",
        description="A principal with a row filter on a table reads it by another grant too: "
        "permissions add up, so the filter restricts nothing.",
        fix="Grant the principal its other tables by name, and this one by the filter alone.",
        check=_filter_undone,
    ),
    Rule(
        name="tag-environment",
        description="A grant by tags matches the whole catalog, other environments' tables too.",
        fix="Put the environment's tag into the expression, with its own value alone.",
        check=_environment_missing,
    ),
    Rule(
        name="broken-type",
        description="CloudFormation breaks S3 Tables with grants, and an Iceberg table's metadata "
        "when it updates it.",
        fix="Keep Parquet tables (sashiko_cdk/lake/lake_tables.py), or make it by another tool.",
        check=_broken_types,
    ),
    Rule(
        name="settings-by-function",
        description="CloudFormation's type for the data-lake settings does not empty the default "
        "permissions, and may replace the account's administrators.",
        fix="Change them by src/sashiko_cdk/lake/lake_settings.py.",
        check=_settings_by_cloudformation,
    ),
)
