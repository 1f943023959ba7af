"""The governance of an environment's lake, as its account has it.

Resources of others in the same account are left out: other databases, buckets, roles and LF-Tags,
and tag expressions that name another environment. Errors are those of `Account.read`.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from sashiko.account.access import lake_governance as lake
from sashiko.account.access.environment_access import Environment
from sashiko.account.access.live import read_settings
from sashiko.account.account import Account
from sashiko.account.names import tag_key

_ABSENT = ("EntityNotFoundException",)


def read_live(account: Account, environment: Environment) -> lake.Governance:
    """Reads the governance of an environment's lake from its account."""
    expected, listed = environment.governance, partial(account.pages, "lakeformation")
    databases = {}
    for name in expected.databases:
        if answer := account.read("glue", "get_database", absent=_ABSENT, Name=name):
            permissions = answer["Database"].get("CreateTableDefaultPermissions", ())
            databases[name] = lake.defaults(permissions)
    tables = {
        (database, table["Name"]): lake.columns(table)
        for database in databases
        for table in account.pages("glue", "get_tables", "TableList", DatabaseName=database)
    }
    opt_ins = listed("list_lake_formation_opt_ins", "LakeFormationOptInsInfoList")
    as_grants = ({**item, "Permissions": ["OPT_IN"]} for item in opt_ins)
    return lake.Governance(
        settings=read_settings(account),
        tags={
            key: values
            for key, values in lake.tag_values(listed("list_lf_tags", "LFTags")).items()
            if _is_our_tag(key, environment)
        },
        assigned=dict(_assigned(account, list(databases), tables)),
        databases=databases,
        tables=tables,
        places={},
        locations={
            item["ResourceArn"]: lake.location(item)
            for item in listed("list_resources", "ResourceInfoList")
            if _is_ours(item["ResourceArn"], environment)
        },
        filters={
            lake.filter_key(item): lake.cells_filter(item)
            for database, name in tables.keys() & expected.tables.keys()
            for item in listed(
                "list_data_cells_filter",
                "DataCellsFilters",
                Table={"DatabaseName": database, "Name": name},
            )
        },
        grants=_concerning(listed("list_permissions", "PrincipalResourcePermissions"), environment),
        opt_ins=_concerning(as_grants, environment),
    )


def _assigned(
    account: Account, databases: list[str], tables: Mapping[lake.TableName, Mapping[str, str]]
) -> Iterator[tuple[lake.Target, Mapping[str, str]]]:
    """Yields the tags that are assigned directly, without inherited ones."""

    def tags_of(resource: Mapping[str, Any]) -> Mapping[str, Any]:
        request: dict[str, Any] = {"Resource": resource, "ShowAssignedLFTags": True}
        call = ("lakeformation", "get_resource_lf_tags")
        return account.read(*call, absent=_ABSENT, **request) or {}

    def pairs(tags: Iterable[Mapping[str, Any]]) -> Mapping[str, str]:
        return {tag["TagKey"]: tag["TagValues"][0] for tag in tags}

    for database in databases:
        response = tags_of({"Database": {"Name": database}})
        yield lake.Target(database=database), pairs(response.get("LFTagOnDatabase", ()))
    for (database, table), names in tables.items():
        place = {"DatabaseName": database, "Name": table}
        response = tags_of({"Table": place})
        yield lake.Target(database=database, table=table), pairs(response.get("LFTagsOnTable", ()))
        response = tags_of({"TableWithColumns": place | {"ColumnNames": list(names)}})
        for column in response.get("LFTagsOnColumns", ()):
            target = lake.Target(database=database, table=table, column=column["Name"])
            yield target, pairs(column["LFTags"])


def _concerning(
    items: Iterable[Mapping[str, Any]], environment: Environment
) -> frozenset[lake.Grant]:
    """Returns the grants on a resource of the environment, or to one of its roles."""
    all_grants = (grant for item in items for grant in lake.grants(item))
    return frozenset(grant for grant in all_grants if _concerns(grant, environment))


def _concerns(grant: lake.Grant, environment: Environment) -> bool:
    on, own, expression = grant.securable, environment.settings, dict(grant.securable.expression)
    environments = expression.get(tag_key(own, "environment"), {own.environment})
    named = own.environment in environments and any(
        _is_our_tag(key, environment) for key in expression
    )
    return (
        grant.principal in {role.arn for role in environment.principals}
        or on.database in environment.governance.databases
        or (on.kind == "DataLocation" and _is_ours(on.name, environment))
        or (on.kind == "LFTag" and _is_our_tag(on.name, environment))
        or (on.kind == "LFTagPolicy" and named)
    )


def _is_our_tag(key: str, environment: Environment) -> bool:
    return key.startswith(f"{environment.settings.project}-")


def _is_ours(arn: str, environment: Environment) -> bool:
    return arn.partition(":::")[2].partition("/")[0] in environment.buckets
