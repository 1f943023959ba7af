"""Arrow schema and SQL of a contract."""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.glue import AS_OF, is_snapshot, quoted, table_sql
from sashiko.contract.model import Column, Contract, ExistingTable, LogicalType, View
from sashiko.errors import InputError

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_CASTS: Mapping[LogicalType, str] = {
    "string": "CAST({} AS varchar)", "integer": "CAST({} AS bigint)",
    "number": "CAST({} AS double)", "boolean": "CAST({} AS boolean)", "date": "CAST({} AS date)",
}  # fmt: skip
FOLDER_CASTS: Mapping[LogicalType, str] = {**_CASTS, "timestamp": "CAST({} AS TIMESTAMPTZ)"}
# UNLOAD writes no time with a zone.
_ATHENA_CASTS: Mapping[LogicalType, str] = {
    **_CASTS, "timestamp": "CAST({} AT TIME ZONE 'UTC' AS timestamp)",
}  # fmt: skip
# Times are UTC with microseconds; Parquet marks them so.
ARROW_TYPES: Mapping[str, pa.DataType] = {
    "string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_(),
    "date": pa.date32(), "timestamp": pa.timestamp("us", tz="UTC"),
}  # fmt: skip


def arrow_schema(contract: Contract, view: View) -> pa.Schema:
    """Returns the columns of a view as Arrow fields, in the contract's order.

    Every field is nullable: the quality rules check for nulls after loading.
    """
    return pa.schema(
        pa.field(column.name, ARROW_TYPES[column.logical_type])
        for column in contract.view_columns(view)
    )


def outcomes(values: pa.ChunkedArray, contract: Contract) -> pa.ChunkedArray:
    """Returns the class of each label, or the outcome of a number at the contract's bound.

    Args:
        values: the label's column; nulls stay null.
        contract: the data contract.

    Returns:
        Strings, which are the contract's classes where the labels are valid.

    Raises:
        InputError: if the label is a number and the values are not.
    """
    if contract.label.above is None:
        return values.cast(pa.string())
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise InputError(
            f"label column `{contract.label.column}` is of type {kind}, and the contract says that "
            "it is a number: correct the step that wrote it, or the contract"
        )
    unfavourable, favourable = contract.classes
    above = pc.greater(values.cast(pa.float64(), safe=False), contract.label.above)
    return pc.if_else(above, favourable, unfavourable)


@dataclass(frozen=True)
class Period:
    """The rows of some time, by a column that is a date or a time; `end` is not part of it."""

    column: str
    start: dt.datetime  # UTC
    end: dt.datetime  # UTC

    def condition(self, contract: Contract) -> str:
        """Returns the SQL condition.

        The literals have no zone: Athena's times have none and mean UTC, and DuckDB compares in the
        session's zone, which has to be UTC.

        Raises:
            InputError: if the contract has no such column, it is no time, or of a date the bounds
                are not midnights.
        """
        where = f"window of column `{self.column}`"
        column = next((item for item in contract.columns if item.name == self.column), None)
        if column is None or column.logical_type not in ("date", "timestamp"):
            times = [c.name for c in contract.columns if c.logical_type in ("date", "timestamp")]
            raise InputError(
                f"{where}: the contract `{contract.id}` has no such date or time; it has "
                f"{', '.join(times) or 'none'}"
            )
        if column.logical_type == "date":
            if any(time.time() != dt.time() for time in (self.start, self.end)):
                raise InputError(f"{where}: it has dates, so begin and end at midnight, UTC")
            bounds = [f"DATE '{time:%Y-%m-%d}'" for time in (self.start, self.end)]
        else:
            bounds = [f"TIMESTAMP '{time:%Y-%m-%d %H:%M:%S}'" for time in (self.start, self.end)]
        name = quoted(self.column)
        return f"{name} >= {bounds[0]} AND {name} < {bounds[1]}"


def select_sql(
    contract: Contract,
    view: View,
    *,
    as_of: str | None = None,
    is_sorted: bool = True,
    period: Period | None = None,
    source: str | None = None,
) -> str:
    """Returns the governed SELECT of a view: its columns only, ordered by key if `is_sorted`.

    Identifiers are quoted as in standard SQL, which DuckDB and Athena's Trino both accept. `as_of`
    is the value of the partition key `as_of`, if the table has one; `period` leaves out the rows of
    another time. `source` is what is read in place of the table, such as `existing_rows`.

    Raises:
        InputError: if `as_of` is not a valid version, or the period does not fit the contract.
    """
    if as_of is not None:
        check_version(as_of)
    columns = ", ".join(quoted(column.name) for column in contract.view_columns(view))
    conditions = [] if as_of is None else [f"{quoted(AS_OF)} = '{as_of}'"]
    conditions += [period.condition(contract)] if period else []
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    order = f" ORDER BY {quoted(contract.key)}" if is_sorted else ""
    table = source or quoted(contract.table)
    return f"SELECT {columns} FROM {table}{where}{order}"  # noqa: S608 - names are quoted


def check_version(as_of: str) -> None:
    """Checks a version, which is used unquoted in SQL and in S3 keys.

    Raises:
        InputError: if it is not valid.
    """
    if not _VERSION.fullmatch(as_of):
        raise InputError(
            f"AsOf `{as_of}`: expected up to 128 letters, digits, `.`, `_` and `-`, the first a "
            "letter or a digit; use the version that the lake's load printed"
        )


def typed_columns(columns: Iterable[Column], casts: Mapping[LogicalType, str]) -> str:
    """Returns columns of a table of another owner, named and typed by the contract.

    `casts` has the expression of each type, with `{}` for the column.
    """
    return ", ".join(
        f"{casts[column.logical_type].format(quoted(column.physical_name.lower()))} "
        f"AS {quoted(column.name)}"
        for column in columns
    )


def existing_rows(lake: ExistingTable, columns: Sequence[Column], *, as_of: str) -> str:
    """Returns what Athena reads of a table of another owner, in place of the table's name.

    An `as_of` of digits alone is the id of an Iceberg snapshot and pins it ("Perform time travel
    and version travel queries", Athena User Guide); of another table the rows are those of now.
    """
    version = f" FOR VERSION AS OF {as_of}" if is_snapshot(as_of) else ""
    return f"(SELECT {typed_columns(columns, _ATHENA_CASTS)} FROM {table_sql(lake)}{version})"  # noqa: S608 - as above
