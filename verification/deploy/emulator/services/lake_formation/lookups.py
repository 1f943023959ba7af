"""Lookups of Lake Formation in other services, before it stores something."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from ..json_api import ServiceError

Record = dict[str, Any]
_GROUPS = ("IAM_ALLOWED_PRINCIPALS", "EVERYONE")


class Lookups:
    """The IAM and the Glue of an account."""

    def __init__(self, account: str, aws: Callable[[str], Any]) -> None:
        """Calls services through `aws`, which makes a client of a service."""
        self.account = account
        self._aws = aws

    def check_principal(self, principal: Record) -> None:
        """Raises ServiceError if a principal is not an existing role, user or group."""
        name = principal["DataLakePrincipalIdentifier"]
        if name in _GROUPS or name == self.account:
            return
        role = name.rsplit("/", 1)[-1]
        try:
            if ":role/" in name:
                self._aws("iam").get_role(RoleName=role)
                return
            if ":user/" in name:
                self._aws("iam").get_user(UserName=role)
                return
        except ClientError as error:
            raise ServiceError("InvalidInputException", f"Invalid principal: {name}") from error
        raise ServiceError("InvalidInputException", f"Invalid principal: {name}")

    def check_columns(self, database: str, table: str, names: list[str]) -> None:
        """Raises ServiceError if a table lacks one of the columns, or does not exist."""
        description = self.find("get_table", DatabaseName=database, Name=table)["Table"]
        columns = [
            *description["StorageDescriptor"]["Columns"],
            *description.get("PartitionKeys", []),
        ]
        if unknown := [name for name in names if name not in {c["Name"] for c in columns}]:
            raise ServiceError(
                "InvalidInputException",
                f"Column(s) {', '.join(unknown)} not found in table {database}.{table}",
            )

    def find(self, operation: str, **arguments: str) -> Record:
        """Returns Glue's answer, or raises ServiceError if the entity does not exist."""
        try:
            return dict(getattr(self._aws("glue"), operation)(**arguments))
        except ClientError as error:
            raise ServiceError("EntityNotFoundException", str(error)) from error


def get_item(items: dict[Any, Any], key: Any) -> Any:
    """Returns an item, or raises ServiceError if there is none."""
    if key not in items:
        raise ServiceError("EntityNotFoundException", f"{key} does not exist")
    return items[key]


def filter_key(item: Record) -> tuple[str, str, str]:
    """Names a data-cells filter."""
    return item["DatabaseName"], item["TableName"], item["Name"]


def named(resource: Record) -> tuple[str, ...]:
    """Returns the database, and the table if any, of a resource."""
    ((kind, item),) = resource.items()
    if kind == "Database":
        return (item["Name"],)
    if kind in ("Table", "TableWithColumns"):
        return (item["DatabaseName"], item.get("Name", "*"))
    return filter_key(item)[:2] if kind == "DataCellsFilter" else ()
