"""Evaluates the candidate on each slice of the test split."""

from collections.abc import Sequence

from sashiko.evaluation.metrics.arrays import Ints
from sashiko.evaluation.metrics.slices import SliceEstimates, slice_estimates
from sashiko.evaluation.record import SliceFigures, Slices
from sashiko.settings.quality import EvaluateSection
from sashiko.steps.comparators import ModelScores
from sashiko.steps.slicing import Slice

_TOO_FEW = SliceEstimates(metrics={}, differences={})


def slice_figures(
    section: EvaluateSection, labels: Ints, candidate: ModelScores, slices: Sequence[Slice]
) -> Slices:
    """Evaluates each slice with enough rows; returns the worst slices first."""
    metric, minimum = section.slices.metric, section.slices.minimum_rows
    small = [item for item in slices if item.rows.sum() < minimum]
    large = [item for item in slices if item.rows.sum() >= minimum]
    estimates = slice_estimates(
        labels,
        candidate.scores,
        [item.rows for item in large],
        threshold=candidate.threshold,
        replicates=section.bootstrap_replicates,
        seed=section.seed,
    )
    pairs = [*zip(large, estimates, strict=True), *((item, _TOO_FEW) for item in small)]
    figures = [_figures(item, labels, estimates) for item, estimates in pairs]
    return Slices(
        metric=metric,
        minimum_rows=minimum,
        figures=tuple(sorted(figures, key=lambda figure: _worst_first(figure, metric))),
    )


def _figures(item: Slice, labels: Ints, estimates: SliceEstimates) -> SliceFigures:
    return SliceFigures(
        column=item.column,
        value=item.value,
        rows=int(item.rows.sum()),
        positives=int(labels[item.rows].sum()),
        metrics=estimates.metrics,
        differences=estimates.differences,
    )


def _worst_first(figure: SliceFigures, metric: str) -> tuple[bool, float, int]:
    """Sorts by difference; slices without an interval come last, the largest first."""
    difference = figure.differences.get(metric)
    if difference is None or difference.value is None or difference.high is None:
        return (True, 0.0, -figure.rows)
    return (False, difference.value, -figure.rows)
