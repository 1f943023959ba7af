"""Lake Formation: settings, locations, LF-Tags and their associations, grants, filters."""

import json
from contextlib import suppress
from typing import Any

from ..engine.errors import AbsentError, ResourceError
from ..engine.resources import Place, Properties, ResourceType

_DEFAULTS = ("CreateDatabaseDefaultPermissions", "CreateTableDefaultPermissions")


class DataLakeSettings(ResourceType):
    """An account has one: APPEND adds admins to those there, REPLACE drops the others.

    Defaults that are to be emptied stay as they are, as in AWS
    (aws-cloudformation/cloudformation-coverage-roadmap #2197). Deleting it takes its own admins
    away again; the defaults stay, as in the account.
    """

    name = "AWS::LakeFormation::DataLakeSettings"
    handled = updated = frozenset({"Admins", "MutationType", *_DEFAULTS, "Parameters"})

    def create(self, at: Place, wanted: Properties) -> str:
        self._put(at, {}, wanted)
        return at.generated_name(64)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self._put(at, old, new)

    def _put(self, at: Place, old: Properties, new: Properties) -> None:
        settings = self._settings(at)
        admins = new.get("Admins", [])
        if new.get("MutationType") == "APPEND":
            gone = [admin for admin in old.get("Admins", []) if admin not in admins]
            kept = [admin for admin in settings["DataLakeAdmins"] if admin not in gone]
            admins = [*kept, *(admin for admin in admins if admin not in kept)]
        settings["DataLakeAdmins"] = admins
        settings.update({key: new[key] for key in (*_DEFAULTS, "Parameters") if new.get(key)})
        at.aws("lakeformation").put_data_lake_settings(DataLakeSettings=settings)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        settings = self._settings(at)
        own = had.get("Admins", [])
        settings["DataLakeAdmins"] = [a for a in settings["DataLakeAdmins"] if a not in own]
        at.aws("lakeformation").put_data_lake_settings(DataLakeSettings=settings)

    def _settings(self, at: Place) -> Properties:
        return dict(at.aws("lakeformation").get_data_lake_settings()["DataLakeSettings"])

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = self._settings(at)
        return {**found, "Admins": found["DataLakeAdmins"]}


