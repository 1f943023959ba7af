"""A small lake deployed by the API to moto's server on loopback, for commands that only read."""

from dataclasses import dataclass, field
from typing import Any

import boto3

from sashiko.aws.account import Account
from sashiko.aws.audit import Difference, compare
from sashiko.aws.environment import Environment
from sashiko.aws.governance_json import filter_json, securable_json
from sashiko.aws.live import read_live
from tests.unit.aws.small_lake import SmallLake

ACCOUNT = "111122223333"


@dataclass
class Deployed:
    """A small lake as its templates have it, in an account to change by hand."""

    lake: SmallLake
    environment: Environment
    filters: list[dict[str, Any]] = field(default_factory=list)

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=self.lake.settings.region)

    @property
    def formation(self) -> Any:
        return self.client("lakeformation")

    def audit(self) -> tuple[Difference, ...]:
        account = Account(self.lake.settings)
        account.check_identity()
        return compare(self.environment, read_live(account, self.environment))

    def deploy(self) -> None:
        """Makes by the API what the templates say."""
        governance, formation = self.environment.governance, self.formation
        formation.put_data_lake_settings(DataLakeSettings=self.settings(governance.settings.admins))
        for key, values in governance.tags.items():
            formation.create_lf_tag(TagKey=key, TagValues=sorted(values))
        glue = self.client("glue")
        for resource in self.lake.resources.values():
            properties = resource["Properties"]
            if resource["Type"] == "AWS::Glue::Database":
                glue.create_database(DatabaseInput=properties["DatabaseInput"])
        (name, table), columns = next(iter(governance.tables.items()))
        glue.create_table(DatabaseName=name, TableInput=self.table(table, columns))
        for target, tags in governance.assigned.items():
            self.assign(target, dict(tags))
        for arn, role in governance.locations.items():
            formation.register_resource(ResourceArn=arn, RoleArn=role)
        for key, cells in governance.filters.items():
            self.filters.append(filter_json(key, cells, account=ACCOUNT))
        for grant in governance.grants:
            self.grant(grant.principal, grant.permission, grant.securable)

    def settings(self, admins: Any) -> dict[str, Any]:
        return {
            "DataLakeAdmins": [{"DataLakePrincipalIdentifier": admin} for admin in admins],
            "CreateDatabaseDefaultPermissions": [],
            "CreateTableDefaultPermissions": [],
        }

    def table(self, name: str, columns: Any) -> dict[str, Any]:
        plain = [{"Name": key, "Type": kind} for key, kind in columns.items()]
        return {
            "Name": name,
            "StorageDescriptor": {"Columns": plain[:-1]},
            "PartitionKeys": plain[-1:],
        }

    def assign(self, target: Any, tags: dict[str, str]) -> None:
        pairs = [{"TagKey": key, "TagValues": [value]} for key, value in tags.items()]
        table = {"DatabaseName": target.database, "Name": target.table}
        resource: dict[str, Any] = {"Database": {"Name": target.database}}
        if target.table:
            resource = {"Table": table}
        if target.column:
            resource = {"TableWithColumns": table | {"ColumnNames": [target.column]}}
        self.formation.add_lf_tags_to_resource(Resource=resource, LFTags=pairs)

    def grant(self, principal: str, permission: str, securable: Any) -> None:
        self.formation.grant_permissions(
            Principal={"DataLakePrincipalIdentifier": principal},
            Resource=securable_json(securable, account=ACCOUNT),
            Permissions=[permission],
        )
