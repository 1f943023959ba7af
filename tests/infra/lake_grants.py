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
    found: dict[str, str] = {}
    for place in column.places():
        found |= own.get(place, {})
    return found


def readers(grants: Template, tags: Template, column: Column) -> dict[str, str]:
    """Role -> how it reads a column: `tags`, `name` or `filter`.

    Args:
        grants: the template whose grants count.
        tags: the template that tags the column, as in one account both of them do.
        column: the column.
    """
    found: dict[str, str] = {}
    carried = tags_of(tags, column)
    for grant in granted(grants):
        if grant["Permissions"] == ["SELECT"]:
            how = _matches(grants, grant["Resource"], column, carried)
            if how:
                found[role_of(grant)] = how
    return found


def granted(template: Template) -> list[dict[str, Any]]:
    """The properties of every grant."""
    found = resources(template, "AWS::LakeFormation::PrincipalPermissions")
    return [grant["Properties"] for grant in found.values()]


def role_of(grant: dict[str, Any]) -> str:
    """The name of the role that a grant is for."""
    return str(grant["Principal"]["DataLakePrincipalIdentifier"]).split("role/")[1]


def _places(resource: dict[str, Any]) -> list[Place]:
    (kind,) = resource
    value = resource[kind]
    if kind == "Database":
        return [(value["Name"], None, None)]
    columns = value.get("ColumnNames", [None])
    return [(value["DatabaseName"], value["Name"], column) for column in columns]


def _matches(
    template: Template, resource: dict[str, Any], column: Column, carried: dict[str, str]
) -> str | None:
    if "LFTagPolicy" in resource:
        expression = resource["LFTagPolicy"]["Expression"]
        if all(carried.get(item["TagKey"]) in item["TagValues"] for item in expression):
            return "tags"
    elif "DataCellsFilter" in resource:
        name = resource["DataCellsFilter"]["Name"]
        filters = resources(template, "AWS::LakeFormation::DataCellsFilter").values()
        (shown,) = [f["Properties"] for f in filters if f["Properties"]["Name"] == name]
        place = (shown["DatabaseName"], shown["TableName"])
        if place == (column.database, column.table) and column.name in shown["ColumnNames"]:
            return "filter"
    elif column.places()[-1] in _places(resource) or column.places()[-2] in _places(resource):
        return "name"
    return None


def policy_text(template: Any, role: str) -> str:
    """The policies that one stack attaches to a role of dev, as one text."""
    found = resources(template, "AWS::IAM::ManagedPolicy").values()
    mine = [p for p in found if p["Properties"].get("Roles") == [f"sashiko-dev-{role}"]]
    return json.dumps([policy["Properties"]["PolicyDocument"] for policy in mine])
