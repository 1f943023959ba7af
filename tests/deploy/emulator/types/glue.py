"""Glue: databases, tables, jobs, triggers, security configurations, rulesets."""

from typing import Any

from ..engine.resources import Place, Properties, ResourceType


class Database(ResourceType):
    name = "AWS::Glue::Database"
    handled = frozenset({"CatalogId", "DatabaseInput", "DatabaseName"})

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

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        return at.aws("glue").get_database(Name=physical_id)["Database"]

    def found_id(self, at: Place, wanted: Properties, given: dict[str, str]) -> str:
        return given["DatabaseName"]


class Table(ResourceType):
    name = "AWS::Glue::Table"
    handled = frozenset({"CatalogId", "DatabaseName", "Name", "TableInput"})

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

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        found = at.aws("glue").get_table(DatabaseName=wanted["DatabaseName"], Name=physical_id)
        return found["Table"]

    def found_id(self, at: Place, wanted: Properties, given: dict[str, str]) -> str:
        return str(wanted["TableInput"]["Name"])


class Job(ResourceType):
    name = "AWS::Glue::Job"

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

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        return at.aws("glue").get_job(JobName=physical_id)["Job"]


class Trigger(ResourceType):
    name = "AWS::Glue::Trigger"

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("Name") or at.generated_name(255)
        at.aws("glue").create_trigger(**{**wanted, "Name": name})
        return str(name)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self.delete(at, physical_id, old)  # moto has no UpdateTrigger
        self.create(at, {**new, "Name": physical_id})

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("glue").delete_trigger(Name=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        return at.aws("glue").get_trigger(Name=physical_id)["Trigger"]


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

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        # Glue has no update of one: CloudFormation deletes and creates it.
        self.delete(at, physical_id, old)
        self.create(at, new)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("glue").delete_security_configuration(Name=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        found = at.aws("glue").get_security_configuration(Name=physical_id)
        return found["SecurityConfiguration"]


class DataQualityRuleset(ResourceType):
    name = "AWS::Glue::DataQualityRuleset"
    handled = frozenset({"Name", "Description", "Ruleset", "Tags", "TargetTable", "ClientToken"})

    def create(self, at: Place, wanted: Properties) -> str:
        name = wanted.get("Name") or at.generated_name(255)
        at.aws("glue").create_data_quality_ruleset(**{**wanted, "Name": name})
        return str(name)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        if old.get("TargetTable") != new.get("TargetTable"):
            self.delete(at, physical_id, old)
            self.create(at, {**new, "Name": physical_id})
            return
        given = {key: new[key] for key in ("Description", "Ruleset") if key in new}
        at.aws("glue").update_data_quality_ruleset(Name=physical_id, **given)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("glue").delete_data_quality_ruleset(Name=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        return at.aws("glue").get_data_quality_ruleset(Name=physical_id)


TYPES = (Database, DataQualityRuleset, Job, SecurityConfiguration, Table, Trigger)
