"""Glue's tables, and Lake Formation: settings, LF-Tags, associations, grants, filters."""

import json
from contextlib import suppress
from typing import Any

from ..engine.resources import AbsentError, Place, Properties, ResourceError, ResourceType

_DEFAULTS = ("CreateDatabaseDefaultPermissions", "CreateTableDefaultPermissions")


class Table(ResourceType):
    name = "AWS::Glue::Table"
    updated = frozenset({"TableInput"})
    handled = updated | {"CatalogId", "DatabaseName", "Name"}

    def create(self, place: Place, desired: Properties) -> str:
        place.aws("glue").create_table(**{k: v for k, v in desired.items() if k != "Name"})
        return str(desired["TableInput"]["Name"])

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        place.aws("glue").update_table(
            DatabaseName=new["DatabaseName"], TableInput=new["TableInput"]
        )

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("glue").delete_table(DatabaseName=properties["DatabaseName"], Name=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        by_name = {"DatabaseName": desired["DatabaseName"], "Name": physical_id}
        table = place.aws("glue").get_table(**by_name)["Table"]
        return {**table, "TableInput": table}

    def import_id(self, place: Place, desired: Properties, identifiers: dict[str, str]) -> str:
        return str(desired["TableInput"]["Name"])


class DataLakeSettings(ResourceType):
    """An account has one: APPEND adds admins to the existing ones, REPLACE drops the others.

    Defaults that are to be emptied stay as they are, as in AWS
    (aws-cloudformation/cloudformation-coverage-roadmap #2197). Deleting it takes its own admins
    away again; the defaults stay, as in the account.
    """

    name = "AWS::LakeFormation::DataLakeSettings"
    handled = updated = frozenset({"Admins", "MutationType", *_DEFAULTS, "Parameters"})

    def create(self, place: Place, desired: Properties) -> str:
        self._put(place, {}, desired)
        return place.generated_name(64)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self._put(place, old, new)

    def _put(self, place: Place, old: Properties, new: Properties) -> None:
        settings = self._settings(place)
        admins = new.get("Admins", [])
        if new.get("MutationType") == "APPEND":
            removed = [admin for admin in old.get("Admins", []) if admin not in admins]
            remaining = [admin for admin in settings["DataLakeAdmins"] if admin not in removed]
            admins = [*remaining, *(admin for admin in admins if admin not in remaining)]
        settings["DataLakeAdmins"] = admins
        settings.update({key: new[key] for key in (*_DEFAULTS, "Parameters") if new.get(key)})
        place.aws("lakeformation").put_data_lake_settings(DataLakeSettings=settings)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        settings = self._settings(place)
        admins = properties.get("Admins", [])
        settings["DataLakeAdmins"] = [a for a in settings["DataLakeAdmins"] if a not in admins]
        place.aws("lakeformation").put_data_lake_settings(DataLakeSettings=settings)

    def _settings(self, place: Place) -> Properties:
        return dict(place.aws("lakeformation").get_data_lake_settings()["DataLakeSettings"])

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        settings = self._settings(place)
        return {**settings, "Admins": settings["DataLakeAdmins"]}


class Tag(ResourceType):
    name = "AWS::LakeFormation::Tag"
    updated = frozenset({"TagValues"})

    def create(self, place: Place, desired: Properties) -> str:
        place.aws("lakeformation").create_lf_tag(**desired)
        return str(desired["TagKey"])

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        before, after = old["TagValues"], new["TagValues"]
        changes = {
            "TagValuesToDelete": [value for value in before if value not in after],
            "TagValuesToAdd": [value for value in after if value not in before],
        }
        changed_values = {key: values for key, values in changes.items() if values}
        if changed_values:
            place.aws("lakeformation").update_lf_tag(TagKey=physical_id, **changed_values)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("lakeformation").delete_lf_tag(TagKey=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        tag = place.aws("lakeformation").get_lf_tag(TagKey=physical_id)
        return dict(tag)


def _identifier(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


class TagAssociation(ResourceType):
    name = "AWS::LakeFormation::TagAssociation"

    def create(self, place: Place, desired: Properties) -> str:
        failed = place.aws("lakeformation").add_lf_tags_to_resource(
            Resource=desired["Resource"], LFTags=desired["LFTags"]
        )["Failures"]
        if failed:
            raise ResourceError(str(failed))
        return f"{_identifier(desired['Resource'])}|{_identifier(desired['LFTags'])}"

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        # The service may remove by the key alone, so that another value goes, too. AWS leaves this
        # open; this is the worse case, of which docs/pitfalls.md warns.
        place.aws("lakeformation").remove_lf_tags_from_resource(
            Resource=properties["Resource"], LFTags=properties["LFTags"]
        )

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        """Returns the current tags of its keys; a tag on several columns is on each of them."""
        resource = desired["Resource"]
        assigned = place.aws("lakeformation").get_resource_lf_tags(
            Resource=resource, ShowAssignedLFTags=True
        )
        if "TableWithColumns" in resource:
            sets = [item["LFTags"] for item in assigned["LFTagsOnColumns"]]
        else:
            sets = [assigned["LFTagsOnTable" if "Table" in resource else "LFTagOnDatabase"]]
        keys = {tag["TagKey"] for tag in desired["LFTags"]}
        (first, *others) = [[tag for tag in tags if tag["TagKey"] in keys] for tags in sets]
        if not first or any(other != first for other in others):
            raise AbsentError(f"{sorted(keys)} are not on {resource}")
        return {"Resource": resource, "LFTags": first}


class PrincipalPermissions(ResourceType):
    name = "AWS::LakeFormation::PrincipalPermissions"

    def create(self, place: Place, desired: Properties) -> str:
        physical_id = f"{_identifier(desired['Principal'])}|{_identifier(desired['Resource'])}"
        # The service would grant it once more; CloudFormation checks first.
        with suppress(AbsentError):
            self.read(place, physical_id, desired)
            raise ResourceError(
                f"Resource of type '{self.name}' with identifier '{physical_id}' already exists."
            )
        place.aws("lakeformation").grant_permissions(**_grant(desired))
        return physical_id

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("lakeformation").revoke_permissions(**_grant(properties))

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        """Returns the part of the principal's permissions that this grant covers."""
        request = _grant(desired)
        grants = place.aws("lakeformation").list_permissions(
            Principal=request["Principal"], Resource=request["Resource"]
        )["PrincipalResourcePermissions"]
        for grant in grants:
            if {*request["Permissions"]} <= {*grant["Permissions"]}:
                grantable = grant["PermissionsWithGrantOption"]
                grant_option = [item for item in request["Permissions"] if item in grantable]
                return {
                    "Principal": grant["Principal"],
                    "Resource": grant["Resource"],
                    "Permissions": request["Permissions"],
                    "PermissionsWithGrantOption": grant_option,
                }
        raise AbsentError(f"no grant of {request['Permissions']} to {request['Principal']}")


def _grant(properties: Properties) -> Properties:
    """An empty list means no grant option; `Catalog` is the API's CatalogId."""
    request = {key: item for key, item in properties.items() if item and key != "Catalog"}
    if "Catalog" in properties:
        request["CatalogId"] = properties["Catalog"]
    return request


class DataCellsFilter(ResourceType):
    name = "AWS::LakeFormation::DataCellsFilter"

    def create(self, place: Place, desired: Properties) -> str:
        place.aws("lakeformation").create_data_cells_filter(TableData=desired)
        keys = ("TableCatalogId", "DatabaseName", "TableName", "Name")
        return "|".join(desired[key] for key in keys)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("lakeformation").delete_data_cells_filter(**_filter_key(physical_id))

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        response = place.aws("lakeformation").get_data_cells_filter(**_filter_key(physical_id))
        return dict(response["DataCellsFilter"])


def _filter_key(physical_id: str) -> dict[str, str]:
    keys = ("TableCatalogId", "DatabaseName", "TableName", "Name")
    return dict(zip(keys, physical_id.split("|"), strict=True))


TYPES = (
    DataCellsFilter(), DataLakeSettings(), PrincipalPermissions(), Table(), Tag(), TagAssociation(),
)  # fmt: skip
