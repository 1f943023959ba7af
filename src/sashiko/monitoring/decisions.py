"""A window's decisions by the facets of their rows, which the bias evaluator alone reads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sashiko.core.parquet import ROW_GROUP_ROWS, open_parquet
from sashiko.core.scratch import insert, scratch_database, stream_query
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Bools, Ints

if TYPE_CHECKING:
    import duckdb

_MEMORY_MB = 96
# Of several decisions of a key the first counts.
_FIRST_DECISIONS = """
CREATE TABLE first_decisions AS SELECT key, positive FROM decisions WHERE key IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY key ORDER BY time, positive) = 1
"""
# The lake's facets count, and where it has none those of files, of which the last line of a key.
_JOINED = """
WITH in_lake AS (
    SELECT * FROM lake_facets SEMI JOIN first_decisions USING (key)
    QUALIFY row_number() OVER (PARTITION BY key ORDER BY {names}) = 1
), in_files AS (
    SELECT key, {values} FROM facets
    QUALIFY row_number() OVER (PARTITION BY key ORDER BY file_row_number DESC) = 1
)
SELECT positive, {joined}, count(*)
FROM first_decisions LEFT JOIN in_lake USING (key) LEFT JOIN in_files USING (key)
GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True)
class FacetDecisions:
    """The decisions of a window, merged where decision and facets are equal."""

    positive: Bools  # whether the decision is the positive label, shape (kinds,)
    facets: Mapping[str, pa.ChunkedArray]  # facet -> strings of shape (kinds,); null: unknown
    counts: Ints  # decisions of each kind, shape (kinds,)

    @property
    def without_facets(self) -> int:
        """The number of decisions that lack a facet."""
        unknown = np.zeros(len(self.counts), dtype=np.bool_)
        for values in self.facets.values():
            unknown |= values.is_null().to_numpy()
        return int(self.counts[unknown].sum())


def count_decisions(
    decisions: Path,
    lake: Iterable[pa.RecordBatch],
    facets: Path,
    *,
    key: str,
    columns: Sequence[str],
) -> FacetDecisions:
    """Joins decisions with facets by key, and counts each key once.

    Memory grows only with the different combinations of facets.

    Args:
        decisions: a Parquet file of key, positive and time.
        lake: rows of the lake with `key` and `columns`; those of other keys are left out.
        facets: a Parquet file of key and `columns`, all strings; it may have no rows. It counts for
            what the lake does not have.
        key: the contract's primary key.
        columns: the contract's facets.

    Raises:
        InputError: if a file is missing or damaged, or lacks a column; it names no row.
    """
    _check_columns(decisions, ["key", "positive", "time"])
    _check_columns(facets, ["key", *columns])
    names = [f"f{place}" for place in range(len(columns))]
    values = [f"{_value(column)} AS {name}" for column, name in zip(columns, names, strict=True)]
    joined = [f"coalesce(in_lake.{name}, in_files.{name}) AS {name}" for name in names]
    schema = pa.schema(
        [("positive", pa.bool_()), *((name, pa.string()) for name in names), ("rows", pa.int64())]
    )
    purpose = f"join {decisions} and {facets}"
    with scratch_database(purpose, memory_mb=_MEMORY_MB) as connection:
        connection.read_parquet(str(decisions)).create_view("decisions")
        connection.read_parquet(str(facets), file_row_number=True).create_view("facets")
        connection.execute(_FIRST_DECISIONS)
        _load_lake(connection, lake, key=key, columns=columns)
        sql = _JOINED.format(
            values=", ".join(values), names=", ".join(names), joined=", ".join(joined)
        )
        batches = stream_query(connection, sql, schema=schema, rows=ROW_GROUP_ROWS)
        table = pa.Table.from_batches(batches, schema=schema)
    return FacetDecisions(
        positive=np.asarray(table["positive"], dtype=np.bool_),
        facets={column: table[name] for column, name in zip(columns, names, strict=True)},
        counts=np.asarray(table["rows"], dtype=np.int64),
    )


def _load_lake(
    connection: "duckdb.DuckDBPyConnection",
    lake: Iterable[pa.RecordBatch],
    *,
    key: str,
    columns: Sequence[str],
) -> None:
    """Creates the table `lake_rows` and its view `lake_facets`, without empty texts."""
    names = [f"f{place}" for place in range(len(columns))]
    empty = pa.schema([(name, pa.string()) for name in ("key", *names)]).empty_table()
    insert(connection, "lake_rows", empty)  # where the lake has none
    for batch in lake:
        texts = [batch[column].cast(pa.string()) for column in (key, *columns)]
        insert(connection, "lake_rows", pa.table(texts, ["key", *names]))
    values = ", ".join(f"nullif({name}, '') AS {name}" for name in names)
    connection.execute(f"CREATE VIEW lake_facets AS SELECT key, {values} FROM lake_rows")  # noqa: S608 - the code's own names


def _value(column: str) -> str:
    return f"nullif(\"{column}\", '')"


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    existing = open_parquet(path).schema_arrow.names
    missing = [column for column in columns if column not in existing]
    if missing:
        raise InputError(f"{path} lacks column `{'`, `'.join(missing)}`; make it again")
