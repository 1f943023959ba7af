"""Resources of small templates."""

from typing import Any

from verification.deploy.stacks import resource

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
