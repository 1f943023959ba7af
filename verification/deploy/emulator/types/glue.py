"""Glue: databases, tables, jobs, triggers, security configurations, rulesets."""

from typing import Any

from ..engine.resources import Place, Properties, ResourceType


def _arn(place: Place, kind: str, name: str) -> str:
    return f"arn:aws:glue:{place.region}:{place.account}:{kind}/{name}"


def _tags(place: Place, kind: str, name: str) -> Any:
    return place.aws("glue").get_tags(ResourceArn=_arn(place, kind, name))["Tags"]


class Database(ResourceType):
    name = "AWS::Glue::Database"
    updated = frozenset({"DatabaseInput"})
    handled = updated | {"CatalogId", "DatabaseName"}

    def create(self, place: Place, desired: Properties) -> str:
        name = desired.get("DatabaseName") or desired["DatabaseInput"]["Name"]
        place.aws("glue").create_database(
            CatalogId=desired["CatalogId"], DatabaseInput={**desired["DatabaseInput"], "Name": name}
        )
        return str(name)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        database_input = {**new["DatabaseInput"], "Name": physical_id}
        place.aws("glue").update_database(Name=physical_id, DatabaseInput=database_input)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("glue").delete_database(Name=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        database = place.aws("glue").get_database(Name=physical_id)["Database"]
        return {
            "CatalogId": database["CatalogId"],
            "DatabaseName": database["Name"],
            "DatabaseInput": database,
        }

    def import_id(self, place: Place, desired: Properties, identifiers: dict[str, str]) -> str:
        return identifiers["DatabaseName"]


class Table(ResourceType):
    name = "AWS::Glue::Table"
    updated = frozenset({"TableInput"})
    handled = updated | {"CatalogId", "DatabaseName", "Name"}

    def create(self, place: Place, desired: Properties) -> str:
        place.aws("glue").create_table(
            CatalogId=desired["CatalogId"],
            DatabaseName=desired["DatabaseName"],
            TableInput=desired["TableInput"],
        )
        return str(desired["TableInput"]["Name"])

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        place.aws("glue").update_table(
            DatabaseName=new["DatabaseName"], TableInput=new["TableInput"]
        )

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("glue").delete_table(DatabaseName=properties["DatabaseName"], Name=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        response = place.aws("glue").get_table(
            DatabaseName=desired["DatabaseName"], Name=physical_id
        )
        table = response["Table"]
        return {
            **{key: table[key] for key in ("CatalogId", "DatabaseName", "Name")},
            "TableInput": table,
        }

    def import_id(self, place: Place, desired: Properties, identifiers: dict[str, str]) -> str:
        return str(desired["TableInput"]["Name"])


class Job(ResourceType):
    name = "AWS::Glue::Job"
    updated = frozenset(
        {
            "Command", "Connections", "DefaultArguments", "Description", "ExecutionClass",
            "ExecutionProperty", "GlueVersion", "MaxCapacity", "MaxRetries",
            "NonOverridableArguments", "NumberOfWorkers", "Role", "SecurityConfiguration", "Tags",
            "Timeout", "WorkerType",
        }
    )  # fmt: skip
    handled = updated | {"Name"}

    def create(self, place: Place, desired: Properties) -> str:
        name = desired.get("Name") or place.generated_name(255)
        place.aws("glue").create_job(**{**desired, "Name": name})
        return str(name)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        # moto has no UpdateJob, and its jobs' runs have no state.
        self.delete(place, physical_id, old)
        self.create(place, {**new, "Name": physical_id})

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("glue").delete_job(JobName=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        job = place.aws("glue").get_job(JobName=physical_id)["Job"]
        return {**job, "Tags": _tags(place, "job", physical_id)}


class Trigger(ResourceType):
    name = "AWS::Glue::Trigger"
    updated = frozenset({"Actions", "Description", "Predicate", "Schedule", "Tags"})
    handled = updated | {"Name", "StartOnCreation", "Type", "WorkflowName"}

    def create(self, place: Place, desired: Properties) -> str:
        name = desired.get("Name") or place.generated_name(255)
        place.aws("glue").create_trigger(**{**desired, "Name": name})
        return str(name)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self.delete(place, physical_id, old)  # moto has no UpdateTrigger
        self.create(place, {**new, "Name": physical_id})

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("glue").delete_trigger(Name=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        trigger = place.aws("glue").get_trigger(Name=physical_id)["Trigger"]
        return {**trigger, "Tags": _tags(place, "trigger", physical_id)}


class SecurityConfiguration(ResourceType):
    name = "AWS::Glue::SecurityConfiguration"
    handled = frozenset({"Name", "EncryptionConfiguration"})

    def create(self, place: Place, desired: Properties) -> str:
        encryption = dict(desired["EncryptionConfiguration"])
        if "S3Encryptions" in encryption:
            encryption["S3Encryption"] = encryption.pop("S3Encryptions")
        place.aws("glue").create_security_configuration(
            Name=desired["Name"], EncryptionConfiguration=encryption
        )
        return str(desired["Name"])

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("glue").delete_security_configuration(Name=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        configuration = place.aws("glue").get_security_configuration(Name=physical_id)[
            "SecurityConfiguration"
        ]
        encryption = dict(configuration["EncryptionConfiguration"])
        encryption["S3Encryptions"] = encryption.pop("S3Encryption", [])
        return {"Name": configuration["Name"], "EncryptionConfiguration": encryption}


class DataQualityRuleset(ResourceType):
    name = "AWS::Glue::DataQualityRuleset"
    updated = frozenset({"Description", "Ruleset", "Tags"})
    handled = updated | {"Name", "TargetTable", "ClientToken"}

    def create(self, place: Place, desired: Properties) -> str:
        name = desired.get("Name") or place.generated_name(255)
        place.aws("glue").create_data_quality_ruleset(**{**desired, "Name": name})
        return str(name)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        glue, arn = place.aws("glue"), _arn(place, "dataQualityRuleset", physical_id)
        glue.update_data_quality_ruleset(
            Name=physical_id, Description=new.get("Description", ""), Ruleset=new["Ruleset"]
        )
        before, after = old.get("Tags", {}), new.get("Tags", {})
        glue.untag_resource(
            ResourceArn=arn, TagsToRemove=[key for key in before if key not in after]
        )
        glue.tag_resource(ResourceArn=arn, TagsToAdd=after)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("glue").delete_data_quality_ruleset(Name=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        ruleset = place.aws("glue").get_data_quality_ruleset(Name=physical_id)
        return {**ruleset, "Tags": _tags(place, "dataQualityRuleset", physical_id)}


TYPES = (Database, DataQualityRuleset, Job, SecurityConfiguration, Table, Trigger)
