"""What a contract means for SQL and Arrow."""

from collections.abc import Mapping
from types import MappingProxyType

import pyarrow as pa

from sashiko.contract.model import Contract, View

# Times are UTC with microseconds; Parquet marks them so.
ARROW_TYPES: Mapping[str, pa.DataType] = MappingProxyType(
    {
        "string": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", tz="UTC"),
    }
)


def arrow_schema(contract: Contract, view: View) -> pa.Schema:
    """Returns the columns of a view as Arrow fields, in the contract's order.

    Every field may hold nulls: whether it does is for the quality rules to judge, and they can
    only judge what could be loaded.
    """
    return pa.schema(
        pa.field(column.name, ARROW_TYPES[column.logical_type])
        for column in contract.view_columns(view)
    )


def select_sql(contract: Contract, view: View) -> str:
    """Returns the governed SELECT of a view: its columns and no others, ordered by key.

    Identifiers are quoted as standard SQL has it, which DuckDB and Athena's Trino both read.
    """
    columns = ", ".join(_quoted(column.name) for column in contract.view_columns(view))
    return f"SELECT {columns} FROM {_quoted(contract.table)} ORDER BY {_quoted(contract.key)}"  # noqa: S608 - names are quoted


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
