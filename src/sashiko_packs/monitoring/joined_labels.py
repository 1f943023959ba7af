"""Joins the labels that have arrived with one version's answers.

Drawn rows are counted by period. A period is closed when all of its drawn rows are labelled, or a
fixed time after its end. Labels that arrive after that count as well, and are named as late: the
audit's test holds whichever rows are labelled by then (`sashiko_packs.monitoring.audited`).
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.parquet import ROW_GROUP_ROWS, open_parquet, write_batches
from sashiko.base.scratch import scratch_database, stream_query
from sashiko.evaluation.metrics.arrays import Bools
from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.evaluation.metrics.counts import Counts
from sashiko.evaluation.metrics.quality import Confusion
from sashiko.evaluation.reference import SMALLEST_COUNT
from sashiko_packs.monitoring.audited import MEASURES, balance, right_and_wrong
from sashiko_packs.monitoring.capture.record import Window
from sashiko_packs.monitoring.draws import create_draws_view
from sashiko_packs.monitoring.labels import create_counted_labels_view, create_labels_view
from sashiko_packs.monitoring.ledger import create_ledger_view
from sashiko_packs.monitoring.quality import AuditedMeasure, AuditedPeriod, LabelSummary
from sashiko_packs.monitoring.result import AuditedGroup
from sashiko_packs.monitoring.times import microseconds, time_of

if TYPE_CHECKING:
    import duckdb


_MEMORY_MB: Final = 128
DECISIONS_FILE: Final = "decisions.parquet"
DECISION_SCHEMA: Final = pa.schema(
    [
        ("key", pa.string()),
        ("positive", pa.bool_()),
        ("time", pa.timestamp("us", tz="UTC")),
        ("cluster", pa.int64()),  # the ledger's
        ("windows_ago", pa.int64()),  # 0 in the window, 1 in as long a time before it, and so on
    ]
)
AUDITED_FILE: Final = "audited.parquet"
_AUDITED_SCHEMA: Final = pa.schema(
    [("key", pa.string()), ("label", pa.bool_()), ("decision", pa.bool_())]
)
_AUDITED_ROWS: Final = """
CREATE TABLE audited AS
SELECT key, counted_labels.label = $positive AS label, ledger.decision = $positive AS decision
FROM draws JOIN ledger USING (key, version) JOIN counted_labels USING (key)
WHERE version = $version AND "end" <= $end ORDER BY key
"""
# Earlier decisions are for groups that have few rows a window (`monitoring.bias`). With more than
# this in later windows a group of 1 % has enough.
_MOST_EARLIER: Final = 100_000
_MOST_WINDOWS: Final = 26
_ANSWERS: Final = """
CREATE TABLE answers AS
SELECT key, decision, epoch_us(time) AS time, cluster,
epoch_us(time) >= $start AND epoch_us(time) < $end AS in_window
FROM ledger WHERE version = $version
"""
_DRAWN: Final = """
CREATE TABLE drawn AS SELECT key, start, "end", answers, decision, label FROM draws
WHERE version = $version
"""
# Of drawn rows whose key was deleted those count that were labelled; no others can be any more.
_AUDITED: Final = """
SELECT start, "end", answers, count(*) FILTER (time >= "end" + $wait),
count(*) FILTER (labelled IS NULL AND decided), count(*) FILTER (labelled IS NULL AND NOT decided),
count(*) FILTER (labelled AND decided), count(*) FILTER (NOT labelled AND decided),
count(*) FILTER (labelled AND NOT decided), count(*) FILTER (NOT labelled AND NOT decided),
max(time)
FROM (
    SELECT start, "end", drawn.answers, counted_labels.time,
    counted_labels.label = $positive AS labelled, answers.decision = $positive AS decided
    FROM drawn JOIN answers USING (key) LEFT JOIN counted_labels USING (key)
    UNION ALL SELECT start, "end", answers, NULL, label = $positive, decision = $positive
    FROM drawn WHERE key IS NULL AND label IS NOT NULL
) WHERE "end" <= $end GROUP BY start, "end", answers ORDER BY start
"""
_ORDINARY: Final = """
SELECT count(*) FILTER (counted_labels.label = answers.decision AND drawn.key IS NULL),
count(*) FILTER (counted_labels.label <> answers.decision AND drawn.key IS NULL),
count(*) FILTER (counted_labels.label IS NULL)
FROM answers LEFT JOIN drawn USING (key) LEFT JOIN counted_labels USING (key) WHERE in_window
"""
_KNOWN: Final = "SELECT count(*) FROM counted_labels SEMI JOIN answers USING (key)"
# Labels that do not count beside the first one of their key, and corrections.
_FURTHER: Final = """
SELECT count(*) FILTER (person IS NULL) - count(DISTINCT key), count(person)
FROM labels SEMI JOIN answers USING (key) WHERE time <= ?
"""
_UNKNOWN: Final = "SELECT count(*) FROM counted_labels ANTI JOIN ledger USING (key)"
_DECISIONS: Final = """
WITH earlier AS (
    SELECT key, decision, time, cluster, ({end} - 1 - time) // {length} AS windows_ago
    FROM answers WHERE time < {end}
), later AS (
    SELECT windows_ago, sum(count(*)) OVER (ORDER BY windows_ago) - count(*) AS rows
    FROM earlier GROUP BY windows_ago
)
SELECT key, decision = {positive} AS positive, time, cluster, windows_ago
FROM earlier JOIN later USING (windows_ago)
WHERE windows_ago = 0 OR (windows_ago < {windows} AND later.rows < {most}) ORDER BY key
"""


@dataclass(frozen=True)
class Sources:
    """The folders that are joined."""

    ledger: Path
    labels: Path
    draws: Path


def join_labels(
    sources: Sources,
    folder: Path,
    *,
    version: int,
    window: Window,
    now: dt.datetime,
    label_days: int,
    positive: str,
) -> LabelSummary:
    """Counts a version's labels, and writes what the bias evaluator joins with facets.

    That is decisions by key, the window's and earlier ones while later windows have fewer than
    100,000; and key, label and decision of the drawn rows that are labelled.

    Args:
        sources: ledger, labels and draws.
        folder: of the files to write: `DECISIONS_FILE`, of `DECISION_SCHEMA`, and `AUDITED_FILE`.
        version: whose answers; a label counts for every version that answered its key.
        window: of the ordinary labels and the decisions. Audited periods up to its end count.
        now: later labels are not known yet.
        label_days: so long after its end a period is closed, labelled or not.
        positive: the label whose decisions are positive.

    Raises:
        InputError: if a file is missing or damaged, or one cannot be written.
    """
    purpose = f"join labels with {sources.ledger}"
    with scratch_database(purpose, memory_mb=_MEMORY_MB) as connection:
        create_ledger_view(connection, sources.ledger)
        create_labels_view(connection, sources.labels)
        create_counted_labels_view(connection, now=now)
        create_draws_view(connection, sources.draws)
        end = microseconds(window.end)
        connection.execute(
            _ANSWERS, {"version": version, "start": microseconds(window.start), "end": end}
        )
        connection.execute(_DRAWN, {"version": version})
        _write_decisions(connection, folder / DECISIONS_FILE, window=window, positive=positive)
        connection.execute(_AUDITED_ROWS, {"version": version, "end": end, "positive": positive})
        audited = stream_query(
            connection, "FROM audited ORDER BY rowid", schema=_AUDITED_SCHEMA, rows=ROW_GROUP_ROWS
        )
        write_batches(folder / AUDITED_FILE, audited, schema=_AUDITED_SCHEMA)
        wait = dt.timedelta(days=label_days)
        periods = tuple(_periods(connection, end=end, now=now, wait=wait, positive=positive))
        ((right, wrong, waiting),) = connection.execute(_ORDINARY).fetchall()
        ((duplicated, corrected),) = connection.execute(_FURTHER, [microseconds(now)]).fetchall()
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
        corrected=corrected,
        unknown=unknown,
    )


def _write_decisions(
    connection: "duckdb.DuckDBPyConnection", path: Path, *, window: Window, positive: str
) -> None:
    sql = _DECISIONS.format(
        positive="'" + positive.replace("'", "''") + "'",
        end=microseconds(window.end),
        length=microseconds(window.end) - microseconds(window.start),
        windows=_MOST_WINDOWS,
        most=_MOST_EARLIER,
    )
    batches = stream_query(
        connection,
        sql,
        schema=DECISION_SCHEMA,
        rows=ROW_GROUP_ROWS,
    )
    write_batches(path, batches, schema=DECISION_SCHEMA)


def _periods(
    connection: "duckdb.DuckDBPyConnection",
    *,
    end: int,
    now: dt.datetime,
    wait: dt.timedelta,
    positive: str,
) -> Iterator[AuditedPeriod]:
    """Yields the periods up to `end`, by time."""
    options = {"end": end, "wait": wait // dt.timedelta(microseconds=1), "positive": positive}
    for row in connection.execute(_AUDITED, options).fetchall():
        start, last, answers, late, positives, negatives, tp, fp, fn, tn, labelled = row
        deadline = time_of(last) + wait
        closed: dt.datetime | None = deadline if now >= deadline else None
        if not positives + negatives:  # no time is known of deleted rows
            closed = time_of(last if labelled is None else labelled)
        yield AuditedPeriod(
            start=time_of(start),
            end=time_of(last),
            answers=answers,
            labelled=Confusion(
                true_positives=tp, false_positives=fp, false_negatives=fn, true_negatives=tn
            ),
            unlabelled_positive=positives,
            unlabelled_negative=negatives,
            late=late,
            state="open" if closed is None else "overdue" if positives + negatives else "complete",
            closed=closed,
        )


# The audit by facet group: the labelled drawn rows, joined with the facets of their keys.
#
# MonitorBias, which alone reads facets, joins them and keeps counts. Groups are shown beside those
# of the test split and judged by nobody: a drawn week has too few rows of a group for a test that
# is right once a year.


@dataclass(frozen=True)
class AuditedRows:
    """The labelled drawn rows with their facets."""

    labels: Bools  # whether the label is the positive one, shape (rows,)
    decisions: Bools  # whether the decision is
    facets: Mapping[str, pa.ChunkedArray]  # facet -> strings of shape (rows,); null: unknown


def read_audited_rows(
    rows: Path, lake: Iterable[pa.RecordBatch], facets: Path, *, key: str, columns: Sequence[str]
) -> AuditedRows:
    """Joins labelled drawn rows with the facets of their keys.

    Args:
        rows: the file `AUDITED_FILE` of `join_labels`.
        lake: rows of the lake with `key` and `columns`; those of other keys are left out.
        facets: a Parquet file of key and `columns`, which counts for what the lake does not have.
        key: the contract's primary key.
        columns: the contract's facets.

    Raises:
        InputError: if a file is missing or damaged, or lacks a column.
    """
    table = open_parquet(rows).read(_AUDITED_SCHEMA.names)
    known: dict[str, dict[str, str]] = {}
    stored = (
        batch.select(["key", *columns]).rename_columns([key, *columns])
        for batch in open_parquet(facets).iter_batches(columns=["key", *columns])
    )
    # The lake comes last, and so replaces what a file says.
    for batch in chain(stored, lake):
        texts = pa.table({name: batch[name].cast(pa.string()) for name in (key, *columns)})
        for row in texts.filter(pc.is_in(texts[key], value_set=table["key"])).to_pylist():
            values = {name: row[name] for name in columns if row[name]}
            known[row[key]] = known.get(row[key], {}) | values
    keys = table["key"].to_pylist()
    return AuditedRows(
        labels=np.asarray(table["label"], dtype=np.bool_),
        decisions=np.asarray(table["decision"], dtype=np.bool_),
        facets={
            name: pa.chunked_array([[known.get(one, {}).get(name) for one in keys]], pa.string())
            for name in columns
        },
    )


def measure_groups(
    counted: Mapping[str, Mapping[str, Counts]], reference: Mapping[str, Mapping[str, Counts]]
) -> tuple[AuditedGroup, ...]:
    """Measures the audited rows of each facet group and of all others.

    A facet is left out if any of its groups, or the others, has fewer than ten rows of a label and
    decision: each count could stand for a person, and the others would give it away.

    Args:
        counted: of the audited rows: facet -> group -> counts.
        reference: of the test split, likewise; groups that it lacks are left out.
    """
    groups: list[AuditedGroup] = []
    for facet, by_group in counted.items():
        measured = [
            _group(facet, name if side else f"not {name}", counts, held_out, side=side)
            for name, counts in by_group.items()
            if (held_out := reference[facet].get(name)) is not None
            for side in (1, 0)
        ]
        shown = [group for group in measured if group is not None]
        groups += shown if len(shown) == len(measured) else []
    return tuple(groups)


def _group(
    facet: str, name: str, audited: Counts, reference: Counts, *, side: int
) -> AuditedGroup | None:
    """Measures a group, or with `side` 0 all other rows; None if a count has to be hidden."""
    counts = _confusion(audited, side=side)
    kinds = (
        counts.true_positives,
        counts.false_positives,
        counts.false_negatives,
        counts.true_negatives,
    )
    if min(kinds) < SMALLEST_COUNT:
        return None
    held_out = _confusion(reference, side=side)
    accuracy, recall, specificity, precision = (
        _share(measure, counts, held_out) for measure in MEASURES
    )
    measures = (accuracy, recall, specificity, precision, balance(recall, specificity))
    return AuditedGroup(facet=facet, group=name, measures=measures)


def _share(measure: str, counts: Confusion, reference: Confusion) -> AuditedMeasure:
    right, wrong = right_and_wrong(measure, counts)
    held_out = right_and_wrong(measure, reference)
    value = right / (right + wrong)
    low, high = wilson_interval(value, right + wrong)
    return AuditedMeasure(
        name=measure, rows=right + wrong, value=value, low=low, high=high, worst=None, best=None,
        reference=held_out[0] / sum(held_out) if sum(held_out) else None,
    )  # fmt: skip


def _confusion(counts: Counts, *, side: int) -> Confusion:
    table = counts.cells[:, side].sum(axis=0)  # by label and decision
    fn, tp = table[counts.positive].sum(axis=0)
    tn, fp = table[~counts.positive].sum(axis=0)
    return Confusion(
        true_positives=int(tp), false_positives=int(fp), false_negatives=int(fn),
        true_negatives=int(tn),
    )  # fmt: skip
