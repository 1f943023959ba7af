"""Compares a Glue table with its contract, as far as the role may see it."""

from typing import Any

from sashiko.contract.glue import AS_OF, GLUE_TYPES
from sashiko.contract.model import Contract, View
from sashiko.data.athena.aws import translate_errors
from sashiko.errors import InputError


def check_table(glue: Any, database: str, contract: Contract, view: View) -> None:
    """Checks the columns of a table in a Glue database before a query causes cost.

    Lake Formation shows a role only the columns that it is granted, so only the view's columns are
    required. A role may see further columns of the contract: the bias evaluator does, and every
    role without Lake Formation; the SELECT does not name them. A column that is not in the contract
    is an error.

    Raises:
        InputError: if the table or a column is missing or not granted, a column has another type
            or is not in the contract, or the table has no versions.
    """
    name = f"{database}.{contract.table}"
    with translate_errors(f"see table {name} in the Glue catalog"):
        table = glue.get_table(DatabaseName=database, Name=contract.table)["Table"]
    keys = [key["Name"] for key in table.get("PartitionKeys", [])]
    types = {
        column["Name"]: column.get("Type", "")
        for column in table.get("StorageDescriptor", {}).get("Columns", [])
    }
    if AS_OF not in keys:
        raise InputError(
            f"{name} shows this role no partition key `{AS_OF}`, the version of the data; "
            "deploy the DataLake stack, and grant the key to the role"
        )
    for column in contract.view_columns(view):
        expected = GLUE_TYPES[column.logical_type]
        if column.name not in types:
            raise InputError(
                f"{name} shows this role no column `{column.name}`, which the contract "
                f"`{contract.id}` has: deploy the DataLake stack if the table lacks it, the "
                "Governance stack if Lake Formation does not grant it to this role"
            )
        if types[column.name] != expected:
            raise InputError(
                f"{name}: column `{column.name}` has type {types[column.name]}, the contract "
                f"`{contract.id}` says {column.logical_type} ({expected}); deploy the DataLake "
                "stack and run the ETL job again"
            )
    extra = sorted(set(types) - {column.name for column in contract.columns})
    if extra:
        raise InputError(
            f"{name}: column `{extra[0]}` is not in the contract `{contract.id}`, yet this role "
            "sees it; describe and classify it there, or take it out of the table"
        )
