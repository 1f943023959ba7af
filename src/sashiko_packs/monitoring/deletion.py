"""Deletes what monitoring keeps of some keys: answers, labels, facets, and their names in draws.

A drawn row that was labelled stays as a count: whether its decision agrees with its label, without
key, score or time. Else a verdict could be undone by deleting one of its rows.
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from sashiko.base.parquet import ROW_GROUP_ROWS, open_parquet, write_batches
from sashiko.base.scratch import scratch_database, stream_query
from sashiko.base.yaml_models import Frozen
from sashiko_packs.monitoring.draws import DRAW_SCHEMA
from sashiko_packs.monitoring.labels import create_counted_labels_view, create_labels_view
from sashiko_packs.monitoring.ledger import create_ledger_view, delete_keys

if TYPE_CHECKING:
    import duckdb

_WITHOUT: Final = """
SELECT * FROM kept WHERE key IS NULL OR key NOT IN (SELECT key FROM requested) ORDER BY rowid
"""
# A draw keeps its number of rows, from which its period and the chance of a row follow.
_NAMELESS: Final = """
SELECT CASE WHEN requested.key IS NULL THEN kept.key END, probability, kept.version, start, "end",
answers,
CASE WHEN requested.key IS NULL OR counted_labels.label IS NULL THEN kept.decision
ELSE ledger.decision END,
CASE WHEN requested.key IS NULL OR ledger.decision IS NULL THEN kept.label
ELSE counted_labels.label END
FROM kept LEFT JOIN requested USING (key) LEFT JOIN counted_labels USING (key)
LEFT JOIN ledger ON ledger.key = kept.key AND ledger.version = kept.version
ORDER BY kept.rowid
"""


class DeletedRows(Frozen):
    """How many rows each store had of the keys."""

    answers: int
    labels: int
    facets: int
    draws: int  # drawn rows, which stay without their key


def delete_rows(
    keys: Sequence[str],
    *,
    ledger: Path,
    labels: Path,
    facets: Path,
    draws: Path,
    now: dt.datetime,
    retention: dt.timedelta,
) -> DeletedRows:
    """Deletes the rows of keys in all stores; whoever was interrupted repeats the command.

    Args:
        keys: the primary keys.
        ledger: the folder of the answers, which keeps the keys out while a capture may hold them.
        labels: the folder of the labels.
        facets: the folder of the facets.
        draws: the folder of the draws.
        now: the time of the deletion.
        retention: how long captured requests are kept.

    Raises:
        InputError: if a file is damaged or cannot be written.
    """
    with scratch_database("delete keys of the monitor's stores") as connection:
        names = pa.array(sorted(set(keys)), pa.string())
        connection.from_arrow(pa.table({"key": names})).create("requested")
        create_ledger_view(connection, ledger)
        create_labels_view(connection, labels)
        create_counted_labels_view(connection)
        # Draws first: they take over what was judged from the labels and the answers.
        counts = {
            name: sum(_rewrite(connection, file, sql) for file in sorted(folder.glob("*.parquet")))
            for name, folder, sql in (
                ("draws", draws, _NAMELESS),
                ("labels", labels, _WITHOUT),
                ("facets", facets, _WITHOUT),
            )
        }
    # Last, and it keeps the keys out: a window that is read meanwhile brings none back.
    answers = delete_keys(ledger, keys, now=now, retention=retention)
    return DeletedRows(answers=answers, **counts)


def _rewrite(connection: "duckdb.DuckDBPyConnection", path: Path, sql: str) -> int:
    """Rewrites a file that has some of the keys, in its order; returns how many rows had one."""
    with open_parquet(path) as file:
        # A draw that was written before has no columns for what was judged.
        schema = DRAW_SCHEMA if sql == _NAMELESS else file.schema_arrow
    connection.from_arrow(schema.empty_table()).create_view("columns", replace=True)
    connection.read_parquet(str(path)).create_view("store", replace=True)
    ((count,),) = connection.execute(
        "SELECT count(*) FROM store SEMI JOIN requested USING (key)"
    ).fetchall()
    if count:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE kept AS FROM columns UNION ALL BY NAME FROM store"
        )
        batches = stream_query(connection, sql, schema=schema, rows=ROW_GROUP_ROWS)
        write_batches(path, batches, schema=schema)
    return int(count)
