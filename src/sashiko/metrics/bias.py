"""Bias metrics by AWS's published definitions, from counts of two groups.

Source: "Pre-training Bias Metrics" and "Post-training Data and Model Bias Metrics" in the Amazon
SageMaker AI Developer Guide. The advantaged group is a, the disadvantaged one d; labels 1 are the
positive outcome. Differences are a - d, so that more than 0 means that d fares worse; DI is the
ratio d / a, so that less than 1 means it.

Every formula takes counts as floats of any shape: a point estimate is shape (), a bootstrap is
shape (replicates,). Where a denominator is 0 the result is NaN, never 0 or infinity; `measure`
says in words why.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from sashiko.metrics.arrays import Floats, Ints, ratio
from sashiko.metrics.groups import Group, groups
from sashiko.metrics.uncertainty import Interval, percentile_interval, resampled_counts

Stage = Literal["pre_training", "post_training"]


@dataclass(frozen=True)
class Measure:
    """A metric's value, or why it has none."""

    value: float | None
    error: str = ""


@dataclass(frozen=True)
class Metric:
    """A bias metric.

    Attributes:
        name: Clarify's abbreviation.
        description: its full name, as Clarify writes it.
        stage: whether it is of the labels or of the predictions.
        formula: of (advantaged, disadvantaged).
        undefined: reason -> whether it holds for (advantaged, disadvantaged), beyond empty groups.
    """

    name: str
    description: str
    stage: Stage
    formula: Callable[[Group, Group], Floats]
    undefined: Mapping[str, Callable[[Group, Group], bool]]


def class_imbalance(a: Group, d: Group) -> Floats:
    """CI = (n_a - n_d) / (n_a + n_d), from -1 to 1; more than 0: d has fewer rows."""
    return ratio(a.rows - d.rows, a.rows + d.rows)


def label_difference(a: Group, d: Group) -> Floats:
    """DPL = n_a(1) / n_a - n_d(1) / n_d, from -1 to 1; more than 0: d has the label less often."""
    return ratio(a.positives, a.rows) - ratio(d.positives, d.rows)


def predicted_difference(a: Group, d: Group) -> Floats:
    """DPPL = n'_a(1) / n_a - n'_d(1) / n_d, from -1 to 1; more than 0: d is predicted it less."""
    return ratio(a.predicted_positives, a.rows) - ratio(d.predicted_positives, d.rows)


def disparate_impact(a: Group, d: Group) -> Floats:
    """DI = (n'_d(1) / n_d) / (n'_a(1) / n_a), from 0 up; less than 1: d is predicted it less."""
    return ratio(ratio(d.predicted_positives, d.rows), ratio(a.predicted_positives, a.rows))


def recall_difference(a: Group, d: Group) -> Floats:
    """RD = TP_a / n_a(1) - TP_d / n_d(1), from -1 to 1; more than 0: d's positives are missed."""
    return ratio(a.true_positives, a.positives) - ratio(d.true_positives, d.positives)


def accuracy_difference(a: Group, d: Group) -> Floats:
    """AD = (TP_a + TN_a) / n_a - (TP_d + TN_d) / n_d, from -1 to 1; more than 0: d errs more."""
    return _accuracy(a) - _accuracy(d)


_NO_LABEL = MappingProxyType(
    {"no row has the positive label": lambda a, d: a.positives + d.positives == 0}
)
_NO_PREDICTION = MappingProxyType(
    {
        "no row is predicted positive": lambda a, d: (
            a.predicted_positives + d.predicted_positives == 0
        )
    }
)
_METRICS = (
    Metric("CI", "Class Imbalance (CI)", "pre_training", class_imbalance, {}),
    Metric(
        "DPL",
        "Difference in Positive Proportions in Labels (DPL)",
        "pre_training",
        label_difference,
        _NO_LABEL,
    ),
    Metric("AD", "Accuracy Difference (AD)", "post_training", accuracy_difference, _NO_PREDICTION),
    Metric(
        "DI",
        "Disparate Impact (DI)",
        "post_training",
        disparate_impact,
        {
            **_NO_PREDICTION,
            "no row of the advantaged group is predicted positive": lambda a, _: (
                a.predicted_positives == 0
            ),
        },
    ),
    Metric(
        "DPPL",
        "Difference in Positive Proportions in Predicted Labels (DPPL)",
        "post_training",
        predicted_difference,
        _NO_PREDICTION,
    ),
    Metric(
        "RD",
        "Recall Difference (RD)",
        "post_training",
        recall_difference,
        {
            **_NO_PREDICTION,
            "no row of the advantaged group has the positive label": lambda a, _: a.positives == 0,
            "no row of the disadvantaged group has the positive label": lambda _, d: (
                d.positives == 0
            ),
        },
    ),
)
METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _METRICS})


def stage_metrics(stage: Stage) -> tuple[str, ...]:
    """Returns the names of a stage's metrics, in alphabetical order as Clarify lists them."""
    return tuple(sorted(name for name, metric in METRICS.items() if metric.stage == stage))


def measure(name: str, cells: Ints) -> Measure:
    """Computes a metric of `METRICS` from `groups.count_cells`.

    Returns:
        Its value; or None with the reason where a group is empty, a rate has no denominator, or
        nothing at all is positive, in which case a difference of 0 would say nothing.
    """
    metric = METRICS[name]
    advantaged, disadvantaged = groups(cells)
    if not disadvantaged.rows:
        return Measure(None, "the disadvantaged group has no rows")
    if not advantaged.rows:
        return Measure(None, "the advantaged group has no rows: every row is of the disadvantaged")
    for reason, holds in metric.undefined.items():
        if holds(advantaged, disadvantaged):
            return Measure(None, reason)
    return Measure(float(metric.formula(advantaged, disadvantaged)))


def interval(name: str, cells: Ints, *, replicates: int, seed: int) -> Interval | None:
    """Returns the 95 % interval of a metric by a multinomial bootstrap of the counts.

    Equal to resampling the rows with replacement, at a cost that does not grow with them.

    Args:
        name: of a metric in `METRICS`.
        cells: from `groups.count_cells`.
        replicates: how many resamples.
        seed: of the bootstrap.

    Returns:
        The interval; None if the metric is undefined, or is so in more than 1 % of the resamples.
    """
    if measure(name, cells).value is None:
        return None
    drawn = resampled_counts(cells, replicates=replicates, seed=seed)
    return percentile_interval(METRICS[name].formula(*groups(drawn)))


def _accuracy(group: Group) -> Floats:
    false_positives = group.predicted_positives - group.true_positives
    true_negatives = group.rows - group.positives - false_positives
    return ratio(group.true_positives + true_negatives, group.rows)
