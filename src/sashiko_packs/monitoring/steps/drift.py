"""Drift: measures a window's columns, scores and texts against the version's held-out rows.

    python -m sashiko_packs.monitoring.steps.drift

Inputs `config` (monitor), `rows` (`rows.parquet` of ReadCapture), `reference` (the version's
`reference.json`) and `test` (the test split that it describes); output `drift` (`drift.json`). The
measurements are judged together with the window's others, by JudgeMonitor.

A row that came as plain text has no columns: it counts for the scores and the texts, and for no
column. So a client that begins to send texts instead of rows changes no column; a window of texts
alone has columns that are not judged.
"""

import argparse
import math
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats

from sashiko.base.files import sha256_tree
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.reference import REFERENCE_FILE, ColumnCounts, Reference, read_reference
from sashiko.evaluation.reference_columns import cells_of
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_section
from sashiko_packs.monitoring.capture.record import ROWS_FILE, captured_columns, stream_rows
from sashiko_packs.monitoring.checks import COHENS_W, ODD_TEXTS, Measurement
from sashiko_packs.monitoring.clusters import TOO_FEW_CLUSTERS, ClusteredCounts, Clusters
from sashiko_packs.monitoring.result import (
    CLASSES_DRIFT,
    OUTCOMES_DRIFT,
    SCORES_DRIFT,
    TEXTS_DRIFT,
    UNREAD_TEXTS,
    VALUES_DRIFT,
    Distribution,
    Drift,
)
from sashiko_packs.monitoring.settings import MonitorSection
from sashiko_packs.monitoring.steps.input_quality import measure_share
from sashiko_packs.monitoring.text_drift import (
    TextSample,
    measure_text_drift,
    sample_test,
    sample_window,
)

_MOST_DIGITS = 17  # tell any two floats apart


def cell_names(counts: ColumnCounts) -> tuple[str, ...]:
    """Returns a name for each cell: a value or a range, then `other` and `none`.

    A range has its upper end, and not its lower one.
    """
    named: Sequence[str] = counts.values
    if counts.kind != "category":
        # With three digits, or as many as tell them apart; whole ones in full.
        edges: list[str] = []
        for digits in range(3, _MOST_DIGITS + 1):
            edges = [
                f"{int(edge):,}"
                if edge.is_integer() and abs(edge) < 10**15
                else np.format_float_positional(edge, precision=digits, fractional=False, trim="-")
                for edge in counts.edges
            ]
            if len(set(edges)) == len(edges):
                break
        between = [f"{low} to {high}" for low, high in pairwise(edges)]
        named = [f"up to {edges[0]}", *between, f"above {edges[-1]}"] if edges else ["all"]
        if counts.kind == "text":
            named = [f"{name} letters" for name in named]
    # A value may have one of these names itself.
    other = "other" if "other" not in named else "all other values"
    return (*named, other, "none" if "none" not in named else "no value")


ROWS_NEEDED = 100
_ORDERED_CELLS = 5  # of scores and numbers; more cells cost power against a shift of the whole
_FEW_ORDERED_CELLS, _FEW_ROWS = 3, 1000  # in a window of fewer rows
_LEAST_EXPECTED = 5  # rows of the window in a cell (Cochran, Biometrics 10, 1954)


