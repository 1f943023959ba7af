"""Clarify's bias metrics by AWS's published definitions, with what leaves each of them undefined.

Where a denominator is 0, a group empty, or nothing varies, a metric is undefined: it has no value
and the reason in words, never 0 or infinity. The counterfactual flip test, which needs the rows'
features, is in `flip_test`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats
from sashiko.evaluation.metrics.bias_table import METRIC_LIST, Metric, Stage
from sashiko.evaluation.metrics.counts import Counts
from sashiko.evaluation.metrics.groups import Comparison, compare
from sashiko.evaluation.metrics.uncertainty import (
    Interval,
    enough_replicates,
    percentile_interval,
    resampled_counts,
)

# A bootstrap draws no row of a kind that it has not seen, and too seldom another number of one that
# it has seen once: `python -m verification.benchmarks.interval_coverage` shows from how many on it
# is right.
LEAST_OF_A_KIND = 3

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in METRIC_LIST})


@dataclass(frozen=True)
class Measure:
    """A metric's value, or why it has none."""

    value: float | None
    error: str = ""


def stage_metrics(stage: Stage) -> tuple[str, ...]:
    """Returns the names of a stage's metrics, in alphabetical order as Clarify lists them."""
    return tuple(sorted(name for name, metric in METRICS.items() if metric.stage == stage))


def measure(name: str, counts: Counts) -> Measure:
    """Computes a metric of `METRICS` from counts.

    Returns:
        Its value; or None with the reason.
    """
    metric = METRICS[name]
    if reason := _not_countable(metric, counts):
        return Measure(None, reason)
    of = compare(counts.cells, counts.positive)
    for condition in metric.undefined:
        if condition.holds(of):
            return Measure(None, condition.reason)
    return Measure(float(metric.formula(of)))


def intervals(
    names: Iterable[str],
    counts: Counts,
    *,
    replicates: int,
    seed: int,
    looks: Mapping[str, int] | None = None,
) -> dict[str, Interval]:
    """Returns the 95 % intervals of metrics by a multinomial bootstrap of the counts.

    Equal to resampling the rows with replacement, at a cost that does not grow with them.

    Args:
        names: of metrics in `METRICS`.
        counts: of the two groups.
        replicates: how many resamples; more are drawn where the looks ask for it.
        seed: of the bootstrap; equal seeds give equal intervals.
        looks: metric -> how many intervals, this one among them, must hold at once; 1 where it is
            not named.

    Returns:
        Metric -> interval; without those that are undefined, or are so in more than 1 % of the
        resamples (of several looks, 1 % / looks), or of which a group has less than
        `LEAST_OF_A_KIND` rows of a kind: of recall, rows that were found, or rows that were not.
    """
    chosen = [
        name
        for name in names
        if measure(name, counts).value is not None
        and _least_of_a_kind(name, counts) >= LEAST_OF_A_KIND
    ]
    if not chosen:
        return {}
    over = {name: (looks or {}).get(name, 1) for name in chosen}
    needed = enough_replicates(replicates, looks=max(over.values()))
    drawn: dict[str, list[Floats]] = {name: [] for name in chosen}
    for cells in resampled_counts(counts.cells, replicates=needed, seed=seed):
        of = compare(cells, counts.positive)
        for name in chosen:
            drawn[name].append(_values(METRICS[name], of))
    found = {
        name: percentile_interval(np.concatenate(parts), looks=over[name])
        for name, parts in drawn.items()
    }
    return {name: ends for name, ends in found.items() if ends is not None}


def _least_of_a_kind(name: str, counts: Counts) -> float:
    of = compare(counts.cells, counts.positive)
    found = [getattr(group, kind).min() for kind in METRICS[name].kinds for group in (of.a, of.d)]
    return float(min(found, default=np.inf))


def _not_countable(metric: Metric, counts: Counts) -> str:
    """Says what of the data, beyond the counts themselves, keeps a metric from being computed."""
    if counts.missing and metric.compares:
        rows = int(counts.cells.sum()) + counts.missing
        return f"{counts.missing} of {rows} rows have no value of the facet: they are of no group"
    if metric.conditional and not counts.stratified:
        return "there is no group variable to condition on"
    return ""


def _values(metric: Metric, of: Comparison) -> Floats:
    """Computes a metric for each resample; NaN where it is undefined."""
    values = metric.formula(of)
    for condition in metric.undefined:
        values = np.where(condition.holds(of), np.nan, values)
    return values
