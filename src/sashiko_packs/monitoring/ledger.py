"""The ledger of answers, and the draws from it: both are kept longer than the capture.

Labels arrive after captured requests are deleted. The ledger has a Parquet file for each day of
inference times in UTC, `<yyyy-mm-dd>.parquet`, with key, version, score, decision and time: no text
and no column of a request. A deleted key stays out while a capture may still hold it.

The rows that were drawn to be labelled have a Parquet file for each period of a version. Periods of
a version follow each other without a gap: each starts where the one before ended. So a row, which
is a version's first answer to a key, is in one period at most. A file is never overwritten: labels
are given to the rows that it names. Of a row whose key is deleted it keeps decision and label (of a
number both outcomes and the error), so that what was judged stays as it was.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from sashiko.base.files import translate_disk_errors
from sashiko.base.parquet import ROW_GROUP_ROWS, open_parquet, write_batches
from sashiko.base.scratch import Connection, create_file_view, scratch_database, stream_query
from sashiko.errors import InputError
from sashiko_packs.monitoring.audited import draw_positions
from sashiko_packs.monitoring.window import Window, basic_time, microseconds, time_of

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
    with translate_disk_errors(f"cannot write the ledger {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
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


DRAW_SCHEMA: Final = pa.schema(
    [
        ("key", pa.string()),
        ("probability", pa.float64()),  # with which the row was drawn
        # The same in all rows of a file:
        ("version", pa.int64()),
        ("start", pa.timestamp("us", tz="UTC")),  # of the period
        ("end", pa.timestamp("us", tz="UTC")),  # of the period, not part of it
        ("answers", pa.int64()),  # rows of the period
        # Of a row whose key was deleted, if it was labelled; null for any other row:
        ("decision", pa.string()),
        ("label", pa.string()),
    ]
)
# Of a number, once a key of the file was deleted: how far off the row was predicted.
NUMBER_DRAW_SCHEMA: Final = DRAW_SCHEMA.append(pa.field("error", pa.float64()))
NONE_FILE: Final = "none.parquet"
_DRAWS: Final = """
CREATE VIEW draws AS
SELECT key, version, epoch_us(start) AS start, epoch_us("end") AS "end", answers, decision, label,
error FROM draw_files
"""
_ANSWERS: Final = """
CREATE TABLE answers AS SELECT key, row_number() OVER (ORDER BY key) - 1 AS position FROM ledger
WHERE version = $version AND decision IS NOT NULL
AND epoch_us(time) >= $start AND epoch_us(time) < $end
"""


@dataclass(frozen=True)
class Draw:
    """The rows that were drawn from a period."""

    path: Path  # of `DRAW_SCHEMA`, ordered by key
    period: Window
    answers: int  # rows of the period
    drawn: int  # rows


def draw_period(folder: Path, ledger: Path, *, version: int, window: Window, rows: int) -> Draw:
    """Draws rows of the answers that no draw of the version has covered so far.

    The period starts where the version's last one ended, and only for the first one at the window's
    start; it ends with the window. A window without answers is refused: a wrong end would make one
    period of all that is left, and no draw can be undone. Of fewer answers than rows all are taken.

    Returns:
        The draw; that of an earlier call if this period was drawn already.

    Raises:
        InputError: if the window has no answers, or the period was drawn with another number of
            rows, or ends before the last one; or if a file is damaged or cannot be written.
    """
    if rows < 1:
        raise InputError(f"rows to draw: expected at least 1, got {rows}")
    with scratch_database(f"draw rows into {folder}") as connection:
        create_draws_view(connection, folder)
        last = _last_draw(connection, folder, version=version)
        if last is not None and window.end <= last.period.end:
            if window.end == last.period.end and last.drawn == min(rows, last.answers):
                return last
            raise InputError(
                f"{last.path}: {last.drawn:,} of the {last.answers:,} answers of version {version} "
                f"up to {basic_time(last.period.end)} are drawn already; label those, or draw from "
                "a window that ends later"
            )
        period = Window(window.start if last is None else last.period.end, window.end)
        create_ledger_view(connection, ledger)
        _check_window(connection, version=version, window=window)
        start, end = microseconds(period.start), microseconds(period.end)
        connection.execute(_ANSWERS, {"version": version, "start": start, "end": end})
        ((answers,),) = connection.execute("SELECT count(*) FROM answers").fetchall()
        name = f"{version} {basic_time(period.start)} {basic_time(period.end)}"
        positions = draw_positions(
            answers, rows=rows, seed=int.from_bytes(hashlib.sha256(name.encode()).digest()[:16])
        )
        connection.register("chosen", pa.table({"position": positions}))
        values = f"{version}, {start}, {end}, {answers}"
        batches = stream_query(
            connection,
            f"SELECT key, {len(positions) / answers!r}::DOUBLE, {values}, NULL, NULL "  # noqa: S608 - numbers
            "FROM answers SEMI JOIN chosen USING (position) ORDER BY key",
            schema=DRAW_SCHEMA,
            rows=ROW_GROUP_ROWS,
        )
        path = _file(folder, version=version, period=period)
        write_batches(path, batches, schema=DRAW_SCHEMA)
        return Draw(path=path, period=period, answers=answers, drawn=len(positions))


def create_draws_view(connection: Connection, folder: Path) -> None:
    """Creates the view `draws` of all files; its times are microseconds since 1970.

    Raises:
        InputError: if there is no file, or one is damaged.
    """
    files = sorted({folder / NONE_FILE, *folder.glob("*.parquet")})
    for file in files:
        open_parquet(file).close()
    create_file_view(connection, "draw_files", files, schema=NUMBER_DRAW_SCHEMA)
    connection.execute(_DRAWS)


def _last_draw(connection: Connection, folder: Path, *, version: int) -> Draw | None:
    last = connection.execute(
        'SELECT start, "end", any_value(answers), count(*) FROM draws WHERE version = ? '
        'GROUP BY start, "end" ORDER BY "end" DESC LIMIT 1',
        [version],
    ).fetchall()
    if not last:
        return None
    ((start, end, answers, drawn),) = last
    period = Window(time_of(start), time_of(end))
    path = _file(folder, version=version, period=period)
    return Draw(path=path, period=period, answers=answers, drawn=drawn)


def _check_window(connection: Connection, *, version: int, window: Window) -> None:
    ((answers, last),) = connection.execute(
        "SELECT count(*) FILTER (epoch_us(time) >= ? AND epoch_us(time) < ?), max(epoch_us(time)) "
        "FROM ledger WHERE version = ?",
        [microseconds(window.start), microseconds(window.end), version],
    ).fetchall()
    if answers:
        return
    newest = "" if last is None else f", whose last answer is of {basic_time(time_of(last))}"
    raise InputError(
        f"the ledger has no answer of version {version} from {basic_time(window.start)} to "
        f"{basic_time(window.end)}{newest}; for an earlier window give --now; run `sashiko "
        "monitor` first, which reads the captured requests (those without `ids` cannot be drawn)"
    )


def _file(folder: Path, *, version: int, period: Window) -> Path:
    """Returns a draw's file; two versions may answer in the same period, as in a canary."""
    return folder / f"{basic_time(period.start)}_{basic_time(period.end)}_v{version}.parquet"