def measure_drift(
    name: str, reference: Ints, window: ClusteredCounts, *, ordered: bool, tolerance: float
) -> Measurement:
    """Measures how far a window's distribution is from the reference's, both by the same cells.

    It is Pearson's chi-squared test, with Cohen's w as its size: the root of the statistic by row
    (J. Cohen, Statistical power analysis for the behavioral sciences, 1988, chapter 7). The
    statistic's distribution at a given w is the noncentral chi-squared one, with the noncentrality
    w^2 * rows. Of rows in clusters the statistic by its degrees of freedom, divided by the design
    effect, is compared with an F distribution (D. R. Thomas and J. N. K. Rao, Small-sample
    comparisons of level and power for simple goodness-of-fit statistics under cluster sampling,
    Journal of the American Statistical Association 82, 1987, 630-636).

    Cells with few rows are merged, by the rows of both together: neighbours where the cells are
    `ordered` bins of a number or a score, into 5 parts, or 3 if the window has fewer than 1,000
    rows, as the best number of cells grows with the rows (H. B. Mann and A. Wald, On the choice of
    the number of class intervals, Annals of Mathematical Statistics 13, 1942); else all rare ones.

    Returns:
        The measurement; its `value` is w without the part that chance alone would give, 0 or more.
    """
    rows = int(window.effective_rows)
    measured = Measurement(
        name=name, kind="drift", effect=COHENS_W, rows=rows, rows_needed=ROWS_NEEDED,
        tolerance=tolerance, note=window.note,
    )  # fmt: skip
    if reference.sum() < ROWS_NEEDED:
        reason = f"the reference has {int(reference.sum()):,} rows, {ROWS_NEEDED} are needed"
        return measured.model_copy(update={"reason": reason})
    if rows < ROWS_NEEDED:
        return measured
    if not window.has_enough_clusters:
        return measured.model_copy(update={"reason": TOO_FEW_CLUSTERS})
    both = np.stack([reference.astype(np.float64), window.counts / window.design_effect])
    merged = _merged_cells(both, ordered=ordered)
    if merged.max() == 0:
        return measured.model_copy(update={"reason": "nearly all rows have one value"})
    table: Floats = np.stack([np.bincount(merged, weights=counts) for counts in both])
    statistic = float(stats.chi2_contingency(table, correction=False).statistic)
    freedom = table.shape[1] - 1
    before, now = table.sum(axis=1)
    effective = before * now / (before + now)
    p_unchanged, p_tolerated = (
        _p_value(statistic, freedom, window.freedom, noncentrality=effective * change**2)
        for change in (0.0, tolerance)
    )
    value = math.sqrt(max(statistic - freedom, 0.0) / effective)
    return measured.model_copy(
        update={"value": value, "p_unchanged": p_unchanged, "p_tolerated": p_tolerated}
    )


def _p_value(statistic: float, freedom: int, of_variance: float, *, noncentrality: float) -> float:
    """Returns the probability of at least this statistic, Pearson's divided by the design effect.

    Degrees of freedom are its own, and those of the variance between clusters, infinite if it is
    known. The noncentrality is that of a change that is tolerated; 0 of none.
    """
    if math.isinf(of_variance):
        return float(stats.ncx2.sf(statistic, freedom, noncentrality))
    ratio, below = statistic / freedom, freedom * of_variance
    if not noncentrality:  # for which SciPy's noncentral distribution is inexact
        return float(stats.f.sf(ratio, freedom, below))
    return float(stats.ncf.sf(ratio, freedom, below, noncentrality))


def _merged_cells(both: Floats, *, ordered: bool) -> Ints:
    """Returns for each cell the number of the merged one that it belongs to.

    `both` has the rows of the reference and of the window by cell, shape (2, cells).
    """
    shares: Floats = both.sum(axis=0) / both.sum()
    least = both.sum(axis=1).min()
    if ordered:
        cells = _ORDERED_CELLS if both[1].sum() >= _FEW_ROWS else _FEW_ORDERED_CELLS
        merged, number, mass = np.zeros(len(shares), dtype=np.int64), 0, 0.0
        for cell, share in enumerate(shares):
            merged[cell] = number
            mass += share
            if mass >= 1 / cells:
                number, mass = number + 1, 0.0
        return np.minimum(merged, max(number - 1, 0)) if mass < _LEAST_EXPECTED / least else merged
    rare = shares * least < _LEAST_EXPECTED
    if rare.any() and shares[rare].sum() * least < _LEAST_EXPECTED and not rare.all():
        # All rare cells together are rare too: they join the smallest of the others.
        rare[np.flatnonzero(~rare)[np.argmin(shares[~rare])]] = True
    merged = np.zeros(len(shares), dtype=np.int64)
    merged[~rare] = np.arange((~rare).sum()) + bool(rare.any())
    return merged


# Texts that the version can hardly read: of damaged letters, or mostly of words it has not met.
#
# A classifier of all texts tells a tenth of such texts from none no better than the tolerance of
# their drift. Counted by themselves they are a clear change.
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
# What UTF-8 becomes when it is read as Latin-1 or Windows-1252, and what stands for a lost letter.
_DAMAGED: Final = re.compile("\ufffd|[\u00c2\u00c3][\u0080-\u00bf]|\u00e2[\u20ac\u0080]")
_KNOWN: Final = 0.5  # of a text's words; with fewer known ones it is odd
_CERTAIN: Final = 0.975  # that the reference has no more such texts than are allowed


