"""Disparate impact of a window's decisions, against the reference and against a gate's bounds.

Fewer than 10 decisions of a kind in a group give no value, and fewer than 10 rows no number of
rows: either could stand for a person. Interval and tests use the standard error of a ratio's
logarithm (D. Katz and others, Obtaining confidence intervals for the risk ratio in cohort
studies, Biometrics 34, 1978, 469-474). Of rows in clusters it is that of the linearized ratio's
totals (W. G. Cochran, Sampling techniques, 1977, section 6.19): the design effect compares it
with Katz's.
"""

import math

import numpy as np
from scipy import stats

from sashiko.bias.metrics.bias_table import compare, measure
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.metrics.counts import Counts
from sashiko.evaluation.reference import SMALLEST_COUNT
from sashiko_packs.monitoring import clusters
from sashiko_packs.monitoring.checks import DISPARATE_IMPACT, Measurement
from sashiko_packs.monitoring.clusters import ClusteredCounts

METRIC = "DI"
_LEAST_ROWS = 2 * SMALLEST_COUNT  # of a group: with fewer there are not 10 decisions of each kind


def effect_of_ratio(totals: Ints) -> float:
    """Computes the design effect of disparate impact's logarithm; 1 if it is undefined.

    Totals are decisions by group of clusters, and by whether a row is of the disadvantaged group
    and its decision positive: neither, the second, the first, both; shape (groups, 4).
    """
    counts: Floats = totals.sum(axis=0).astype(np.float64)
    refused_rest, chosen_rest, refused, chosen = counts
    if not counts.all():
        return 1.0
    rows, rest = chosen + refused, chosen_rest + refused_rest
    # What a row adds to the linearized logarithm.
    adds = np.array([1 / rest, 1 / rest - 1 / chosen_rest, -1 / rows, 1 / chosen - 1 / rows])
    return float(((totals @ adds) ** 2).sum() / (counts @ adds**2))


def measure_disparity_change(
    name: str,
    reference: Counts,
    window: ClusteredCounts,
    *,
    tolerance: float,
    minimum_group_size: int,
    note: str = "",
) -> Measurement:
    """Measures the change of disparate impact since the reference.

    `reference` counts the group and all other rows, `window` decisions by the cells of
    `effect_of_ratio`. `tolerance` is the share of the reference's disparate impact by which it may
    change; that of the measurement is the lowest one that raises no alarm. Either side needs rows
    of `minimum_group_size`.
    """
    before = _log_ratio(_decisions(reference))
    measured = _window(name, window, minimum_group_size=minimum_group_size, note=note)
    if before is None:
        reason = "disparate impact of the reference is undefined, or of too few rows of a kind"
        return measured.model_copy(update={"reason": reason})
    allowed = -math.log1p(-tolerance)
    measured = measured.model_copy(update={"tolerance": math.exp(before[0] - allowed)})
    if measured.value is None:
        return measured
    value, of_window = _clustered_ratio(window)
    change, error = value - before[0], math.hypot(of_window, before[1])
    return measured.model_copy(
        update={
            "p_unchanged": _p_outside(change, error, window.freedom, 0.0, 0.0),
            "p_tolerated": _p_outside(change, error, window.freedom, -allowed, allowed),
        }
    )


def measure_disparity_bound(
    name: str,
    window: ClusteredCounts,
    *,
    minimum: float | None,
    maximum: float | None,
    minimum_group_size: int,
    note: str = "",
) -> Measurement:
    """Measures disparate impact against the bounds of the recipe's gate.

    Arguments and result are those of `measure_disparity_change`. A bound that is None is open; not
    both are. `tolerance` is the minimum, or the maximum if there is no minimum.
    """
    tolerance = maximum if minimum is None else minimum
    measured = _window(name, window, minimum_group_size=minimum_group_size, note=note).model_copy(
        update={"tolerance": tolerance}
    )
    if measured.value is None:
        return measured
    low = _log(0.0 if minimum is None else minimum)
    high = _log(math.inf if maximum is None else maximum)
    p_value = _p_outside(*_clustered_ratio(window), window.freedom, low, high)
    return measured.model_copy(update={"p_unchanged": p_value, "p_tolerated": p_value})


