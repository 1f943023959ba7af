"""A window's decisions by the facets of their rows, which the bias evaluator alone reads."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sashiko.base.parquet import ROW_GROUP_ROWS, open_parquet
from sashiko.base.scratch import insert, scratch_database, stream_query
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Bools, Ints
from sashiko_packs.monitoring.clusters import GROUPS, least_dominant

if TYPE_CHECKING:
    import duckdb

_MEMORY_MB = 96
# Of several decisions of a key the first counts. One without a cluster is a cluster of its own.
_FIRST_DECISIONS = """
CREATE TABLE first_decisions AS
SELECT key, positive, windows_ago, coalesce(cluster, hash(key) // 2)::BIGINT AS cluster
FROM decisions WHERE key IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY key ORDER BY time, positive) = 1
"""
_SIZES = """
SELECT size, count(*) AS clusters FROM (
    SELECT count(*) AS size FROM first_decisions GROUP BY windows_ago, cluster
) GROUP BY size ORDER BY size
"""
# Numbers of clusters are those of a window.
_DOMINANT = """
CREATE TABLE dominant AS SELECT windows_ago, cluster FROM first_decisions
GROUP BY windows_ago, cluster HAVING count(*) >= ?
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
SELECT positive, {joined}, windows_ago, (cluster + 7919 * windows_ago) % {groups} AS cluster_group,
    dominant.cluster IS NOT NULL AS dominates, count(*)
FROM first_decisions LEFT JOIN in_lake USING (key) LEFT JOIN in_files USING (key)
LEFT JOIN dominant USING (windows_ago, cluster)
GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True)
class FacetDecisions:
    """The decisions of a window and of earlier ones, merged where all of this is equal."""

    positive: Bools  # whether the decision is the positive label, shape (kinds,)
    facets: Mapping[str, pa.ChunkedArray]  # facet -> strings of shape (kinds,); null: unknown
    windows_ago: Ints  # 0 in the window, shape (kinds,)
    cluster_groups: Ints  # below `GROUPS`, shape (kinds,)
    dominates: Bools  # whether a cluster has too many of the rows, shape (kinds,)
    counts: Ints  # decisions of each kind, shape (kinds,)
    is_single: bool  # whether no two decisions share a cluster

    @property
    def rows(self) -> int:
        """The number of decisions of the window."""
        return int(self.counts[self.windows_ago == 0].sum())

    @property
    def without_facets(self) -> int:
        """The number of decisions of the window that lack a facet."""
        unknown = np.zeros(len(self.counts), dtype=np.bool_)
        for values in self.facets.values():
            unknown |= values.is_null().to_numpy()
        return int(self.counts[unknown & (self.windows_ago == 0)].sum())


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
        decisions: a Parquet file of `joined_labels.DECISION_SCHEMA`.
        lake: rows of the lake with `key` and `columns`; those of other keys are left out.
        facets: a Parquet file of key and `columns`, all strings; it may have no rows. It counts for
            what the lake does not have.
        key: the contract's primary key.
        columns: the contract's facets.

    Raises:
        InputError: if a file is missing or damaged, or lacks a column; it names no row.
    """
    _check_columns(decisions, ["key", "positive", "time", "cluster", "windows_ago"])
    _check_columns(facets, ["key", *columns])
    names = [f"f{place}" for place in range(len(columns))]
    values = [f"{_value(column)} AS {name}" for column, name in zip(columns, names, strict=True)]
    joined = [f"coalesce(in_lake.{name}, in_files.{name}) AS {name}" for name in names]
    schema = pa.schema(
        [
            ("positive", pa.bool_()),
            *((name, pa.string()) for name in names),
            ("windows_ago", pa.int64()),
            ("cluster_group", pa.int64()),
            ("dominates", pa.bool_()),
            ("rows", pa.int64()),
        ]
    )
    purpose = f"join {decisions} and {facets}"
    with scratch_database(purpose, memory_mb=_MEMORY_MB) as connection:
        connection.read_parquet(str(decisions)).create_view("decisions")
        connection.read_parquet(str(facets), file_row_number=True).create_view("facets")
        connection.execute(_FIRST_DECISIONS)
        sizes = connection.execute(_SIZES).fetchnumpy()
        is_single = bool((sizes["size"] == 1).all())
        least = least_dominant(sizes["size"], sizes["clusters"]) if len(sizes["size"]) else None
        connection.execute(_DOMINANT, [math.inf if least is None else least])
        _load_lake(connection, lake, key=key, columns=columns)
        sql = _JOINED.format(
            values=", ".join(values),
            names=", ".join(names),
            joined=", ".join(joined),
            groups=GROUPS,
        )
        batches = stream_query(connection, sql, schema=schema, rows=ROW_GROUP_ROWS)
        table = pa.Table.from_batches(batches, schema=schema)
    return FacetDecisions(
        positive=np.asarray(table["positive"], dtype=np.bool_),
        facets={column: table[name] for column, name in zip(columns, names, strict=True)},
        windows_ago=np.asarray(table["windows_ago"], dtype=np.int64),
        cluster_groups=np.asarray(table["cluster_group"], dtype=np.int64),
        dominates=np.asarray(table["dominates"], dtype=np.bool_),
        counts=np.asarray(table["rows"], dtype=np.int64),
        is_single=is_single,
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
