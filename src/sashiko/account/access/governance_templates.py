"""Reads from the templates how the lake is governed."""

from collections.abc import Iterator, Mapping
from typing import Any

from sashiko.account.access.governance import Governance, LakeSettings, Target
from sashiko.account.access.governance_json import (
    cells_filter,
    columns,
    defaults,
    filter_key,
    grants,
    location,
)
from sashiko.account.templates import Templates
from sashiko.errors import InputError


def read_governance(templates: Templates) -> Governance:
    """Reads how the lake of the templates is governed.

    Raises:
        InputError: if a template grants by the older type, which this does not evaluate.
    """
    for old in templates.of_type("AWS::LakeFormation::Permissions"):
        raise InputError(
            f"{old.stack}: {old.logical_id} is an AWS::LakeFormation::Permissions; use "
            "AWS::LakeFormation::PrincipalPermissions, which is what audit and permissions read"
        )
    tables = [item.properties for item in templates.of_type("AWS::Glue::Table")]
    databases = [
        item.properties["DatabaseInput"] for item in templates.of_type("AWS::Glue::Database")
    ]
    return Governance(
        settings=_settings(templates),
        tags={
            item.properties["TagKey"]: frozenset(item.properties["TagValues"])
            for item in templates.of_type("AWS::LakeFormation::Tag")
        },
        assigned=_assigned(templates),
        databases={
            item["Name"]: (
                defaults(item["CreateTableDefaultPermissions"])
                if "CreateTableDefaultPermissions" in item
                else None
            )
            for item in databases
        },
        tables={
            (item["DatabaseName"], item["TableInput"]["Name"]): columns(item["TableInput"])
            for item in tables
        },
        places={
            (item["DatabaseName"], item["TableInput"]["Name"]): item["TableInput"]
            .get("StorageDescriptor", {})
            .get("Location", "")
            for item in tables
        },
        locations={
            item.properties["ResourceArn"]: location(item.properties)
            for item in templates.of_type("AWS::LakeFormation::Resource")
        },
        filters={
            filter_key(item.properties): cells_filter(item.properties)
            for item in templates.of_type("AWS::LakeFormation::DataCellsFilter")
        },
        grants=frozenset(
            grant
            for item in templates.of_type("AWS::LakeFormation::PrincipalPermissions")
            for grant in grants(item.properties)
        ),
    )


def _settings(templates: Templates) -> LakeSettings | None:
    """Reads what the function of the settings is to put: it empties what everybody gets."""
    admins = frozenset(
        item.properties["Administrator"] for item in templates.of_type("Custom::DataLakeSettings")
    )
    if not admins:
        return None
    return LakeSettings(
        admins=admins, database_defaults=frozenset(), table_defaults=frozenset(), others={}
    )


def _assigned(templates: Templates) -> Mapping[Target, Mapping[str, str]]:
    assigned: dict[Target, dict[str, str]] = {}
    for item in templates.of_type("AWS::LakeFormation::TagAssociation"):
        for target in _targets(item.properties["Resource"]):
            for tag in item.properties["LFTags"]:
                assigned.setdefault(target, {})[tag["TagKey"]] = tag["TagValues"][0]
    return assigned


def _targets(resource: Mapping[str, Any]) -> Iterator[Target]:
    if database := resource.get("Database"):
        yield Target(database=database["Name"])
    if table := resource.get("Table"):
        yield Target(database=table["DatabaseName"], table=table["Name"])
    if table := resource.get("TableWithColumns"):
        for column in table["ColumnNames"]:
            yield Target(database=table["DatabaseName"], table=table["Name"], column=column)
