"""Reads and checks a file of labels that a person gives: a filled sheet, or labels as they arrive.

Rows without a label are not labelled yet. Everything else that is wrong is an error that names the
row, since a label that is dropped or attached to another row would judge the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from sashiko.base.problems import shorten
from sashiko.base.scratch import insert
from sashiko.contract.columns import Column
from sashiko.contract.model import Contract
from sashiko.data.ingest import typed_columns
from sashiko.data.raw_files import raw_batches
from sashiko.errors import InputError
from sashiko_packs.monitoring.audit_sheet import plain_keys

if TYPE_CHECKING:
    import duckdb

_ROWS_COUNT: Final = "rows count from 1, without the header"


@dataclass(frozen=True)
class LabelFile:
    """What is in the file, read into the table `file_rows`.

    Its columns are `place` (the row's number, from 1), `key`, `label`, and those of `facets` as
    `f0`, `f1` and so on; all but the first are strings, and null if empty.
    """

    rows: int
    facets: tuple[str, ...] | None  # the contract's facets and group variable; None without facets


def load_label_file(
    connection: "duckdb.DuckDBPyConnection", path: Path, contract: Contract
) -> LabelFile:
    """Reads a CSV or Parquet file as the contract's raw files are read, with bounded memory.

    Args:
        connection: of an empty database.
        path: with the columns of the contract's key and label. If it has a facet, it needs all of
            them; the group variable may be absent. Other columns are ignored.
        contract: names and types the columns.

    Raises:
        InputError: if the file is empty or cannot be read, a column is missing, a label is not one
            of the contract's two or has no key, a facet has a value that the contract does not
            allow, or one key has two labels or two groups.
    """
    header = _header(path, contract)
    _check_key(path, header, contract)
    facets = _facets(path, header, contract)
    group = contract.group_variable
    available = [name for name in facets or () if name != group or _has(header, contract, name)]
    rows = 0
    for batch in typed_columns(path, contract, [contract.key, contract.label.column, *available]):
        texts = dict(zip(batch.schema.names, batch.columns, strict=True))
        insert(connection, "raw_rows", _table(texts, facets or (), contract, first=rows + 1))
        rows += batch.num_rows
    names = ["key", "label", *(f"f{place}" for place in range(len(facets or ())))]
    columns = ", ".join(f"CASE WHEN trim({name}) <> '' THEN {name} END AS {name}" for name in names)
    connection.execute(f"CREATE VIEW file_rows AS SELECT place, {columns} FROM raw_rows")  # noqa: S608 - the code's own names
    _check_labels(connection, path, contract)
    if facets is not None:
        _check_facets(connection, path, contract, facets)
    return LabelFile(rows=rows, facets=facets)


def _header(path: Path, contract: Contract) -> list[str]:
    rules = contract.ingest
    first = next(raw_batches(path, delimiter=rules.delimiter, encoding=rules.encoding))
    return list(first.schema.names)


def _has(header: Sequence[str], contract: Contract, name: str) -> bool:
    return name in header or contract.column(name).physical_name in header


def _check_key(path: Path, header: Sequence[str], contract: Contract) -> None:
    """Refuses a file without the key, which a contract may else count from the rows' places."""
    if contract.key == contract.ingest.row_number and not _has(header, contract, contract.key):
        raise InputError(
            f"{path}: column `{contract.key}` is missing; a label needs the key of its row"
        )


def _facets(path: Path, header: Sequence[str], contract: Contract) -> tuple[str, ...] | None:
    names = [facet.column for facet in contract.facets]
    missing = [name for name in names if not _has(header, contract, name)]
    if len(missing) == len(names):
        return None
    if missing:
        raise InputError(
            f"{path}: facet `{'`, `'.join(missing)}` of the contract `{contract.id}` is missing; "
            "give all facets, or none"
        )
    return facet_columns(contract)


def facet_columns(contract: Contract) -> tuple[str, ...]:
    """Returns the names of the contract's facets, and of its group variable if it has one."""
    group = () if contract.group_variable is None else (contract.group_variable,)
    return (*(facet.column for facet in contract.facets), *group)


def _table(
    columns: dict[str, pa.Array], facets: Sequence[str], contract: Contract, *, first: int
) -> pa.Table:
    keys = plain_keys(columns[contract.key].cast(pa.string()), contract)
    labels = columns[contract.label.column].cast(pa.string())
    nulls = pa.nulls(len(keys), pa.string())
    groups = [columns[name].cast(pa.string()) if name in columns else nulls for name in facets]
    return pa.table(
        [pa.array(range(first, first + len(keys)), pa.int64()), keys, labels, *groups],
        ["place", "key", "label", *(f"f{place}" for place in range(len(facets)))],
    )


def _check_labels(connection: "duckdb.DuckDBPyConnection", path: Path, contract: Contract) -> None:
    label, key = contract.label, contract.key
    ((count, place),) = connection.execute(
        "SELECT count(*), min(place) FROM file_rows WHERE key IS NULL AND label IS NOT NULL"
    ).fetchall()
    if count:
        raise InputError(
            f"{path}: {count:,} labels have no `{key}`, the first in row {place:,}; a label needs "
            f"the key of its row ({_ROWS_COUNT})"
        )
    ((count, place, value),) = connection.execute(
        "SELECT count(*), min(place), arg_min(label, place) FROM file_rows "
        "WHERE label NOT IN (?, ?)",
        [label.positive, label.negative],
    ).fetchall()
    if count:
        raise InputError(
            f"{path}: column `{label.column}` has {count:,} values that are neither "
            f"`{label.positive}` nor `{label.negative}`: {shorten(repr(value))} in row {place:,}; "
            f"correct them, or leave the cell empty if there is no label yet ({_ROWS_COUNT})"
        )
    _check_one_value(connection, path, key=key, value="label", column=label.column)


def _check_facets(
    connection: "duckdb.DuckDBPyConnection",
    path: Path,
    contract: Contract,
    facets: Sequence[str],
) -> None:
    for place, name in enumerate(facets):
        value = f"f{place}"
        allowed = _allowed_texts(contract.column(name))
        ((count, first),) = connection.execute(
            "SELECT count(*), min(place) FROM file_rows "  # noqa: S608 - the code's own name
            f"WHERE len($1) > 0 AND NOT list_contains($1::VARCHAR[], {value})",
            [allowed],
        ).fetchall()
        if count:
            raise InputError(
                f"{path}: column `{name}` has {count:,} values that the contract does not allow, "
                f"the first in row {first:,}; correct them ({_ROWS_COUNT})"
            )
        _check_one_value(connection, path, key=contract.key, value=value, column=name)


def _allowed_texts(column: Column) -> list[str]:
    """Returns the allowed values of a column of texts; none if any is allowed."""
    if column.logical_type != "string":
        return []
    return [str(value) for value in column.allowed_values]


def _check_one_value(
    connection: "duckdb.DuckDBPyConnection", path: Path, *, key: str, value: str, column: str
) -> None:
    """Refuses a key with two values; an empty one is none."""
    differing = connection.execute(
        "SELECT min(first), max(first) FROM (SELECT key, min(place) AS first FROM file_rows "  # noqa: S608 - the code's own name
        f"WHERE key IS NOT NULL AND {value} IS NOT NULL GROUP BY key, {value}) "
        "GROUP BY key HAVING count(*) > 1 ORDER BY 1 LIMIT 1"
    ).fetchall()
    for first, second in differing:
        raise InputError(
            f"{path}: rows {first:,} and {second:,} have the same `{key}` and "
            f"different values of `{column}`; keep the right one ({_ROWS_COUNT})"
        )