def measure_odd_texts(
    name: str, reference: Sequence[str], window: TextSample, *, tolerance: float, note: str = ""
) -> Measurement:
    """Measures the share of a window's texts that are damaged or of unknown words.

    As many texts as are odd in the reference are allowed, and `tolerance` beyond that; a word of
    one is known if another one has it.
    """
    words = Counter(word for text in reference for word in _words(text))
    before = sum(_is_odd(text, words, least=2) for text in reference)
    clusters = Clusters(2)
    odd = np.array([_is_odd(text, words, least=1) for text in window.texts], dtype=np.int64)
    clusters.add(odd, window.clusters, np.zeros(len(odd), dtype=np.bool_))
    return measure_share(
        name, clusters.summarise(), kind="drift", effect=ODD_TEXTS,
        allowed=float(stats.beta.ppf(_CERTAIN, before + 1, max(len(reference) - before, 1))),
        tolerance=tolerance, note=note,
    )  # fmt: skip


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def _is_odd(text: str, words: Counter[str], *, least: int) -> bool:
    """Returns whether letters are damaged, or `least` texts know fewer than half of the words."""
    if _DAMAGED.search(text):
        return True
    own = _words(text)
    return sum(words[word] >= least for word in own) < _KNOWN * len(own)


_FAVOURABLE: Final = "score of the favourable classes"


def measure_scores(scores: Mapping[str, Measurement]) -> Measurement:
    """Joins the drifts of several scores of the same rows into one.

    More than two classes have a score each, and the favourable ones one together. The score counts
    that is most surely beyond the tolerance, its p-values times the number of scores (Bonferroni).
    With the drift of the predicted classes these are the two detectors of S. Rabanser and others,
    Failing loudly: an empirical study of methods for detecting dataset shift (NeurIPS 2019): each
    score by itself, and the decisions. Theirs is a Kolmogorov-Smirnov test of each score; the test
    of `measure_drift`, which this pack has for all scores, has a tolerance and counts clusters.
    """
    judged = {name: item for name, item in scores.items() if item.is_judged}
    if not judged:
        return next(iter(scores.values()))

    def probabilities(name: str) -> tuple[float, float]:
        return judged[name].p_tolerated or 0.0, judged[name].p_unchanged or 0.0

    name = min(judged, key=probabilities)
    tolerated, unchanged = (min(len(scores) * one, 1.0) for one in probabilities(name))
    note = "; ".join(filter(None, [judged[name].note, f"the {name} moved most"]))
    return judged[name].model_copy(
        update={"p_tolerated": tolerated, "p_unchanged": unchanged, "note": note}
    )


_NO_COLUMNS: Final = "came as plain texts, which have no columns"


