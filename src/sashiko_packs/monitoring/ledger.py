"""The ledger of answers: what was decided for which row, kept longer than the capture.

Labels arrive after captured requests are deleted. The ledger has a Parquet file for each day of
inference times in UTC, `<yyyy-mm-dd>.parquet`, with key, version, score, decision and time: no text
and no column of a request. A deleted key stays out while a capture may still hold it.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa

from sashiko.base.parquet import ROW_GROUP_ROWS, open_parquet, write_batches
from sashiko.base.scratch import Connection, scratch_database, stream_query
from sashiko.errors import InputError, disk_reason

LEDGER_SCHEMA: Final = pa.schema(
    [
        ("key", pa.string()),
        ("version", pa.int64()),
        ("score", pa.float64()),
        ("decision", pa.string()),
        ("time", pa.timestamp("us", tz="UTC")),
        ("cluster", pa.int64()),  # as ReadCapture numbered it; null of a row that is older than it
    ]
)
# Numbers of clusters from here on are of rows that a later window's read has found.
LATE_CLUSTERS: Final = 2**40
DELETIONS: Final = pa.schema([("key_sha256", pa.string()), ("time", pa.timestamp("us", tz="UTC"))])
_DAYS: Final = "????-??-??.parquet"
DELETIONS_FILE: Final = "deletions.parquet"
# The number of each row's day since 1970 in UTC.
_ADDITIONS: Final = """
CREATE TABLE additions AS
SELECT key, version, score, decision, time, cluster, epoch_us(time) // 86_400_000_000 AS day
FROM captured
WHERE key IS NOT NULL AND sha256(key) NOT IN (SELECT key_sha256 FROM deletions)
"""
# Of several answers to a key by one version the first counts, as of captured rows. One that a later
# window's read finds again keeps its own window's cluster.
_FIRST: Final = """
SELECT key, version, score, decision, time, cluster FROM {rows}
QUALIFY row_number() OVER (
    PARTITION BY key, version
    ORDER BY time, score, decision, coalesce(cluster >= {late}, false)
) = 1
"""


def add_rows(folder: Path, rows: Path) -> int:
    """Adds captured rows to the days that they belong to; rows without a key are left out.

    Rows that the ledger has already are not added again, so a window may be read again, and a
    capture that has since been deleted takes nothing away.

    Returns:
        The number of rows that were new.

    Raises:
        InputError: if a file is damaged, or the ledger cannot be written.
    """
    before = _count(folder)
    with _database(folder) as connection:
        connection.read_parquet(str(rows)).create_view("captured")
        connection.execute(_ADDITIONS)
        days = connection.execute("SELECT DISTINCT day FROM additions ORDER BY day").fetchall()
        for (day,) in days:
            connection.execute(
                "CREATE OR REPLACE TEMP TABLE merged AS "
                "SELECT * EXCLUDE day FROM additions WHERE day = ?",
                [day],
            )
            path = folder / f"{dt.date(1970, 1, 1) + dt.timedelta(days=day)}.parquet"
            if path.exists():
                connection.read_parquet(str(path)).create_view("day", replace=True)
                connection.execute("INSERT INTO merged BY NAME FROM day")
            _write(connection, path)
    return _count(folder) - before


def delete_keys(
    folder: Path, keys: Sequence[str], *, now: dt.datetime, retention: dt.timedelta
) -> int:
    """Deletes all rows of keys, and keeps them out while a capture may still hold them.

    Deletions that are older than the retention of captured requests are forgotten.

    Returns:
        The number of rows that were deleted.

    Raises:
        InputError: if a file is damaged, or the ledger cannot be written.
    """
    before = _count(folder)
    with _database(folder) as connection:
        times = pa.array([now] * len(keys), LEDGER_SCHEMA.field("time").type)
        requested = pa.table({"key": pa.array(keys, pa.string()), "time": times})
        connection.register("requested", requested)
        connection.execute("INSERT INTO deletions SELECT sha256(key), time FROM requested")
        oldest = int((now - retention).timestamp()) * 1_000_000
        connection.execute("DELETE FROM deletions WHERE epoch_us(time) < ?", [oldest])
        remaining = stream_query(
            connection,
            "SELECT key_sha256, max(time) FROM deletions GROUP BY key_sha256 ORDER BY key_sha256",
            schema=DELETIONS,
            rows=ROW_GROUP_ROWS,
        )
        # First, so that whoever is killed here deletes the same keys by the same command.
        write_batches(folder / DELETIONS_FILE, remaining, schema=DELETIONS)
        for path in sorted(folder.glob(_DAYS)):
            connection.read_parquet(str(path)).create_view("day", replace=True)
            connection.execute(
                "CREATE OR REPLACE TEMP TABLE merged AS FROM no_rows UNION ALL BY NAME "
                "FROM day WHERE key NOT IN (SELECT key FROM requested)"
            )
            ((rows,),) = connection.execute("SELECT count(*) FROM merged").fetchall()
            if rows < open_parquet(path).metadata.num_rows:
                _write(connection, path)
    return before - _count(folder)


def create_ledger_view(connection: Connection, folder: Path) -> None:
    """Creates the view `ledger` of all days, of `LEDGER_SCHEMA`: a row a key and version."""
    connection.from_arrow(LEDGER_SCHEMA.empty_table()).create("no_rows")
    days = "FROM no_rows"  # which has the columns that an older file lacks
    if files := [str(path) for path in sorted(folder.glob(_DAYS))]:
        connection.read_parquet(files, union_by_name=True).create_view("ledger_files")
        days += " UNION ALL BY NAME FROM ledger_files"
    connection.execute(f"CREATE VIEW ledger_days AS {days}")
    connection.execute(
        f"CREATE VIEW ledger AS {_FIRST.format(rows='ledger_days', late=LATE_CLUSTERS)}"
    )


@contextmanager
def _database(folder: Path) -> Iterator[Connection]:
    """Opens a database with the table `deletions` of a ledger."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise InputError(f"cannot write the ledger {folder}: {disk_reason(error)}") from error
    with scratch_database(f"write the ledger {folder}", memory_mb=128) as connection:
        connection.from_arrow(DELETIONS.empty_table()).create("deletions")
        connection.from_arrow(LEDGER_SCHEMA.empty_table()).create("no_rows")
        if (folder / DELETIONS_FILE).exists():
            connection.read_parquet(str(folder / DELETIONS_FILE)).insert_into("deletions")
        yield connection


def _write(connection: Connection, path: Path) -> None:
    sql = f"{_FIRST.format(rows='merged', late=LATE_CLUSTERS)} ORDER BY key, version NULLS FIRST"
    batches: Iterable[pa.RecordBatch] = stream_query(
        connection, sql, schema=LEDGER_SCHEMA, rows=ROW_GROUP_ROWS
    )
    write_batches(path, batches, schema=LEDGER_SCHEMA)


def _count(folder: Path) -> int:
    return sum(open_parquet(path).metadata.num_rows for path in folder.glob(_DAYS))
