"""How the candidate does on each slice of the test split."""

from collections.abc import Sequence

from sashiko.evaluation.metrics.arrays import Ints
from sashiko.evaluation.metrics.slices import SliceEstimates, slice_estimates
from sashiko.evaluation.record import SliceFigures, Slices
from sashiko.settings.quality import EvaluateSection
from sashiko.steps.comparators import Scored
from sashiko.steps.slicing import Slice

_TOO_FEW = SliceEstimates(metrics={}, differences={})


def slice_figures(
    section: EvaluateSection, labels: Ints, candidate: Scored, slices: Sequence[Slice]
) -> Slices:
    """Measures each slice that has enough rows, and orders them, the worst first.

    Args:
        section: the metric and the least rows, and the bootstrap.
        labels: of the test split.
        candidate: its scores of it, and the decision threshold.
        slices: of it.
    """
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
    found = [*zip(large, estimates, strict=True), *((item, _TOO_FEW) for item in small)]
    figures = [_figures(item, labels, estimates) for item, estimates in found]
    return Slices(
        metric=metric,
        minimum_rows=minimum,
        figures=tuple(sorted(figures, key=lambda figure: _worst_first(figure, metric))),
    )


def _figures(item: Slice, labels: Ints, found: SliceEstimates) -> SliceFigures:
    return SliceFigures(
        column=item.column,
        value=item.value,
        rows=int(item.rows.sum()),
        positives=int(labels[item.rows].sum()),
        metrics=found.metrics,
        differences=found.differences,
    )


def _worst_first(figure: SliceFigures, metric: str) -> tuple[bool, float, int]:
    """Orders by the difference; without one, or its interval, last and the largest slice first."""
    found = figure.differences.get(metric)
    if found is None or found.value is None or found.high is None:
        return (True, 0.0, -figure.rows)
    return (False, found.value, -figure.rows)
