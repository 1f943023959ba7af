"""Clarify's bias metrics by AWS's published definitions, with the conditions of undefined values.

If a denominator is 0, a group is empty, or nothing varies, a metric is undefined: it has a reason
instead of a value, never 0 or infinity. The counterfactual flip test is left out: it compares rows
by numeric features, which text has not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from sashiko.bias.metrics.bias_table import METRIC_LIST, Metric, Stage, compare
from sashiko.evaluation.metrics import uncertainty
from sashiko.evaluation.metrics.arrays import Floats
from sashiko.evaluation.metrics.counts import Counts

# The bootstrap cannot draw rows of an unobserved kind and underestimates the variance of rare ones;
# `python -m verification.benchmarks.interval_coverage` measures the coverage by this minimum.
MIN_COUNT = 3

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in METRIC_LIST})


@dataclass(frozen=True)
class MetricValue:
    """A metric's value, or why it is undefined."""

    value: float | None
    error: str = ""


def stage_metrics(stage: Stage) -> tuple[str, ...]:
    """Returns the names of a stage's metrics in alphabetical order, as Clarify does."""
    return tuple(sorted(name for name, metric in METRICS.items() if metric.stage == stage))


def measure(name: str, counts: Counts) -> MetricValue:
    """Computes a metric of `METRICS` from counts.

    Returns:
        Its value, or None with the reason.
    """
    metric = METRICS[name]
    if counts.missing and metric.compares:
        rows = int(counts.cells.sum()) + counts.missing
        missing = f"{counts.missing} of {rows} rows"
        return MetricValue(None, f"{missing} have no value of the facet and belong to no group")
    if metric.conditional and not counts.stratified:
        return MetricValue(None, "there is no group variable to condition on")
    groups = compare(counts.cells, counts.positive)
    for condition in metric.undefined:
        if condition.holds(groups):
            return MetricValue(None, condition.reason)
    return MetricValue(float(metric.formula(groups)))


def intervals(
    names: Iterable[str],
    counts: Counts,
    *,
    replicates: int,
    seed: int,
    looks: Mapping[str, int] | None = None,
) -> dict[str, uncertainty.Interval]:
    """Returns the 95 % intervals of metrics by a multinomial bootstrap of the counts.

    Equivalent to resampling the rows with replacement, at a cost independent of their number.

    Args:
        names: of metrics in `METRICS`.
        counts: of the two groups.
        replicates: the number of resamples; more are drawn if the looks require it.
        seed: of the bootstrap; equal seeds give equal intervals.
        looks: metric -> the number of intervals, including this one, that must hold
            simultaneously; 1 by default.

    Returns:
        Metric -> interval; without metrics that are undefined, or undefined in more than 1 % /
        looks of the resamples, or for which a group has fewer than `MIN_COUNT` rows of a kind (for
        recall: true positives or false negatives).
    """
    whole = compare(counts.cells, counts.positive)

    def smallest_count(name: str) -> float:
        kinds = METRICS[name].kinds
        sides = (whole.a, whole.d)
        counted = (getattr(group, kind).min() for kind in kinds for group in sides)
        return float(min(counted, default=np.inf))

    computable = [
        name
        for name in names
        if measure(name, counts).value is not None and smallest_count(name) >= MIN_COUNT
    ]
    if not computable:
        return {}
    comparisons = {name: (looks or {}).get(name, 1) for name in computable}
    draws = uncertainty.required_replicates(replicates, looks=max(comparisons.values()))
    values: dict[str, list[Floats]] = {name: [] for name in computable}
    for cells in uncertainty.resampled_counts(counts.cells, replicates=draws, seed=seed):
        groups = compare(cells, counts.positive)
        for name in computable:
            drawn = METRICS[name].formula(groups)
            for condition in METRICS[name].undefined:
                drawn = np.where(condition.holds(groups), np.nan, drawn)
            values[name].append(drawn)
    results = {
        name: uncertainty.percentile_interval(np.concatenate(parts), looks=comparisons[name])
        for name, parts in values.items()
    }
    return {name: interval for name, interval in results.items() if interval is not None}
