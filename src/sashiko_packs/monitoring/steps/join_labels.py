"""JoinLabels: adds the window's answers to the ledger, and judges them by the labels so far.

    python -m sashiko_packs.monitoring.steps.join_labels --start ... --end ... --now ... --version 7

Inputs `config` (contract and the recipe's monitor), `rows`, `ledger`, `labels`, `draws` and
`reference`. Outputs `ledger` (the input with the window's answers of all versions), `quality`
(`quality.json`: what audited labels say) and `decisions`
(`decisions.parquet`: the window's decisions by key, and `audited.parquet`: the labelled drawn rows,
both for the bias evaluator).
"""

import datetime as dt
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.files import translate_disk_errors, walk_files
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.base.parquet import ROW_GROUP_ROWS, write_batches
from sashiko.base.scratch import Connection, scratch_database, stream_query
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.evaluation.metrics.quality import Confusion
from sashiko.evaluation.reference import REFERENCE_FILE, NumberCounts, Reference, read_reference
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract, read_section
from sashiko_packs.monitoring.audited import (
    AuditedClass,
    AuditedNumbers,
    AuditedPeriod,
    ErrorLimits,
    LabelSummary,
    count_held_out,
    measure_quality,
)
from sashiko_packs.monitoring.capture.record import LATE_FILE, OTHERS_FILE, ROWS_FILE
from sashiko_packs.monitoring.labels import create_counted_labels_view, create_labels_view
from sashiko_packs.monitoring.ledger import add_rows, create_draws_view, create_ledger_view
from sashiko_packs.monitoring.settings import MonitorSection
from sashiko_packs.monitoring.window import Window, microseconds, parse_window, time_of

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
# Of a number also what was observed and predicted, and whether the interval holds it.
AUDITED_NUMBERS: Final = pa.schema(
    [("value", pa.float64()), ("predicted", pa.float64()), ("covered", pa.bool_())]
)
_AUDITED_ROWS: Final = """
CREATE TABLE audited AS
SELECT key, counted_labels.label IN $favourable AS label,
    ledger.decision IN $favourable AS decision,
    counted_labels.value, score AS predicted, abs(value - score) <= $half_width AS covered
FROM draws JOIN ledger USING (key, version) JOIN counted_labels USING (key)
WHERE version = $version AND "end" <= $end ORDER BY key
"""
# Earlier decisions are for groups that have few rows a window (`monitoring.bias`). With more than
# this in later windows a group of 1 % has enough.
_MOST_EARLIER: Final = 100_000
_MOST_WINDOWS: Final = 26
_ANSWERS: Final = """
CREATE TABLE answers AS
SELECT key, decision, score, epoch_us(time) AS time, cluster,
epoch_us(time) >= $start AND epoch_us(time) < $end AS in_window
FROM ledger WHERE version = $version AND decision IS NOT NULL
"""
_DRAWN: Final = """
CREATE TABLE drawn AS SELECT key, start, "end", answers, decision, label, error FROM draws
WHERE version = $version
"""
# Of drawn rows whose key was deleted those count that were labelled; no others can be any more.
_JUDGED: Final = """
CREATE TABLE judged AS FROM (
    SELECT start, "end", drawn.answers, counted_labels.time, counted_labels.label, answers.decision,
    abs(value - score) AS error
    FROM drawn JOIN answers USING (key) LEFT JOIN counted_labels USING (key)
    UNION ALL SELECT start, "end", answers, NULL, label, decision, error
    FROM drawn WHERE key IS NULL AND label IS NOT NULL
) WHERE "end" <= $end
"""
_AUDITED: Final = """
SELECT start, "end", answers, count(*) FILTER (time >= "end" + $wait),
count(*) FILTER (labelled IS NULL AND decided), count(*) FILTER (labelled IS NULL AND NOT decided),
count(*) FILTER (labelled AND decided), count(*) FILTER (NOT labelled AND decided),
count(*) FILTER (labelled AND NOT decided), count(*) FILTER (NOT labelled AND NOT decided),
max(time)
FROM (SELECT *, label IN $favourable AS labelled, decision IN $favourable AS decided FROM judged)
GROUP BY start, "end", answers ORDER BY start
"""
# Of more than two classes, of each period and class in the reference's order.
_BY_CLASS: Final = """
SELECT start, count(*) FILTER (label = class AND decision = class),
count(*) FILTER (label = class AND decision <> class),
count(*) FILTER (label IS NULL AND decision = class)
FROM judged, (SELECT unnest($classes) AS class, generate_subscripts($classes, 1) AS place)
GROUP BY start, place ORDER BY start, place
"""
_OFF: Final = """
SELECT start, error FROM judged WHERE error IS NOT NULL ORDER BY start, error
"""
# Labels of all answers, and answers of the window without one.
_KNOWN: Final = """
SELECT count(label), count(*) FILTER (in_window AND label IS NULL)
FROM answers LEFT JOIN counted_labels USING (key)
"""
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
SELECT key, decision IN {favourable} AS positive, time, cluster, windows_ago
FROM earlier JOIN later USING (windows_ago)
WHERE windows_ago = 0 OR (windows_ago < {windows} AND later.rows < {most}) ORDER BY key
"""


def join_labels(
    folder: Path,
    *,
    ledger: Path,
    labels: Path,
    draws: Path,
    version: int,
    window: Window,
    now: dt.datetime,
    label_days: int,
    classes: Sequence[str],
    first_favourable: int,
    number: NumberCounts | None = None,
    above: float | None = None,
) -> LabelSummary:
    """Counts a version's labels, and writes what the bias evaluator joins with facets.

    That is decisions by key, the window's and earlier ones while later windows have fewer than
    100,000; and key, label and decision of the drawn rows that are labelled: whether they are one
    of the classes from `first_favourable` on.

    Drawn rows are counted by period. A period is closed when all of its drawn rows are labelled, or
    a fixed time after its end. Labels that arrive after that count as well, and are named as late:
    the audit's test holds whichever rows are labelled by then (`sashiko_packs.monitoring.audited`).
    A label counts for every version that answered its key. Audited periods up to the window's end
    count; labels later than `now` are not known yet. Of a label that is a number, `number` is the
    reference's, and `above` the bound.

    Raises:
        InputError: if a file is missing or damaged, or one cannot be written.
    """
    purpose = f"join labels with {ledger}"
    with scratch_database(purpose, memory_mb=_MEMORY_MB) as connection:
        create_ledger_view(connection, ledger)
        create_labels_view(connection, labels)
        create_counted_labels_view(connection, now=now, above=above)
        create_draws_view(connection, draws)
        favourable = list(classes[first_favourable:])
        start, end = microseconds(window.start), microseconds(window.end)
        connection.execute(_ANSWERS, {"version": version, "start": start, "end": end})
        connection.execute(_DRAWN, {"version": version})
        texts = ", ".join("'" + name.replace("'", "''") + "'" for name in favourable)
        sql = _DECISIONS.format(
            favourable=f"({texts})",
            end=end,
            length=end - start,
            windows=_MOST_WINDOWS,
            most=_MOST_EARLIER,
        )
        batches = stream_query(connection, sql, schema=DECISION_SCHEMA, rows=ROW_GROUP_ROWS)
        write_batches(folder / DECISIONS_FILE, batches, schema=DECISION_SCHEMA)
        connection.execute(
            _AUDITED_ROWS,
            {
                "version": version,
                "end": end,
                "favourable": favourable,
                "half_width": number.half_width if number else 0.0,
            },
        )
        schema = pa.schema([*_AUDITED_SCHEMA, *(AUDITED_NUMBERS if number else ())])
        sql = f"SELECT {', '.join(schema.names)} FROM audited ORDER BY rowid"  # noqa: S608 - the code's own names
        audited = stream_query(connection, sql, schema=schema, rows=ROW_GROUP_ROWS)
        write_batches(folder / AUDITED_FILE, audited, schema=schema)
        connection.execute(_JUDGED, {"end": end})
        by_class: dict[int, list[AuditedClass]] = defaultdict(list)
        if len(classes) > 2:
            counted = connection.execute(_BY_CLASS, {"classes": list(classes)}).fetchall()
            for period, *counts in counted:
                names = AuditedClass.model_fields
                by_class[period].append(AuditedClass(**dict(zip(names, counts, strict=True))))
        wait = dt.timedelta(days=label_days)
        periods = tuple(_periods(connection, by_class, now=now, wait=wait, favourable=favourable))
        limits = None
        if number:
            off = connection.sql(_OFF).to_arrow_table()
            periods = tuple(_with_errors(period, off, number) for period in periods)
            limits = ErrorLimits(half_width=number.half_width, cap=number.error_cap)
        ((duplicated, corrected),) = connection.execute(_FURTHER, [microseconds(now)]).fetchall()
        ((known, waiting),) = connection.execute(_KNOWN).fetchall()
        ((unknown,),) = connection.execute(_UNKNOWN).fetchall()
    return LabelSummary(
        version=version, periods=periods, waiting=waiting, known=known, duplicated=duplicated,
        corrected=corrected, unknown=unknown, number=limits,
    )  # fmt: skip


def _with_errors(period: AuditedPeriod, off: pa.Table, number: NumberCounts) -> AuditedPeriod:
    rows = off.filter(pc.equal(off["start"], microseconds(period.start)))
    errors = rows["error"].to_numpy()
    counts = AuditedNumbers(
        covered=int((errors <= number.half_width).sum()),
        capped=float(np.minimum(errors / number.error_cap, 1).sum()),
    )
    return period.model_copy(update={"number": counts})


def _periods(
    connection: Connection,
    by_class: Mapping[int, Sequence[AuditedClass]],
    *,
    now: dt.datetime,
    wait: dt.timedelta,
    favourable: Sequence[str],
) -> Iterator[AuditedPeriod]:
    """Yields the periods by time; `by_class` has the classes of each, by its start."""
    options = {"wait": wait // dt.timedelta(microseconds=1), "favourable": list(favourable)}
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
            classes=tuple(by_class.get(start, ())),
            late=late,
            state="open" if closed is None else "overdue" if positives + negatives else "complete",
            closed=closed,
        )


def main() -> None:
    """Runs the step."""
    arguments = parse_window("Joins labels with a version's answers.")
    reference = read_reference(processing_input("reference") / REFERENCE_FILE)
    check_labels(read_contract(), reference)
    section, ledger = read_section(MonitorSection, "monitor"), processing_output("ledger")
    copy_ledger(processing_input("ledger"), ledger)
    # Of all versions, since each one's labels arrive after the capture is deleted.
    rows = processing_input("rows")
    captured = [rows / ROWS_FILE, *rows.glob(OTHERS_FILE)]
    additions = sum(add_rows(ledger, file) for file in captured)
    late = add_rows(ledger, rows / LATE_FILE)
    summary = join_labels(
        processing_output("decisions"), ledger=ledger, labels=processing_input("labels"),
        draws=processing_input("draws"), version=arguments.version, window=arguments.window,
        now=arguments.now, label_days=section.label_days,
        classes=reference.labels, first_favourable=reference.first_favourable,
        number=reference.number, above=reference.threshold if reference.number else None,
    )  # fmt: skip
    quality = measure_quality(
        summary, held_out=count_held_out(reference), settings=section, classes=reference.labels,
        number=reference.number,
    )  # fmt: skip
    quality.write(processing_output("quality"))
    others = f", and {late:,} of late captures" if late else ""
    print(f"added {additions:,} rows to the ledger{others}", file=sys.stderr)
    print(
        f"{len(summary.periods):,} audited periods; "
        f"{summary.waiting:,} rows of the window have no label",
        file=sys.stderr,
    )
    for check in quality.checks:
        print(f"{check.name}: {check.outcome}, {check.reason}", file=sys.stderr)


def copy_ledger(source: Path, out: Path) -> None:
    """Copies the ledger's files.

    Raises:
        InputError: if a file cannot be copied.
    """
    with translate_disk_errors(f"cannot copy the ledger {source} to {out}"):
        for file in walk_files(source):
            path = out / file.relative_to(source)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, path)


def check_labels(contract: Contract, reference: Reference) -> None:
    """Checks that the labels that arrive are those that the version decides on.

    Raises:
        InputError: if the contract's labels, or its favourable ones, are not the version's.
    """
    with_it = "monitor it with the contract that it was trained with, or deploy a new version"
    if contract.classes != reference.labels:
        raise InputError(
            f"contract `{contract.id}`: its labels are `{'` and `'.join(contract.classes)}`, "
            f"those of the version are `{'` and `'.join(reference.labels)}` ({REFERENCE_FILE}); "
            f"{with_it}"
        )
    if contract.first_favourable != reference.first_favourable:
        favourable = reference.labels[reference.first_favourable :]
        raise InputError(
            f"contract `{contract.id}`: its favourable classes are "
            f"`{'` and `'.join(contract.label.favourable)}`, those of the version are "
            f"`{'` and `'.join(favourable)}` ({REFERENCE_FILE}); {with_it}"
        )


if __name__ == "__main__":
    run_step(main)
