"""Small templates, deployed to the emulator by the plain API."""

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from verification.deploy.process import Emulator

Template = dict[str, Any]


def template(*resources: Template, **rest: Any) -> Template:
    """A template; each resource has an `Id` beside its type and properties."""
    bodies = {item["Id"]: {k: v for k, v in item.items() if k != "Id"} for item in resources}
    return {"Resources": bodies, **rest}


def resource(name: str, kind: str, properties: Template, **rest: Any) -> Template:
    """A resource of a template."""
    return {"Id": name, "Type": kind, "Properties": properties, **rest}


@dataclass(frozen=True)
class Stacks:
    """Stacks of an emulator, deployed by change sets as in the CDK."""

    emulator: Emulator

    @property
    def api(self) -> Any:
        return self.emulator.client("cloudformation")

    def plan(self, name: str, body: Template, **options: Any) -> Template:
        """Creates a change set and describes it."""
        kind = "UPDATE" if self.exists(name) else "CREATE"
        options = {"ChangeSetType": kind, "Capabilities": ["CAPABILITY_NAMED_IAM"], **options}
        change_set = self.api.create_change_set(
            StackName=name, ChangeSetName="plan", TemplateBody=json.dumps(body), **options
        )
        return self.api.describe_change_set(ChangeSetName=change_set["Id"])

    def deploy(self, name: str, body: Template, **options: Any) -> str:
        """Creates or updates a stack and returns its status."""
        change_set = self.plan(name, body, **options)
        self.api.execute_change_set(ChangeSetName=change_set["ChangeSetId"])
        self.api.delete_change_set(ChangeSetName=change_set["ChangeSetId"])
        return self.status(change_set["StackId"])

    def delete(self, name: str) -> str:
        identifier = self.api.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
        self.api.delete_stack(StackName=name)
        return self.status(identifier)

    def status(self, name: str) -> str:
        return str(self.api.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])

    def exists(self, name: str) -> bool:
        try:
            return self.status(name) != "REVIEW_IN_PROGRESS"
        except ClientError:
            return False

    def outputs(self, name: str) -> dict[str, str]:
        outputs = self.api.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
        return {item["OutputKey"]: item["OutputValue"] for item in outputs}

    def events(self, name: str, status: str) -> list[tuple[str, str]]:
        """Logical id and reason of each event with a status, oldest first."""
        events = self.api.describe_stack_events(StackName=name)["StackEvents"][::-1]
        return [
            (item["LogicalResourceId"], item.get("ResourceStatusReason", ""))
            for item in events
            if item["ResourceStatus"] == status
        ]

    def replacements(self) -> list[tuple[str, str]]:
        """Logical id and type of each resource that any stack has replaced."""
        names = [stack["StackName"] for stack in self.api.describe_stacks()["Stacks"]]
        return [
            (event["LogicalResourceId"], event["ResourceType"])
            for name in names
            for event in self.api.describe_stack_events(StackName=name)["StackEvents"]
            if "creation of a new physical resource" in event.get("ResourceStatusReason", "")
        ]

    def failure(self, name: str) -> str:
        """The reason of the newest resource that failed."""
        failed = ("CREATE_FAILED", "UPDATE_FAILED", "DELETE_FAILED")
        events = [event for status in failed for event in self.events(name, status)]
        return [reason for item, reason in events if item != name][-1]


ACCOUNT = "111122223333"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "glue.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def bucket(name: str, **rest: Any) -> dict[str, Any]:
    """A bucket with a name."""
    return resource("Bucket", "AWS::S3::Bucket", {"BucketName": name}, **rest)


def role(name: str) -> dict[str, Any]:
    """A role that Glue may assume."""
    properties = {"RoleName": name, "AssumeRolePolicyDocument": TRUST}
    return resource("Role", "AWS::IAM::Role", properties)


def database(name: str, **rest: Any) -> dict[str, Any]:
    """A database."""
    properties = {"CatalogId": ACCOUNT, "DatabaseInput": {"Name": name, **rest}}
    return resource("Database", "AWS::Glue::Database", properties)


def table(name: str, *columns: str) -> dict[str, Any]:
    """A table of `database`."""
    return resource(
        "Table",
        "AWS::Glue::Table",
        {
            "CatalogId": ACCOUNT,
            "DatabaseName": {"Ref": "Database"},
            "TableInput": {
                "Name": name,
                "StorageDescriptor": {
                    "Columns": [{"Name": column, "Type": "string"} for column in columns]
                },
            },
        },
    )


def grant(principal: Any, target: dict[str, Any], *permissions: str) -> dict[str, Any]:
    """A grant; `principal` is an ARN or a reference to one."""
    return resource(
        "Grant",
        "AWS::LakeFormation::PrincipalPermissions",
        {
            "Principal": {"DataLakePrincipalIdentifier": principal},
            "Resource": target,
            "Permissions": list(permissions),
            "PermissionsWithGrantOption": [],
        },
    )


def output(value: Any, export: str | None = None) -> dict[str, Any]:
    """An output, exported or not."""
    return {"Value": value, **({"Export": {"Name": export}} if export else {})}


NO_POLICY = {"Version": "2012-10-17", "Statement": []}
READER = {"Fn::GetAtt": ["Role", "Arn"]}
DATABASE = {"Database": {"CatalogId": ACCOUNT, "Name": {"Ref": "Database"}}}
TABLE = {"CatalogId": ACCOUNT, "DatabaseName": {"Ref": "Database"}, "Name": {"Ref": "Table"}}
COLUMN = {"TableWithColumns": {**TABLE, "ColumnNames": ["a"]}}


def one(kind: str, **properties: Any) -> Template:
    """A template of one resource."""
    return template(resource("One", kind, properties))


def tags(name: str, target: Template, *pairs: tuple[str, list[str]]) -> Template:
    values = [{"CatalogId": ACCOUNT, "TagKey": key, "TagValues": item} for key, item in pairs]
    properties = {"Resource": target, "LFTags": values}
    return resource(name, "AWS::LakeFormation::TagAssociation", properties, DependsOn="Tag")
