"""Glue: databases, tables, jobs, triggers, security configurations, rulesets."""

from typing import Any

from ..engine.resources import Place, Properties, ResourceType


def _arn(at: Place, kind: str, name: str) -> str:
    return f"arn:aws:glue:{at.region}:{at.account}:{kind}/{name}"


def _tags(at: Place, kind: str, name: str) -> Any:
    return at.aws("glue").get_tags(ResourceArn=_arn(at, kind, name))["Tags"]


class Database(ResourceType):
    name = "AWS::Glue::Database"
    updated = frozenset({"DatabaseInput"})
    handled = updated | {"CatalogId", "DatabaseName"}

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("DatabaseName") or wanted["DatabaseInput"]["Name"]
        at.aws("glue").create_database(
            CatalogId=wanted["CatalogId"], DatabaseInput={**wanted["DatabaseInput"], "Name": name}
        )
        return str(name)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        given = {**new["DatabaseInput"], "Name": physical_id}
        at.aws("glue").update_database(Name=physical_id, DatabaseInput=given)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("glue").delete_database(Name=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = at.aws("glue").get_database(Name=physical_id)["Database"]
        return {
            "CatalogId": found["CatalogId"],
            "DatabaseName": found["Name"],
            "DatabaseInput": found,
        }

    def found_id(self, at: Place, wanted: Properties, given: dict[str, str]) -> str:
        return given["DatabaseName"]


class Table(ResourceType):
    name = "AWS::Glue::Table"
    updated = frozenset({"TableInput"})
    handled = updated | {"CatalogId", "DatabaseName", "Name"}

    def create(self, at: Place, wanted: Properties) -> str:
        at.aws("glue").create_table(
            CatalogId=wanted["CatalogId"],
            DatabaseName=wanted["DatabaseName"],
            TableInput=wanted["TableInput"],
        )
        return str(wanted["TableInput"]["Name"])

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        at.aws("glue").update_table(DatabaseName=new["DatabaseName"], TableInput=new["TableInput"])

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("glue").delete_table(DatabaseName=had["DatabaseName"], Name=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = at.aws("glue").get_table(DatabaseName=wanted["DatabaseName"], Name=physical_id)
        table = found["Table"]
        return {
            **{key: table[key] for key in ("CatalogId", "DatabaseName", "Name")},
            "TableInput": table,
        }

    def found_id(self, at: Place, wanted: Properties, given: dict[str, str]) -> str:
        return str(wanted["TableInput"]["Name"])


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

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("Name") or at.generated_name(255)
        at.aws("glue").create_job(**{**wanted, "Name": name})
        return str(name)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        # moto has no UpdateJob, and its jobs' runs hold nothing.
        self.delete(at, physical_id, old)
        self.create(at, {**new, "Name": physical_id})

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("glue").delete_job(JobName=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = at.aws("glue").get_job(JobName=physical_id)["Job"]
        return {**found, "Tags": _tags(at, "job", physical_id)}


class Trigger(ResourceType):
    name = "AWS::Glue::Trigger"
    updated = frozenset({"Actions", "Description", "Predicate", "Schedule", "Tags"})
    handled = updated | {"Name", "StartOnCreation", "Type", "WorkflowName"}

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("Name") or at.generated_name(255)
        at.aws("glue").create_trigger(**{**wanted, "Name": name})
        return str(name)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self.delete(at, physical_id, old)  # moto has no UpdateTrigger
        self.create(at, {**new, "Name": physical_id})

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("glue").delete_trigger(Name=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = at.aws("glue").get_trigger(Name=physical_id)["Trigger"]
        return {**found, "Tags": _tags(at, "trigger", physical_id)}


class SecurityConfiguration(ResourceType):
    name = "AWS::Glue::SecurityConfiguration"
    handled = frozenset({"Name", "EncryptionConfiguration"})

    def create(self, at: Place, wanted: Properties) -> str:
        encryption = dict(wanted["EncryptionConfiguration"])
        if "S3Encryptions" in encryption:
            encryption["S3Encryption"] = encryption.pop("S3Encryptions")
        at.aws("glue").create_security_configuration(
            Name=wanted["Name"], EncryptionConfiguration=encryption
        )
        return str(wanted["Name"])

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("glue").delete_security_configuration(Name=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = at.aws("glue").get_security_configuration(Name=physical_id)["SecurityConfiguration"]
        encryption = dict(found["EncryptionConfiguration"])
        encryption["S3Encryptions"] = encryption.pop("S3Encryption", [])
        return {"Name": found["Name"], "EncryptionConfiguration": encryption}


class DataQualityRuleset(ResourceType):
    name = "AWS::Glue::DataQualityRuleset"
    updated = frozenset({"Description", "Ruleset", "Tags"})
    handled = updated | {"Name", "TargetTable", "ClientToken"}

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("Name") or at.generated_name(255)
        at.aws("glue").create_data_quality_ruleset(**{**wanted, "Name": name})
        return str(name)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        glue, arn = at.aws("glue"), _arn(at, "dataQualityRuleset", physical_id)
        glue.update_data_quality_ruleset(
            Name=physical_id, Description=new.get("Description", ""), Ruleset=new["Ruleset"]
        )
        before, after = old.get("Tags", {}), new.get("Tags", {})
        glue.untag_resource(
            ResourceArn=arn, TagsToRemove=[key for key in before if key not in after]
        )
        glue.tag_resource(ResourceArn=arn, TagsToAdd=after)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("glue").delete_data_quality_ruleset(Name=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = at.aws("glue").get_data_quality_ruleset(Name=physical_id)
        return {**found, "Tags": _tags(at, "dataQualityRuleset", physical_id)}


TYPES = (Database, DataQualityRuleset, Job, SecurityConfiguration, Table, Trigger)
