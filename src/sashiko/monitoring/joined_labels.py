"""Joins the labels that have arrived with one version's answers.

Drawn rows are counted by period. What the audit's test is given must not depend on when somebody
looks (`sashiko.monitoring.sequential`), so a period is closed by its labels alone: when enough of
its rows are labelled, or a fixed time after its end. Labels that arrive after that change nothing.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from sashiko.core.parquet import ROW_GROUP_ROWS, write_batches
from sashiko.core.scratch import scratch_database, stream_query
from sashiko.monitoring.audit import enough_labels
from sashiko.monitoring.capture.record import Window
from sashiko.monitoring.draws import create_draws_view
from sashiko.monitoring.labels import create_first_labels_view, create_labels_view
from sashiko.monitoring.ledger import create_ledger_view
from sashiko.monitoring.quality import AuditedPeriod, LabelSummary
from sashiko.monitoring.times import microseconds, time_of

if TYPE_CHECKING:
    import duckdb

_MEMORY_MB: Final = 128
DECISIONS_FILE: Final = "decisions.parquet"
DECISION_SCHEMA: Final = pa.schema(
    [("key", pa.string()), ("positive", pa.bool_()), ("time", pa.timestamp("us", tz="UTC"))]
)
_ANSWERS: Final = """
CREATE TABLE answers AS
SELECT key, decision, epoch_us(time) AS time,
epoch_us(time) >= $start AND epoch_us(time) < $end AS in_window
FROM ledger WHERE version = $version
"""
_DRAWN: Final = """
CREATE TABLE drawn AS SELECT key, start, "end", answers FROM draws WHERE version = $version
"""
# Drawn rows whose answer was deleted from the ledger are in no period any more.
_AUDITED: Final = """
SELECT start, "end", answers, first_labels.time, label = decision
FROM drawn JOIN answers USING (key) LEFT JOIN first_labels USING (key) WHERE "end" <= ?
ORDER BY start, first_labels.time NULLS LAST, key
"""
_ORDINARY: Final = """
SELECT count(*) FILTER (label = decision AND drawn.key IS NULL),
count(*) FILTER (label <> decision AND drawn.key IS NULL),
count(*) FILTER (label IS NULL)
FROM answers LEFT JOIN drawn USING (key) LEFT JOIN first_labels USING (key) WHERE in_window
"""
_KNOWN: Final = "SELECT count(*) FROM first_labels SEMI JOIN answers USING (key)"
_DUPLICATED: Final = """
SELECT count(*) - count(DISTINCT key) FROM labels SEMI JOIN answers USING (key) WHERE time <= ?
"""
_UNKNOWN: Final = "SELECT count(*) FROM first_labels ANTI JOIN ledger USING (key)"
_DECISIONS: Final = """
SELECT key, decision = {positive} AS positive, time FROM answers WHERE in_window ORDER BY key
"""


@dataclass(frozen=True)
class Sources:
    """The folders that are joined."""

    ledger: Path
    labels: Path
    draws: Path


def join_labels(
    sources: Sources,
    decisions: Path,
    *,
    version: int,
    window: Window,
    now: dt.datetime,
    label_days: int,
    positive: str,
) -> LabelSummary:
    """Counts a version's labels, and writes the window's decisions for the bias evaluator.

    Args:
        sources: ledger, labels and draws.
        decisions: the file to write, of `DECISION_SCHEMA`, ordered by key.
        version: whose answers; a label counts for every version that answered its key.
        window: of the ordinary labels and the decisions. Audited periods up to its end count.
        now: later labels are not known yet.
        label_days: after its end a period waits so long for its labels.
        positive: the label whose decisions are positive.

    Raises:
        InputError: if a file is missing or damaged, or `decisions` cannot be written.
    """
    purpose = f"join labels with {sources.ledger}"
    with scratch_database(purpose, memory_mb=_MEMORY_MB) as connection:
        create_ledger_view(connection, sources.ledger)
        create_labels_view(connection, sources.labels)
        create_first_labels_view(connection, now=now)
        create_draws_view(connection, sources.draws)
        end = microseconds(window.end)
        connection.execute(
            _ANSWERS, {"version": version, "start": microseconds(window.start), "end": end}
        )
        connection.execute(_DRAWN, {"version": version})
        _write_decisions(connection, decisions, positive=positive)
        periods, late = _periods(connection, end=end, now=now, wait=dt.timedelta(days=label_days))
        ((right, wrong, waiting),) = connection.execute(_ORDINARY).fetchall()
        ((duplicated,),) = connection.execute(_DUPLICATED, [microseconds(now)]).fetchall()
        ((known,),) = connection.execute(_KNOWN).fetchall()
        ((unknown,),) = connection.execute(_UNKNOWN).fetchall()
    return LabelSummary(
        version=version,
        periods=periods,
        ordinary_right=right,
        ordinary_wrong=wrong,
        waiting=waiting,
        known=known,
        duplicated=duplicated,
        late=late,
        unknown=unknown,
    )


def _write_decisions(connection: "duckdb.DuckDBPyConnection", path: Path, *, positive: str) -> None:
    quoted = "'" + positive.replace("'", "''") + "'"
    batches = stream_query(
        connection,
        _DECISIONS.format(positive=quoted),
        schema=DECISION_SCHEMA,
        rows=ROW_GROUP_ROWS,
    )
    write_batches(path, batches, schema=DECISION_SCHEMA)


def _periods(
    connection: "duckdb.DuckDBPyConnection", *, end: int, now: dt.datetime, wait: dt.timedelta
) -> tuple[tuple[AuditedPeriod, ...], int]:
    """Returns the periods up to `end` by time, and how many labels came after they were closed."""
    rows = connection.execute(_AUDITED, [end]).fetchall()
    closed = [
        _close_period(
            Window(time_of(start), time_of(end)),
            answers=answers,
            labels=[(time, is_right) for *_, time, is_right in group],
            now=now,
            wait=wait,
        )
        for (start, end, answers), group in groupby(rows, key=itemgetter(0, 1, 2))
    ]
    return tuple(period for period, _ in closed), sum(late for _, late in closed)


def _close_period(
    period: Window,
    *,
    answers: int,
    labels: Sequence[tuple[int | None, bool | None]],
    now: dt.datetime,
    wait: dt.timedelta,
) -> tuple[AuditedPeriod, int]:
    """Counts a period's labels until it was closed.

    Args:
        period: in which the rows were answered.
        answers: rows that were drawn from.
        labels: for each drawn row when its label was received and whether it agrees with the
            decision, both None without a label; by time.
        now: of the look.
        wait: how long after its end the period is open.

    Returns:
        The period, and how many of its labels came later.
    """
    deadline = microseconds(period.end + wait)
    received = [(time, right) for time, right in labels if time is not None]
    in_time = [time for time, _ in received if time < deadline]
    needed = enough_labels(len(labels))
    is_complete = len(in_time) >= needed
    # Labels of the same time come from one file, and count together.
    last = in_time[needed - 1] if is_complete else deadline - 1
    counted = [right for time, right in received if time <= last]
    is_open = not is_complete and microseconds(now) < deadline
    closed = last if is_complete else deadline
    return AuditedPeriod(
        start=period.start,
        end=period.end,
        answers=answers,
        drawn=len(labels),
        right=sum(right is True for right in counted),
        wrong=sum(right is False for right in counted),
        state="complete" if is_complete else "open" if is_open else "expired",
        closed=None if is_open else time_of(closed),
    ), len(received) - len(counted)
