"""The rows that were drawn to be labelled: a Parquet file for each period of a version.

Periods of a version follow each other without a gap: each starts where the one before ended. So a
row, which is a version's first answer to a key, is in one period at most. A file is never
overwritten: labels are given to the rows that it names. Of a row whose key is deleted it keeps
decision and label, so that what was judged stays as it was.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from sashiko.base.parquet import ROW_GROUP_ROWS, open_parquet, write_batches
from sashiko.base.scratch import Connection, create_file_view, scratch_database, stream_query
from sashiko.errors import InputError
from sashiko_packs.monitoring.audited import draw_positions
from sashiko_packs.monitoring.ledger import create_ledger_view
from sashiko_packs.monitoring.window import Window, basic_time, microseconds, time_of

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
NONE_FILE: Final = "none.parquet"
_DRAWS: Final = """
CREATE VIEW draws AS
SELECT key, version, epoch_us(start) AS start, epoch_us("end") AS "end", answers, decision, label
FROM draw_files
"""
_ANSWERS: Final = """
CREATE TABLE answers AS SELECT key, row_number() OVER (ORDER BY key) - 1 AS position FROM ledger
WHERE version = $version AND epoch_us(time) >= $start AND epoch_us(time) < $end
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
    create_file_view(connection, "draw_files", files, schema=DRAW_SCHEMA)
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
