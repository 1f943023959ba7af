"""Holds a Glue table against its contract, as far as the role may see it."""

from typing import Any

from sashiko.contract.glue import AS_OF, GLUE_TYPES
from sashiko.contract.model import Contract, View
from sashiko.data.athena.aws import told
from sashiko.errors import InputError


def check_table(glue: Any, database: str, contract: Contract, view: View) -> None:
    """Checks a table's columns before a query is paid for.

    Lake Formation shows a role the columns that it is granted and hides the others, so only the
    view's own columns must be there. A role may see further columns of the contract: the bias
    evaluator does, and every role where Lake Formation is not in force; the SELECT does not name
    them. A column that the contract does not know is nobody's to read.

    Args:
        glue: boto3's Glue client.
        database: the Glue database.
        contract: the data contract.
        view: what will be read.

    Raises:
        InputError: if the table or a column is missing or not granted, a column has another type
            or is not in the contract, or the table has no versions.
    """
    name = f"{database}.{contract.table}"
    with told(f"see table {name} in the Glue catalog"):
        table = glue.get_table(DatabaseName=database, Name=contract.table)["Table"]
    keys = [key["Name"] for key in table.get("PartitionKeys", [])]
    seen = {
        column["Name"]: column.get("Type", "")
        for column in table.get("StorageDescriptor", {}).get("Columns", [])
    }
    if AS_OF not in keys:
        raise InputError(
            f"{name} shows this role no partition key `{AS_OF}`, which tells the versions of the "
            "data apart; deploy the DataLake stack, and grant the key to the role"
        )
    for column in contract.view_columns(view):
        wanted = GLUE_TYPES[column.logical_type]
        if column.name not in seen:
            raise InputError(
                f"{name} shows this role no column `{column.name}`, which the contract "
                f"`{contract.id}` has: deploy the DataLake stack if the table lacks it, the "
                "Governance stack if Lake Formation does not grant it to this role"
            )
        if seen[column.name] != wanted:
            raise InputError(
                f"{name}: column `{column.name}` has type {seen[column.name]}, the contract "
                f"`{contract.id}` says {column.logical_type} ({wanted}); deploy the DataLake stack "
                "and run the ETL job again"
            )
    extra = sorted(set(seen) - {column.name for column in contract.columns})
    if extra:
        raise InputError(
            f"{name}: column `{extra[0]}` is not in the contract `{contract.id}`, yet this role "
            "sees it; describe and classify it there, or take it out of the table"
        )
