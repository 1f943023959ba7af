"""What Lake Formation would answer, by the grants and tags of templates."""

import json
from dataclasses import dataclass
from typing import Any

from tests.infra.variants import resources

Template = dict[str, Any]
Place = tuple[str, str | None, str | None]


@dataclass(frozen=True)
class Column:
    """A column as it would be looked up; whether it is in a template does not matter."""

    database: str
    table: str
    name: str

    def places(self) -> list[Place]:
        """What it inherits tags from, the nearest last."""
        return [
            (self.database, None, None),
            (self.database, self.table, None),
            (self.database, self.table, self.name),
        ]


def tags_of(template: Template, column: Column) -> dict[str, str]:
    """The tags that a column has, its own before the table's before the database's."""
    own: dict[Place, dict[str, str]] = {}
    for association in resources(template, "AWS::LakeFormation::TagAssociation").values():
        properties = association["Properties"]
        for place in _places(properties["Resource"]):
            for tag in properties["LFTags"]:
                own.setdefault(place, {})[tag["TagKey"]] = tag["TagValues"][0]
    tags: dict[str, str] = {}
    for place in column.places():
        tags |= own.get(place, {})
    return tags


def readers(grants: Template, tags: Template, column: Column) -> dict[str, str]:
    """Role -> how it reads a column: `tags`, `name` or `filter`.

    Args:
        grants: the template whose grants count.
        tags: the template that tags the column, as in one account both of them do.
        column: the column.
    """
    roles: dict[str, str] = {}
    column_tags = tags_of(tags, column)
    for grant in granted(grants):
        if grant["Permissions"] == ["SELECT"]:
            way = _matches(grants, grant["Resource"], column, column_tags)
            if way:
                roles[role_of(grant)] = way
    return roles


def granted(template: Template) -> list[dict[str, Any]]:
    grants = resources(template, "AWS::LakeFormation::PrincipalPermissions")
    return [grant["Properties"] for grant in grants.values()]


def role_of(grant: dict[str, Any]) -> str:
    return str(grant["Principal"]["DataLakePrincipalIdentifier"]).split("role/")[1]


def _places(resource: dict[str, Any]) -> list[Place]:
    (kind,) = resource
    value = resource[kind]
    if kind == "Database":
        return [(value["Name"], None, None)]
    columns = value.get("ColumnNames", [None])
    return [(value["DatabaseName"], value["Name"], column) for column in columns]


def _matches(
    template: Template, resource: dict[str, Any], column: Column, column_tags: dict[str, str]
) -> str | None:
    if "LFTagPolicy" in resource:
        expression = resource["LFTagPolicy"]["Expression"]
        if all(column_tags.get(item["TagKey"]) in item["TagValues"] for item in expression):
            return "tags"
    elif "DataCellsFilter" in resource:
        name = resource["DataCellsFilter"]["Name"]
        filters = resources(template, "AWS::LakeFormation::DataCellsFilter").values()
        (data_filter,) = [f["Properties"] for f in filters if f["Properties"]["Name"] == name]
        place = (data_filter["DatabaseName"], data_filter["TableName"])
        if place == (column.database, column.table) and column.name in data_filter["ColumnNames"]:
            return "filter"
    elif column.places()[-1] in _places(resource) or column.places()[-2] in _places(resource):
        return "name"
    return None


def policy_text(template: Any, role: str) -> str:
    """The policies that one stack attaches to a role of dev, as one text."""
    policies = resources(template, "AWS::IAM::ManagedPolicy").values()
    attached = [p for p in policies if p["Properties"].get("Roles") == [f"sashiko-dev-{role}"]]
    return json.dumps([policy["Properties"]["PolicyDocument"] for policy in attached])
