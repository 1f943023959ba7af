"""Disparate impact of a window's decisions: against the reference, and against the gate's bounds.

Fewer than 10 decisions of a kind in a group give no value, and fewer than 10 rows no number of
rows: either could stand for a person. The interval is JudgeBias's bootstrap. The tests use the
standard error of a ratio's logarithm (D. Katz and others, Obtaining confidence intervals for the
risk ratio in cohort studies, Biometrics 34, 1978, 469-474), since a percentile interval gives no
small p-value.
"""

import math

from scipy import stats

from sashiko.evaluation.metrics.bias import intervals, measure
from sashiko.evaluation.metrics.counts import Counts
from sashiko.evaluation.metrics.groups import compare
from sashiko.monitoring.checks import DISPARATE_IMPACT, Measurement
from sashiko.monitoring.result import SMALLEST_COUNT

_METRIC = "DI"
_LEAST_ROWS = 2 * SMALLEST_COUNT  # of a group: with fewer there are not 10 decisions of each kind


def measure_disparity_change(
    name: str,
    reference: Counts,
    window: Counts,
    *,
    tolerance: float,
    minimum_group_size: int,
    replicates: int,
    seed: int,
) -> Measurement:
    """Measures the change of disparate impact since the reference.

    Args:
        name: of the measurement.
        reference: counts of the group and of all other rows.
        window: the same of the window.
        tolerance: the share of the reference's disparate impact by which it may change.
        minimum_group_size: rows of either side that are needed.
        replicates: of the interval's bootstrap.
        seed: of the same.

    Returns:
        The measurement; `value` is the window's disparate impact with its 95 % interval, and
        `tolerance` the lowest one that raises no alarm.
    """
    before = _log_ratio(reference)
    measured = _window(
        name, window, minimum_group_size=minimum_group_size, replicates=replicates, seed=seed
    )
    now = _log_ratio(window)
    if before is None:
        reason = "disparate impact of the reference is undefined, or of too few rows of a kind"
        return measured.model_copy(update={"reason": reason})
    allowed = -math.log1p(-tolerance)
    measured = measured.model_copy(update={"tolerance": math.exp(before[0] - allowed)})
    if now is None or measured.reason:
        return measured
    change, error = now[0] - before[0], math.hypot(now[1], before[1])
    return measured.model_copy(
        update={
            "p_unchanged": _p_outside(change, error, 0.0, 0.0),
            "p_tolerated": _p_outside(change, error, -allowed, allowed),
        }
    )


def measure_disparity_bound(
    name: str,
    window: Counts,
    *,
    minimum: float | None,
    maximum: float | None,
    minimum_group_size: int,
    replicates: int,
    seed: int,
) -> Measurement:
    """Measures disparate impact against the bounds of the recipe's gate.

    Arguments and result are those of `measure_disparity_change`. A bound that is None is open; not
    both are. `tolerance` is the minimum, or the maximum if there is no minimum.
    """
    tolerance = maximum if minimum is None else minimum
    measured = _window(
        name, window, minimum_group_size=minimum_group_size, replicates=replicates, seed=seed
    ).model_copy(update={"tolerance": tolerance})
    now = _log_ratio(window)
    if now is None or measured.reason:
        return measured
    low = _log(0.0 if minimum is None else minimum)
    high = _log(math.inf if maximum is None else maximum)
    p_value = _p_outside(*now, low, high)
    return measured.model_copy(update={"p_unchanged": p_value, "p_tolerated": p_value})


def disparate_impact(counts: Counts, *, minimum_group_size: int) -> float | None:
    """Returns disparate impact; None if it is undefined or of too few rows to be shown.

    Args:
        counts: of the group and of all other rows.
        minimum_group_size: rows of either side that are needed.
    """
    smaller = min(counts.n_advantaged, counts.n_disadvantaged)
    if smaller < minimum_group_size or _log_ratio(counts) is None:
        return None
    return measure(_METRIC, counts).value


def _window(
    name: str, window: Counts, *, minimum_group_size: int, replicates: int, seed: int
) -> Measurement:
    """Returns the window's value and interval, still without tolerance and p-values."""
    smaller = min(window.n_advantaged, window.n_disadvantaged)
    needed = max(minimum_group_size, _LEAST_ROWS)
    rows = smaller if smaller >= SMALLEST_COUNT else 0
    measured = Measurement(
        name=name, kind="bias", effect=DISPARATE_IMPACT, rows=rows, rows_needed=needed,
        tolerance=0.0,
    )  # fmt: skip
    if smaller < SMALLEST_COUNT:
        reason = f"fewer than {SMALLEST_COUNT} rows of a group, {needed:,} are needed"
        return measured.model_copy(update={"reason": reason})
    if smaller < needed:
        return measured
    metric = measure(_METRIC, window)
    if metric.value is None:
        return measured.model_copy(update={"reason": metric.error})
    if _log_ratio(window) is None:
        reason = f"fewer than {SMALLEST_COUNT} decisions of a kind in a group"
        return measured.model_copy(update={"reason": reason})
    ends = intervals([_METRIC], window, replicates=replicates, seed=seed).get(_METRIC)
    return measured.model_copy(
        update={
            "value": metric.value,
            "low": ends.low if ends else None,
            "high": ends.high if ends else None,
        }
    )


def _log_ratio(counts: Counts) -> tuple[float, float] | None:
    """Returns the logarithm of disparate impact and its standard error; None of too few rows."""
    groups = compare(counts.cells, counts.positive)
    kinds = [
        (float(group.predicted_positives), float(group.predicted_negatives))
        for group in (groups.d, groups.a)
    ]
    if min(min(kind) for kind in kinds) < SMALLEST_COUNT:
        return None
    (chosen, refused), (chosen_rest, refused_rest) = kinds
    rows, rest = chosen + refused, chosen_rest + refused_rest
    value = math.log(chosen / rows) - math.log(chosen_rest / rest)
    error = math.sqrt(1 / chosen - 1 / rows + 1 / chosen_rest - 1 / rest)
    return value, error


def _p_outside(value: float, error: float, low: float, high: float) -> float:
    """Returns the p-value of `value` if the true one lies between two bounds, both sides counted.

    It is the largest over the interval, at either bound; of equal bounds the two-sided p-value.
    """
    distance = max(low - value, value - high) / error
    if distance == -math.inf:  # a bound of 0, and none above: nothing lies outside
        return 1.0
    width = high - low if math.isfinite(low) else math.inf
    tails = stats.norm.sf([distance, distance + width / error])
    return min(float(tails.sum()), 1.0)


def _log(bound: float) -> float:
    return math.log(bound) if bound > 0 else -math.inf