class Resource(ResourceType):
    name = "AWS::LakeFormation::Resource"
    updated = frozenset({"HybridAccessEnabled", "RoleArn", "WithFederation"})

    def create(self, at: Place, wanted: Properties) -> str:
        at.aws("lakeformation").register_resource(**wanted)
        return str(wanted["ResourceArn"])

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        given = {key: item for key, item in new.items() if key != "UseServiceLinkedRole"}
        at.aws("lakeformation").update_resource(**given)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("lakeformation").deregister_resource(ResourceArn=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = at.aws("lakeformation").describe_resource(ResourceArn=physical_id)["ResourceInfo"]
        by_lake_formation = "/aws-service-role/" in found.get("RoleArn", "")
        return {**found, "UseServiceLinkedRole": by_lake_formation}


class Tag(ResourceType):
    name = "AWS::LakeFormation::Tag"
    updated = frozenset({"TagValues"})

    def create(self, at: Place, wanted: Properties) -> str:
        at.aws("lakeformation").create_lf_tag(**wanted)
        return str(wanted["TagKey"])

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        before, after = old["TagValues"], new["TagValues"]
        changes = {
            "TagValuesToDelete": [value for value in before if value not in after],
            "TagValuesToAdd": [value for value in after if value not in before],
        }
        given = {key: values for key, values in changes.items() if values}
        if given:
            at.aws("lakeformation").update_lf_tag(TagKey=physical_id, **given)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("lakeformation").delete_lf_tag(TagKey=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = at.aws("lakeformation").get_lf_tag(TagKey=physical_id)
        return {key: found[key] for key in ("CatalogId", "TagKey", "TagValues")}


def _identifier(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


class TagAssociation(ResourceType):
    name = "AWS::LakeFormation::TagAssociation"

    def create(self, at: Place, wanted: Properties) -> str:
        failed = at.aws("lakeformation").add_lf_tags_to_resource(
            Resource=wanted["Resource"], LFTags=wanted["LFTags"]
        )["Failures"]
        if failed:
            raise ResourceError(str(failed))
        return f"{_identifier(wanted['Resource'])}|{_identifier(wanted['LFTags'])}"

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        # The service may take a removal by the key alone, so another value goes, too: the worse of
        # what AWS leaves open, and what docs/pitfalls.md warns of.
        at.aws("lakeformation").remove_lf_tags_from_resource(
            Resource=had["Resource"], LFTags=had["LFTags"]
        )

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        """The tags of its keys, as they are; one on several columns is on each of them."""
        resource = wanted["Resource"]
        found = at.aws("lakeformation").get_resource_lf_tags(
            Resource=resource, ShowAssignedLFTags=True
        )
        if "TableWithColumns" in resource:
            sets = [item["LFTags"] for item in found["LFTagsOnColumns"]]
        else:
            sets = [found["LFTagsOnTable" if "Table" in resource else "LFTagOnDatabase"]]
        keys = {tag["TagKey"] for tag in wanted["LFTags"]}
        (first, *others) = [[tag for tag in tags if tag["TagKey"] in keys] for tags in sets]
        if not first or any(other != first for other in others):
            raise AbsentError(f"{sorted(keys)} are not on {resource}")
        return {"Resource": resource, "LFTags": first}


class PrincipalPermissions(ResourceType):
    name = "AWS::LakeFormation::PrincipalPermissions"

    def create(self, at: Place, wanted: Properties) -> str:
        physical_id = f"{_identifier(wanted['Principal'])}|{_identifier(wanted['Resource'])}"
        # The service would grant it once more; CloudFormation looks first.
        with suppress(AbsentError):
            self.read(at, physical_id, wanted)
            raise ResourceError(
                f"Resource of type '{self.name}' with identifier '{physical_id}' already exists."
            )
        at.aws("lakeformation").grant_permissions(**_grant(wanted))
        return physical_id

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("lakeformation").revoke_permissions(**_grant(had))

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        """Of what the principal may do there, that part which is this grant's."""
        request = _grant(wanted)
        found = at.aws("lakeformation").list_permissions(
            Principal=request["Principal"], Resource=request["Resource"]
        )["PrincipalResourcePermissions"]
        for grant in found:
            if {*request["Permissions"]} <= {*grant["Permissions"]}:
                passed_on = grant["PermissionsWithGrantOption"]
                own = [item for item in request["Permissions"] if item in passed_on]
                return {
                    "Principal": grant["Principal"],
                    "Resource": grant["Resource"],
                    "Permissions": request["Permissions"],
                    "PermissionsWithGrantOption": own,
                }
        raise AbsentError(f"no grant of {request['Permissions']} to {request['Principal']}")


def _grant(properties: Properties) -> Properties:
    """An empty list stands for no grant option; `Catalog` is the API's CatalogId."""
    given = {key: item for key, item in properties.items() if item and key != "Catalog"}
    if "Catalog" in properties:
        given["CatalogId"] = properties["Catalog"]
    return given


class DataCellsFilter(ResourceType):
    name = "AWS::LakeFormation::DataCellsFilter"

    def create(self, at: Place, wanted: Properties) -> str:
        at.aws("lakeformation").create_data_cells_filter(TableData=wanted)
        keys = ("TableCatalogId", "DatabaseName", "TableName", "Name")
        return "|".join(wanted[key] for key in keys)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("lakeformation").delete_data_cells_filter(**_filter_key(physical_id))

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = at.aws("lakeformation").get_data_cells_filter(**_filter_key(physical_id))
        return dict(found["DataCellsFilter"])


def _filter_key(physical_id: str) -> dict[str, str]:
    keys = ("TableCatalogId", "DatabaseName", "TableName", "Name")
    return dict(zip(keys, physical_id.split("|"), strict=True))


TYPES = (DataCellsFilter, DataLakeSettings, PrincipalPermissions, Resource, Tag, TagAssociation)
