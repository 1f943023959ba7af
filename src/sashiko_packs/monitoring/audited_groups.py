"""The audit by facet group: the labelled drawn rows, joined with the facets of their keys.

JoinLabels writes the rows with their keys; MonitorBias, which alone reads facets, joins them and
keeps counts. Groups are shown beside those of the test split and judged by nobody: a drawn week has
too few rows of a group for a test that is right once a year.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.parquet import ROW_GROUP_ROWS, open_parquet, write_batches
from sashiko.base.scratch import scratch_database, stream_query
from sashiko.evaluation.metrics.arrays import Bools
from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.evaluation.metrics.counts import Counts
from sashiko.evaluation.metrics.quality import Confusion
from sashiko.evaluation.privacy import SMALLEST_COUNT
from sashiko_packs.monitoring.audit import MEASURES, balance, right_and_wrong
from sashiko_packs.monitoring.draws import create_draws_view
from sashiko_packs.monitoring.joined_labels import Sources
from sashiko_packs.monitoring.labels import create_counted_labels_view, create_labels_view
from sashiko_packs.monitoring.ledger import create_ledger_view
from sashiko_packs.monitoring.quality import AuditedMeasure
from sashiko_packs.monitoring.result import AuditedGroup
from sashiko_packs.monitoring.times import microseconds

AUDITED_FILE: Final = "audited.parquet"
_SCHEMA: Final = pa.schema([("key", pa.string()), ("label", pa.bool_()), ("decision", pa.bool_())])
_ROWS: Final = """
CREATE TABLE audited AS
SELECT key, counted_labels.label = $positive AS label, ledger.decision = $positive AS decision
FROM draws JOIN ledger USING (key, version) JOIN counted_labels USING (key)
WHERE version = $version AND "end" <= $end ORDER BY key
"""


def write_audited_rows(
    sources: Sources, path: Path, *, version: int, end: dt.datetime, now: dt.datetime, positive: str
) -> None:
    """Writes key, label and decision of a version's drawn rows that are labelled.

    Args:
        sources: ledger, labels and draws.
        path: the file to write; for the bias evaluator alone.
        version: whose answers.
        end: of the window; later periods are left out.
        now: later labels are not known yet.
        positive: the positive label.

    Raises:
        InputError: if a file is missing or damaged, or `path` cannot be written.
    """
    with scratch_database(f"join labels with {sources.ledger}", memory_mb=128) as connection:
        create_ledger_view(connection, sources.ledger)
        create_labels_view(connection, sources.labels)
        create_counted_labels_view(connection, now=now)
        create_draws_view(connection, sources.draws)
        options = {"version": version, "end": microseconds(end), "positive": positive}
        connection.execute(_ROWS, options)
        batches = stream_query(
            connection, "FROM audited ORDER BY rowid", schema=_SCHEMA, rows=ROW_GROUP_ROWS
        )
        write_batches(path, batches, schema=_SCHEMA)


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
        rows: the file of `write_audited_rows`.
        lake: rows of the lake with `key` and `columns`; those of other keys are left out.
        facets: a Parquet file of key and `columns`, which counts for what the lake does not have.
        key: the contract's primary key.
        columns: the contract's facets.

    Raises:
        InputError: if a file is missing or damaged, or lacks a column.
    """
    table = open_parquet(rows).read(_SCHEMA.names)
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