def disparate_impact(counts: Counts, *, minimum_group_size: int) -> float | None:
    """Returns disparate impact; None if it is undefined or of too few rows to be shown."""
    smaller = min(counts.n_advantaged, counts.n_disadvantaged)
    if smaller < minimum_group_size or _log_ratio(_decisions(counts)) is None:
        return None
    return measure(METRIC, counts).value


def _window(
    name: str, window: ClusteredCounts, *, minimum_group_size: int, note: str
) -> Measurement:
    """Returns the window's value and interval, still without tolerance and p-values."""
    smaller = smaller_side(window.counts)
    needed = max(minimum_group_size, _LEAST_ROWS)
    rows = int(smaller / window.design_effect)
    measured = Measurement(
        name=name, kind="bias", effect=DISPARATE_IMPACT, rows=rows if rows >= SMALLEST_COUNT else 0,
        rows_needed=needed, tolerance=0.0, note="; ".join(filter(None, (window.note, note))),
    )  # fmt: skip
    reason = ""
    if smaller < SMALLEST_COUNT:
        reason = f"fewer than {SMALLEST_COUNT} rows of a group, {needed:,} are needed"
    elif measured.rows >= needed and _log_ratio(window.counts) is None:
        reason = f"fewer than {SMALLEST_COUNT} decisions of a kind in a group"
    elif measured.rows >= needed and not window.has_enough_clusters:
        reason = clusters.TOO_FEW_CLUSTERS
    if reason or measured.rows < needed:
        return measured.model_copy(update={"reason": reason})
    value, error = _clustered_ratio(window)
    width = float(stats.t.ppf(0.975, window.freedom)) * error
    return measured.model_copy(
        update={
            "value": math.exp(value),
            "low": math.exp(value - width),
            "high": math.exp(value + width),
        }
    )


def smaller_side(counts: Ints) -> int:
    """Returns the rows of the group or of all others, whichever are fewer."""
    return int(min(counts[:2].sum(), counts[2:].sum()))


def _decisions(counts: Counts) -> Ints:
    groups = compare(counts.cells, counts.positive)
    both = ((one.predicted_negatives, one.predicted_positives) for one in (groups.a, groups.d))
    return np.array([int(number) for pair in both for number in pair])


def _clustered_ratio(window: ClusteredCounts) -> tuple[float, float]:
    value, error = _log_ratio(window.counts) or (math.nan, math.nan)
    return value, error * math.sqrt(window.design_effect)


def _log_ratio(counts: Ints) -> tuple[float, float] | None:
    """Returns the logarithm of disparate impact and its standard error; None of too few rows."""
    if counts.min() < SMALLEST_COUNT:
        return None
    refused_rest, chosen_rest, refused, chosen = (float(count) for count in counts)
    rows, rest = chosen + refused, chosen_rest + refused_rest
    value = math.log(chosen / rows) - math.log(chosen_rest / rest)
    error = math.sqrt(1 / chosen - 1 / rows + 1 / chosen_rest - 1 / rest)
    return value, error


def _p_outside(value: float, error: float, freedom: float, low: float, high: float) -> float:
    """Returns the p-value of `value` if the true one lies between two bounds, both sides counted.

    It is the largest over the interval, at either bound; of equal bounds the two-sided p-value.
    """
    distance = max(low - value, value - high) / error
    if distance == -math.inf:  # a bound of 0, and none above: nothing lies outside
        return 1.0
    width = high - low if math.isfinite(low) else math.inf
    tails = stats.t.sf([distance, distance + width / error], freedom)
    return min(float(tails.sum()), 1.0)


def _log(bound: float) -> float:
    return math.log(bound) if bound > 0 else -math.inf
