"""Reads the governance of an environment's lake from its account.

Resources of others in the same account are left out: other databases, buckets, roles and LF-Tags,
and tag expressions that name another environment.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sashiko.account.access.environment_access import Environment
from sashiko.account.access.governance_json import (
    cells_filter,
    columns,
    defaults,
    filter_key,
    grants,
    location,
    other_settings,
)
from sashiko.account.access.lake_governance import (
    CellsFilter,
    Governance,
    Grant,
    LakeSettings,
    TableName,
    Target,
)
from sashiko.account.account import Account
from sashiko.account.names import tag_key

_ABSENT = ("EntityNotFoundException",)


def read_live(account: Account, environment: Environment) -> Governance:
    """Reads the governance of an environment's lake from its account.

    Raises:
        InputError: as `Account.read` does.
    """
    expected = environment.governance
    databases = dict(_databases(account, environment))
    tables = dict(_tables(account, list(databases)))
    items = account.pages("lakeformation", "list_permissions", "PrincipalResourcePermissions")
    all_grants = (grant for item in items for grant in grants(item))
    return Governance(
        settings=read_settings(account),
        tags={
            tag["TagKey"]: frozenset(tag["TagValues"])
            for tag in account.pages("lakeformation", "list_lf_tags", "LFTags")
            if _is_our_tag(tag["TagKey"], environment)
        },
        assigned=dict(_assigned(account, list(databases), tables)),
        databases=databases,
        tables=tables,
        places={},
        locations={
            item["ResourceArn"]: location(item)
            for item in account.pages("lakeformation", "list_resources", "ResourceInfoList")
            if _is_ours(item["ResourceArn"], environment)
        },
        filters=dict(_filters(account, [name for name in tables if name in expected.tables])),
        grants=frozenset(grant for grant in all_grants if _concerns(grant, environment)),
        opt_ins=_opt_ins(account, environment),
    )


def read_settings(account: Account) -> LakeSettings:
    """Reads the account's data-lake settings; errors as `Account.read`."""
    response = account.read("lakeformation", "get_data_lake_settings") or {}
    settings = response["DataLakeSettings"]
    return LakeSettings(
        admins=frozenset(
            admin["DataLakePrincipalIdentifier"] for admin in settings.get("DataLakeAdmins", ())
        ),
        database_defaults=defaults(settings.get("CreateDatabaseDefaultPermissions", ())),
        table_defaults=defaults(settings.get("CreateTableDefaultPermissions", ())),
        others=other_settings(settings),
    )


def _opt_ins(account: Account, environment: Environment) -> frozenset[Grant]:
    items = account.pages(
        "lakeformation", "list_lake_formation_opt_ins", "LakeFormationOptInsInfoList"
    )
    all_opt_ins = (grant for item in items for grant in grants({**item, "Permissions": ["OPT_IN"]}))
    return frozenset(grant for grant in all_opt_ins if _concerns(grant, environment))


def _databases(
    account: Account, environment: Environment
) -> Iterator[tuple[str, frozenset[str] | None]]:
    for name in environment.governance.databases:
        response = account.read("glue", "get_database", absent=_ABSENT, Name=name)
        if response:
            yield name, defaults(response["Database"].get("CreateTableDefaultPermissions", ()))


def _tables(
    account: Account, databases: list[str]
) -> Iterator[tuple[TableName, Mapping[str, str]]]:
    for database in databases:
        for table in account.pages("glue", "get_tables", "TableList", DatabaseName=database):
            yield (database, table["Name"]), columns(table)


def _assigned(
    account: Account, databases: list[str], tables: Mapping[TableName, Mapping[str, str]]
) -> Iterator[tuple[Target, Mapping[str, str]]]:
    """Yields the tags that are assigned directly, without inherited ones."""
    for database in databases:
        response = _tags_of(account, {"Database": {"Name": database}})
        yield Target(database=database), _pairs(response.get("LFTagOnDatabase", ()))
    for (database, table), names in tables.items():
        place = {"DatabaseName": database, "Name": table}
        response = _tags_of(account, {"Table": place})
        yield Target(database=database, table=table), _pairs(response.get("LFTagsOnTable", ()))
        response = _tags_of(account, {"TableWithColumns": place | {"ColumnNames": list(names)}})
        for column in response.get("LFTagsOnColumns", ()):
            target = Target(database=database, table=table, column=column["Name"])
            yield target, _pairs(column["LFTags"])


def _tags_of(account: Account, resource: Mapping[str, Any]) -> Mapping[str, Any]:
    return (
        account.read(
            "lakeformation",
            "get_resource_lf_tags",
            absent=_ABSENT,
            Resource=resource,
            ShowAssignedLFTags=True,
        )
        or {}
    )


def _pairs(tags: Any) -> Mapping[str, str]:
    return {tag["TagKey"]: tag["TagValues"][0] for tag in tags}


def _filters(
    account: Account, tables: list[TableName]
) -> Iterator[tuple[tuple[str, str, str], CellsFilter]]:
    for database, name in tables:
        table = {"DatabaseName": database, "Name": name}
        for item in account.pages(
            "lakeformation", "list_data_cells_filter", "DataCellsFilters", Table=table
        ):
            yield filter_key(item), cells_filter(item)


def _concerns(grant: Grant, environment: Environment) -> bool:
    """Says whether a grant is on a resource of the environment, or to one of its roles."""
    on = grant.securable
    return (
        grant.principal in {role.arn for role in environment.principals}
        or on.database in environment.governance.databases
        or (on.kind == "DataLocation" and _is_ours(on.name, environment))
        or (on.kind == "LFTag" and _is_our_tag(on.name, environment))
        or (on.kind == "LFTagPolicy" and _matches_ours(dict(on.expression), environment))
    )


def _matches_ours(expression: Mapping[str, frozenset[str]], environment: Environment) -> bool:
    settings = environment.settings
    names_project_tag = any(_is_our_tag(key, environment) for key in expression)
    return names_project_tag and settings.environment in expression.get(
        tag_key(settings, "environment"), {settings.environment}
    )


def _is_our_tag(key: str, environment: Environment) -> bool:
    return key.startswith(f"{environment.settings.project}-")


def _is_ours(arn: str, environment: Environment) -> bool:
    bucket = arn.partition(":::")[2].partition("/")[0]
    return bucket in environment.buckets
