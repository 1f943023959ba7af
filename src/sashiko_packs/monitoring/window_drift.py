"""Drift of a window: its columns, scores and texts against the held-out rows of the version.

A row that came as plain text has no columns: it counts for the scores and the texts, and for no
column. So a client that begins to send texts instead of rows changes no column; a window of texts
alone has columns that are not judged.
"""

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.errors import InputError
from sashiko.evaluation.column_counts import ColumnCounts
from sashiko.evaluation.reference import Reference
from sashiko.evaluation.reference_columns import cells_of
from sashiko_packs.monitoring.capture.rows import captured_columns, stream_rows
from sashiko_packs.monitoring.checks import Measurement
from sashiko_packs.monitoring.clusters import Clusters
from sashiko_packs.monitoring.distributions import make_distribution
from sashiko_packs.monitoring.drift import ROWS_NEEDED, measure_drift
from sashiko_packs.monitoring.odd_texts import measure_odd_texts
from sashiko_packs.monitoring.result import SCORES_DRIFT, TEXTS_DRIFT, UNREAD_TEXTS, Drift
from sashiko_packs.monitoring.settings import MonitorSection
from sashiko_packs.monitoring.text_drift import measure_text_drift
from sashiko_packs.monitoring.text_sample import sample_test, sample_window

_NO_COLUMNS: Final = "came as plain texts, which have no columns"


def measure_window(
    path: Path, reference: Reference, *, test: Path, section: MonitorSection
) -> Drift:
    """Measures a window's columns, then its scores and its texts. Equal files give equal numbers.

    Rows are streamed; of texts a sample is compared.

    Args:
        path: a file of `read_captures`, of one version's rows.
        reference: of that version.
        test: `data.parquet` of the test split that the reference describes.
        section: the tolerances.

    Raises:
        InputError: if a file is damaged, or the rows were read with the columns of another
            reference.
    """
    scores, columns = _count(path, reference)
    measurements = [
        _explained(
            _measure(f"drift of {counts.column}", counts, window, section.column_tolerance),
            plain=int(scores.counts.sum() - window.counts.sum()),
        )
        for counts, window in zip(reference.columns, columns, strict=True)
    ]
    # The rows' buffers are not in use any more, and NumPy cannot take them from Arrow's pool.
    pa.default_memory_pool().release_unused()
    counted, before = scores.summarise(), sample_test(test)
    sample = sample_window(path, reference, counted)
    measurements += [
        _measure(SCORES_DRIFT, reference.scores, scores, section.column_tolerance),
        measure_text_drift(
            TEXTS_DRIFT,
            before,
            sample.texts,
            clusters=sample.clusters,
            tolerance=section.text_tolerance,
            note=counted.note,
        ),
        measure_odd_texts(
            UNREAD_TEXTS, before, sample, tolerance=section.input_tolerance, note=counted.note
        ),
    ]
    described = (*reference.columns, reference.scores)
    return Drift(
        measurements=tuple(measurements),
        distributions=tuple(
            make_distribution(counts, window.counts)
            for counts, window in zip(described, (*columns, scores), strict=True)
        ),
        scores=tuple(scores.counts.tolist()),
    )


def _count(path: Path, reference: Reference) -> tuple[Clusters, list[Clusters]]:
    """Counts the scores, and each column of the reference, by the reference's cells."""
    names = tuple(counts.column for counts in reference.columns)
    if captured_columns(path) != names:
        raise InputError(
            f"{path} has the columns {', '.join(captured_columns(path))}, the reference "
            f"{', '.join(names)}: read the captures with this reference"
        )
    scores = Clusters(len(reference.scores.counts))
    columns = [Clusters(len(counts.counts)) for counts in reference.columns]
    for table in stream_rows(path, ["score", "input", "cluster", "dominates"]):
        clusters, dominates = table["cluster"].to_numpy(), table["dominates"].to_numpy()
        scores.add(cells_of(reference.scores, table["score"]), clusters, dominates)
        inputs = table["input"].combine_chunks()
        present = inputs.is_valid()
        chosen = present.to_numpy(zero_copy_only=False)
        rows = inputs.filter(present)
        for counts, window in zip(reference.columns, columns, strict=True):
            values = pa.chunked_array([pc.struct_field(rows, counts.column)])
            window.add(cells_of(counts, values), clusters[chosen], dominates[chosen])
    return scores, columns


def _measure(name: str, reference: ColumnCounts, window: Clusters, tolerance: float) -> Measurement:
    return measure_drift(
        name,
        np.array(reference.counts),
        window.summarise(),
        ordered=reference.is_ordered,
        tolerance=tolerance,
    )


def _explained(measured: Measurement, *, plain: int) -> Measurement:
    """Says of a column that few rows have that the others are plain texts."""
    if measured.is_judged or measured.reason or not plain:
        return measured
    reason = f"{measured.rows:,} rows, {ROWS_NEEDED} are needed; {plain:,} rows {_NO_COLUMNS}"
    if not measured.rows:
        reason = f"all {plain:,} rows {_NO_COLUMNS}"
    return measured.model_copy(update={"reason": reason})
