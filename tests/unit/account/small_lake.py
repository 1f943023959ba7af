"""A small environment as `cdk synth` would write it, correct as it stands; tests break it."""

import copy
import json
from pathlib import Path
from typing import Any

from sashiko.account.access.environment_access import Environment, read_environment
from sashiko.account.names import bucket_name, database_name, prefix, role_name, tag_key
from sashiko.settings.environment import Settings
from tests.infra.variants import settings_of

Resources = dict[str, dict[str, Any]]
COLUMNS = {"id": "none", "text": "none", "race": "sensitive", "name": "pii"}
ROLES = (
    "approver",
    "bias-evaluator",
    "broker",
    "data-scientist",
    "etl",
    "lake-formation",
    "registrar",
    "training",
)
READERS = ("broker", "bias-evaluator", "data-scientist")


class SmallLake:
    """Templates to change and to write.

    `resources` maps logical id -> resource of one stack. Ids that tests use: `Table`, `Database`,
    `Settings`, `Location`, `Filter`, `CuratedPolicy`, `Role<name>`, `Grant<name>`, `Query<name>`,
    `Tag<kind>`, `Tags<target>`.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or settings_of("dev")
        self.database = database_name(self.settings)
        self.curated = bucket_name(self.settings, "curated")
        self.snapshots = bucket_name(self.settings, "snapshots")
        self.resources: Resources = {}
        for role in ROLES:
            service = {"etl": "glue", "lake-formation": "lakeformation"}.get(role, "sagemaker")
            who = {"Principal": {"Service": f"{service}.amazonaws.com"}}
            trust = {"Effect": "Allow", "Action": "sts:AssumeRole", **who}
            self.add(
                f"Role{role}",
                "AWS::IAM::Role",
                RoleName=role_name(self.settings, role),  # type: ignore[arg-type]
                AssumeRolePolicyDocument={"Statement": [trust]},
            )
        glue = {"Fn::Sub": "arn:${AWS::Partition}:glue:${AWS::Region}:${AWS::AccountId}:"}
        names = ("catalog", f"database/{self.database}", f"table/{self.database}/*")
        tables = [{"Fn::Join": ["", [glue, name]]} for name in names]
        for role in READERS:
            self.allow(role, ["glue:GetTable"], tables)
            self.allow(role, ["lakeformation:GetDataAccess", "athena:StartQueryExecution"], ["*"])
        files = {"Fn::Join": ["", [{"Fn::GetAtt": ["Curated", "Arn"]}, "/*"]]}
        self.allow("etl", ["s3:GetObject", "s3:PutObject"], [files])
        self.allow("lake-formation", ["s3:GetObject"], [files])
        snapshot = f"arn:aws:s3:::{self.snapshots}/training/*"
        self.allow("training", ["s3:GetObject"], [snapshot])
        self.allow("broker", ["s3:GetObject", "s3:PutObject"], [snapshot])
        pending = {"StringEquals": {"sagemaker:ModelApprovalStatus": "PendingManualApproval"}}
        self.allow("registrar", ["sagemaker:CreateModelPackage"], ["*"], Condition=pending)
        self.allow("approver", ["sagemaker:UpdateModelPackage"], ["*"])
        self._data()
        self._govern()

    def role(self, name: Any) -> str:
        return self.settings.role_arn(name)

    def key(self, kind: Any) -> str:
        return tag_key(self.settings, kind)

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{prefix(self.settings)}-All"
        artifact = {
            "type": "aws:cloudformation:stack",
            "environment": f"aws://{self.settings.account}/{self.settings.region}",
            "properties": {"templateFile": "All.template.json", "stackName": name},
        }
        (folder / "manifest.json").write_text(json.dumps({"artifacts": {"All": artifact}}))
        template = {"Resources": self.resources}
        (folder / "All.template.json").write_text(json.dumps(template))
        return folder

    def read(self, folder: Path) -> Environment:
        return read_environment(self.settings, folder=self.write(folder))

    def add(self, logical_id: str, kind: str, **properties: Any) -> None:
        self.resources[logical_id] = {"Type": kind, "Properties": properties}

    def properties(self, logical_id: str) -> dict[str, Any]:
        return self.resources[logical_id]["Properties"]  # type: ignore[no-any-return]

    def allow(self, role: str, actions: list[str], resources: list[Any], **more: Any) -> None:
        statement = {"Effect": "Allow", "Action": actions, "Resource": resources} | more
        self.add(
            f"Policy{len(self.resources)}",
            "AWS::IAM::ManagedPolicy",
            PolicyDocument={"Statement": [statement]},
            Roles=[role_name(self.settings, role)],  # type: ignore[arg-type]
        )

    def grant(self, logical_id: str, role: str, permission: str, resource: Any) -> None:
        self.add(
            logical_id,
            "AWS::LakeFormation::PrincipalPermissions",
            Principal={"DataLakePrincipalIdentifier": self.role(role)},
            Permissions=[permission],
            PermissionsWithGrantOption=[],
            Resource=resource,
        )

    def by_tags(self, *sensitivity: str, **more: str) -> dict[str, Any]:
        expression = {"sensitivity": list(sensitivity), "environment": ["dev"]}
        expression |= {key: [value] for key, value in more.items()}
        tags = [{"TagKey": self.key(k), "TagValues": v} for k, v in expression.items() if v != [""]]
        account = {"Ref": "AWS::AccountId"}
        return {"LFTagPolicy": {"CatalogId": account, "ResourceType": "TABLE", "Expression": tags}}

    def _data(self) -> None:
        self.add("Curated", "AWS::S3::Bucket", BucketName=self.curated)
        self.add("Snapshots", "AWS::S3::Bucket", BucketName=self.snapshots)
        exempt = [self.role("lake-formation"), self.role("etl")]
        denial = {
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": "s3:GetObject",
            "Resource": {"Fn::Sub": "${Curated.Arn}/*"},
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": exempt}},
        }
        document = {"Statement": [denial]}
        bucket = {"Ref": "Curated"}
        self.add("CuratedPolicy", "AWS::S3::BucketPolicy", Bucket=bucket, PolicyDocument=document)
        account: Any = {"CatalogId": {"Ref": "AWS::AccountId"}}
        database = {"Name": self.database, "CreateTableDefaultPermissions": []}
        self.add("Database", "AWS::Glue::Database", DatabaseInput=database, **account)
        columns = [{"Name": name, "Type": "string"} for name in COLUMNS]
        files = {"Columns": columns, "Location": {"Fn::Sub": "s3://${Curated}/people/"}}
        keys = [{"Name": "as_of", "Type": "string"}]
        table = {"Name": "people", "StorageDescriptor": files, "PartitionKeys": keys}
        place = {"DatabaseName": {"Ref": "Database"}, **account}
        self.add("Table", "AWS::Glue::Table", TableInput=table, **place)

    def _govern(self) -> None:
        self.add("Settings", "Custom::DataLakeSettings", Administrator=f"{self.role('deployer')}")
        for kind, values in (
            ("sensitivity", ["none", "sensitive", "pii"]),
            ("environment", ["dev", "prod"]),
        ):
            key = self.key(kind)
            self.add(f"Tag{kind}", "AWS::LakeFormation::Tag", TagKey=key, TagValues=values)
        self.add(
            "Location",
            "AWS::LakeFormation::Resource",
            ResourceArn={"Fn::GetAtt": ["Curated", "Arn"]},
            RoleArn=self.role("lake-formation"),
            UseServiceLinkedRole=False,
        )
        database = {"CatalogId": self.settings.account, "Name": self.database}
        self.assign("TagsDatabase", {"Database": database}, sensitivity="pii", environment="dev")
        for column, sensitivity in ({**COLUMNS, "as_of": "none"}).items():
            if sensitivity != "pii":
                named = {"DatabaseName": self.database, "Name": "people", "ColumnNames": [column]}
                self.assign(f"Tags{column}", {"TableWithColumns": named}, sensitivity=sensitivity)
        self.grant("Grantbroker", "broker", "SELECT", self.by_tags("none"))
        self.grant(
            "Grantbias-evaluator", "bias-evaluator", "SELECT", self.by_tags("none", "sensitive")
        )
        name = {"DatabaseName": self.database, "TableName": "people", "Name": "open-rows"}
        self.add(
            "Filter",
            "AWS::LakeFormation::DataCellsFilter",
            TableCatalogId={"Ref": "AWS::AccountId"},
            **name,
            RowFilter={"FilterExpression": "id <> ''"},
            ColumnNames=["id", "text"],
        )
        self.grant(
            "Grantdata-scientist",
            "data-scientist",
            "SELECT",
            {"DataCellsFilter": {"TableCatalogId": self.settings.account} | name},
        )

    def assign(self, logical_id: str, resource: Any, **tags: str) -> None:
        self.add(
            logical_id,
            "AWS::LakeFormation::TagAssociation",
            Resource=copy.deepcopy(resource),
            LFTags=[
                {"CatalogId": self.settings.account, "TagKey": self.key(k), "TagValues": [v]}
                for k, v in tags.items()
            ],
        )
