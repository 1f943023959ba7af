"""Deletes what monitoring keeps of some keys: answers, labels, facets, and rows of draws."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from sashiko.core.parquet import ROW_GROUP_ROWS, open_parquet, write_batches
from sashiko.core.scratch import scratch_database, stream_query
from sashiko.core.yaml_models import Frozen
from sashiko.monitoring.ledger import delete_keys

if TYPE_CHECKING:
    import duckdb

_WITHOUT: Final = """
SELECT * FROM kept WHERE key IS NULL OR key NOT IN (SELECT key FROM requested) ORDER BY rowid
"""
# A draw keeps its number of rows, from which its period and the chance of a row follow.
_NAMELESS: Final = """
SELECT * REPLACE (CASE WHEN key IN (SELECT key FROM requested) THEN NULL ELSE key END AS key)
FROM kept ORDER BY rowid
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
        connection.register("requested", pa.table({"key": pa.array(keys, pa.string())}))
        counts = {
            name: sum(_rewrite(connection, file, sql) for file in sorted(folder.glob("*.parquet")))
            for name, folder, sql in (
                ("labels", labels, _WITHOUT),
                ("facets", facets, _WITHOUT),
                ("draws", draws, _NAMELESS),
            )
        }
    # Last, and it keeps the keys out: a window that is read meanwhile brings none back.
    answers = delete_keys(ledger, keys, now=now, retention=retention)
    return DeletedRows(answers=answers, **counts)


def _rewrite(connection: "duckdb.DuckDBPyConnection", path: Path, sql: str) -> int:
    """Rewrites a file that has some of the keys, in its order; returns how many rows had one."""
    with open_parquet(path) as file:
        schema = file.schema_arrow
    connection.read_parquet(str(path)).create_view("store", replace=True)
    ((count,),) = connection.execute(
        "SELECT count(*) FROM store SEMI JOIN requested USING (key)"
    ).fetchall()
    if count:
        connection.execute("CREATE OR REPLACE TEMP TABLE kept AS FROM store")
        batches = stream_query(connection, sql, schema=schema, rows=ROW_GROUP_ROWS)
        write_batches(path, batches, schema=schema)
    return int(count)