def measure_window(
    path: Path, reference: Reference, *, test: Path, section: MonitorSection
) -> Drift:
    """Measures a window's columns, then its scores and its texts. Equal files give equal numbers.

    Rows are streamed; of texts a sample is compared. `test` is `data.parquet` of the test split
    that the reference describes.

    Raises:
        InputError: if a file is damaged, or the rows were read with the columns of another
            reference.
    """
    scores, outputs, columns = _count(path, reference)
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
    described = [*zip(reference.columns, columns, strict=True), (reference.scores, scores)]
    name = VALUES_DRIFT if reference.number else SCORES_DRIFT
    drifted = _measure(name, reference.scores, scores, section.column_tolerance)
    if reference.number:
        predicted, *_ = zip(class_outputs(reference), outputs, strict=True)
        measurements.append(_measure(OUTCOMES_DRIFT, *predicted, section.column_tolerance))
        values = reference.scores.model_copy(update={"column": "predicted value"})
        described[-1:] = [predicted, (values, scores)]
    elif outputs:
        predicted, *of_classes = zip(class_outputs(reference), outputs, strict=True)
        measurements.append(_measure(CLASSES_DRIFT, *predicted, section.column_tolerance))
        drifted = measure_scores(
            {
                counts.column: _measure(SCORES_DRIFT, counts, window, section.column_tolerance)
                for counts, window in of_classes
            }
            | {_FAVOURABLE: drifted}
        )
        described[-1:] = [
            predicted,
            *of_classes,
            (reference.scores.model_copy(update={"column": _FAVOURABLE}), scores),
        ]
    measurements += [
        drifted,
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
    return Drift(
        measurements=tuple(measurements),
        distributions=tuple(
            Distribution(
                name=counts.column, cells=cell_names(counts), reference=counts.counts,
                window=tuple(window.counts.tolist()),
            )
            for counts, window in described
        ),
    )  # fmt: skip


def class_outputs(reference: Reference) -> tuple[ColumnCounts, ...]:
    """Returns the counts of decisions, and of each class's score.

    Of a number they are those of its outcomes. Of two classes, which have one score, there are
    none.
    """
    if reference.number and (counts := reference.confusion):
        positive = counts.true_positives + counts.false_positives
        outcomes = (reference.rows - positive, positive, 0, 0)
        return (
            ColumnCounts(
                column="predicted outcome", kind="category", values=reference.labels,
                counts=outcomes,
            ),
        )  # fmt: skip
    if not reference.classes:
        return ()
    decisions = ColumnCounts(
        column="predicted class",
        kind="category",
        values=reference.labels,
        counts=(
            *(one.predicted for one in reference.classes),
            0,
            reference.rows - sum(one.rows for one in reference.classes),
        ),
    )
    named = zip(reference.labels, reference.classes, strict=True)
    scores = (one.scores.model_copy(update={"column": f"score of {label}"}) for label, one in named)
    return decisions, *scores


def _count(path: Path, reference: Reference) -> tuple[Clusters, list[Clusters], list[Clusters]]:
    """Counts scores, outputs of `class_outputs` and columns by the reference's cells."""
    names = tuple(counts.column for counts in reference.columns)
    if captured_columns(path) != names:
        raise InputError(
            f"{path} has the columns {', '.join(captured_columns(path))}, the reference "
            f"{', '.join(names)}: read the captures with this reference"
        )
    scores = Clusters(len(reference.scores.counts))
    columns = [Clusters(len(counts.counts)) for counts in reference.columns]
    of_outputs = class_outputs(reference)
    outputs = [Clusters(len(counts.counts)) for counts in of_outputs]
    more = ["decision", *(["scores"] if reference.classes else [])] if outputs else []
    for table in stream_rows(path, ["score", *more, "input", "cluster", "dominates"]):
        clusters, dominates = table["cluster"].to_numpy(), table["dominates"].to_numpy()
        scores.add(cells_of(reference.scores, table["score"]), clusters, dominates)
        values = [table["decision"]] if outputs else []
        if reference.classes:
            values += [
                pc.list_element(table["scores"], place) for place in range(len(reference.labels))
            ]
        for counts, window, column in zip(of_outputs, outputs, values, strict=True):
            window.add(cells_of(counts, column), clusters, dominates)
        inputs = table["input"].combine_chunks()
        present = inputs.is_valid()
        chosen = present.to_numpy(zero_copy_only=False)
        rows = inputs.filter(present)
        for counts, window in zip(reference.columns, columns, strict=True):
            values = pa.chunked_array([pc.struct_field(rows, counts.column)])
            window.add(cells_of(counts, values), clusters[chosen], dominates[chosen])
    return scores, outputs, columns


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


def main() -> None:
    """Writes what drifted by how much."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    section = read_section(MonitorSection, "monitor")
    reference = read_reference(processing_input("reference") / REFERENCE_FILE)
    check_test(reference)
    drift = measure_window(
        processing_input("rows") / ROWS_FILE,
        reference,
        test=processing_input("test") / "data.parquet",
        section=section,
    )
    drift.write(processing_output("drift"))
    measured = sum(item.is_judged for item in drift.measurements)
    count = len(drift.measurements)
    print(f"{measured} of {count} measurements have enough rows", file=sys.stderr)


def check_test(reference: Reference) -> None:
    """Checks that the test split is the one that the reference describes.

    Raises:
        InputError: names both digests.
    """
    folder = processing_input("test")
    digest = sha256_tree(folder)
    if digest != reference.test_sha256:
        raise InputError(
            f"{folder}: the files' SHA-256 is {digest}, and {REFERENCE_FILE} describes those of "
            f"{reference.test_sha256}: give the test split of the version's own run"
        )


if __name__ == "__main__":
    run_step(main)
