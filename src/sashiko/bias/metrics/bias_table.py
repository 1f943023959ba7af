"""Clarify's count-based bias metrics by AWS's published definitions, as a table.

If a denominator is 0, a group is empty, or nothing varies, a metric is undefined: it has a reason
instead of a value, never 0 or infinity. The counterfactual flip test is left out: it compares rows
by numeric features, which text has not.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from sashiko.evaluation.metrics import uncertainty
from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints, ratio
from sashiko.evaluation.metrics.counts import Counts

Stage = Literal["pre_training", "post_training"]
Side = Literal["above", "below", "either"]
_SPLIT = "positives negatives"
_PREDICTED = "predicted_positives predicted_negatives"


@dataclass(frozen=True)
class Group:
    """Counts of a group, of shape (...,); whole numbers as float64."""

    labels: Floats  # rows per label, shape (..., labels)
    rows: Floats  # all rows, n
    positives: Floats  # rows with a positive label, n(1)
    negatives: Floats  # rows with another label, n(0)
    predicted_positives: Floats  # rows predicted positive, n'(1)
    predicted_negatives: Floats  # rows predicted another label, n'(0)
    true_positives: Floats  # rows with a positive label and prediction, TP
    true_negatives: Floats  # rows correctly predicted negative, TN
    false_positives: Floats  # rows incorrectly predicted positive, FP
    false_negatives: Floats  # rows incorrectly predicted negative, FN
    right: Floats  # rows predicted correctly, TP + TN
    wrong: Floats  # rows predicted incorrectly, FP + FN

    @classmethod
    def of(cls, cells: Ints, positive: Bools) -> "Group":
        """Reads counts of shape (..., labels, 2), as in `counts.Counts`."""
        counts = cells.astype(np.float64)
        labels = counts.sum(axis=-1)
        rows = labels.sum(axis=-1)
        positives = counts[..., positive, :].sum(axis=(-2, -1))
        predicted = counts[..., 1].sum(axis=-1)
        tp = counts[..., positive, 1].sum(axis=-1)
        fp, fn = predicted - tp, positives - tp
        tn = rows - positives - fp
        return cls(
            labels, rows, positives, rows - positives, predicted, rows - predicted, tp, tn, fp, fn,
            right=tp + tn, wrong=fp + fn,
        )  # fmt: skip

    @property
    def shares(self) -> Floats:
        """The distribution of the labels, P(y), shape (..., labels)."""
        return ratio(self.labels, np.broadcast_to(self.rows[..., None], self.labels.shape))


@dataclass(frozen=True)
class Comparison:
    """An advantaged group a and a disadvantaged one d, as a whole and by stratum."""

    a: Group  # the advantaged group, shapes (...,)
    d: Group  # the disadvantaged group
    a_strata: Group  # the advantaged group by stratum, shapes (..., strata)
    d_strata: Group  # the disadvantaged group by stratum


def compare(cells: Ints, positive: Bools) -> Comparison:
    """Reads counts of shape (..., strata, 2, labels, 2), as in `counts.Counts`."""
    parts = (cells.sum(axis=-4), cells)
    return Comparison(
        *(Group.of(part[..., side, :, :], positive) for part in parts for side in (0, 1))
    )


@dataclass(frozen=True)
class Condition:
    """A condition under which a metric is undefined."""

    reason: str  # in words
    # Whether it holds for a comparison of shape (...,), shape (...,).
    holds: Callable[[Comparison], Bools]


def _nowhere(count: str, reason: str) -> Condition:
    """Returns the condition that neither group has a row of a kind."""
    return Condition(
        reason, lambda groups: getattr(groups.a, count) + getattr(groups.d, count) == 0
    )


def _per_group(count: str, lack: str) -> tuple[Condition, Condition]:
    """Returns a condition per group: a rate is undefined if its denominator is 0."""
    return (
        Condition(
            f"no row of the advantaged group {lack}", lambda groups: getattr(groups.a, count) == 0
        ),
        Condition(
            f"no row of the disadvantaged group {lack}",
            lambda groups: getattr(groups.d, count) == 0,
        ),
    )


def _single_outcome(count: str) -> Condition:
    def holds(groups: Comparison) -> Bools:
        rows = groups.a_strata.rows + groups.d_strata.rows
        accepted = getattr(groups.a_strata, count) + getattr(groups.d_strata, count)
        single: Bools = ((rows > 0) & ((accepted == 0) | (accepted == rows))).any(axis=-1)
        return single

    return Condition("a value of the group variable has rows of only one outcome", holds)


GROUPS = (
    Condition("the disadvantaged group has no rows", lambda groups: groups.d.rows == 0),
    Condition(
        "the advantaged group has no rows: every row is of the disadvantaged",
        lambda groups: groups.a.rows == 0,
    ),
)
LABELS = (
    *GROUPS,
    _nowhere("positives", "no row has the positive label"),
    _nowhere("negatives", "every row has the positive label"),
)
PREDICTIONS = (
    *GROUPS,
    _nowhere("predicted_positives", "no row is predicted positive"),
    _nowhere("predicted_negatives", "every row is predicted positive"),
)
POSITIVES = _per_group("positives", "has the positive label")
NEGATIVES = _per_group("negatives", "has a negative label")
ACCEPTED = _per_group("predicted_positives", "is predicted positive")
REJECTED = _per_group("predicted_negatives", "is predicted negative")
FALSE_POSITIVES = _per_group("false_positives", "is wrongly predicted positive")
LABEL_STRATA = _single_outcome("positives")
PREDICTED_STRATA = _single_outcome("predicted_positives")
LACKING_LABEL = Condition(
    "the disadvantaged group lacks a label that the advantaged has: KL is infinite",
    lambda groups: ((groups.a.labels > 0) & (groups.d.labels == 0)).any(axis=-1),
)
NO_BENEFIT = Condition(
    "every row is wrongly predicted negative, or there is none",
    lambda groups: (
        groups.a.rows + groups.d.rows == groups.a.false_negatives + groups.d.false_negatives
    ),
)


# Formulas of "Pre-training Bias Metrics" and "Post-training Data and Model Bias Metrics" in the
# Amazon SageMaker AI Developer Guide. The advantaged group is a, the disadvantaged one d; n_a
# counts rows, n_a(1) those with a positive label, n'_a(1) those predicted positive, (0) the others,
# and P_a(y) is the share of label y. KL, JS, LP, TVD and KS compare the whole distribution of any
# number of labels; they are distances without a direction. To the others all labels that are not
# positive count as negative. Which side of the neutral value is worse for d is the guide's reading.
Formula = Callable[[Comparison], Floats]  # NaN if a denominator is 0


def _rates(count: str, of: str, *, of_d_less_a: bool = False) -> Formula:
    """Returns the difference of a share of rows in the two groups, a's less d's."""

    def formula(groups: Comparison) -> Floats:
        sides = (groups.d, groups.a) if of_d_less_a else (groups.a, groups.d)
        one, other = (ratio(getattr(group, count), getattr(group, of)) for group in sides)
        return one - other

    return formula


def _conditional(rejected: str, accepted: str) -> Formula:
    """Returns the demographic disparity of strata, each weighted by its rows.

    It is the share of d in the rejected rows less that in the accepted ones; a stratum without rows
    has no weight. NaN if a stratum with rows has none rejected or none accepted.
    """

    def formula(groups: Comparison) -> Floats:
        a, d = groups.a_strata, groups.d_strata
        rows = a.rows + d.rows
        of_rejected, of_accepted = (
            ratio(getattr(d, count), getattr(a, count) + getattr(d, count))
            for count in (rejected, accepted)
        )
        weighted = np.where(rows > 0, rows * (of_rejected - of_accepted), 0.0)
        return ratio(weighted.sum(axis=-1), rows.sum(axis=-1))

    return formula


def _divergence(p: Floats, q: Floats) -> Floats:
    """KL(p, q) over the last axis, with 0 ln 0 = 0; NaN if q is 0 where p is not."""
    terms = np.where(p == 0, 0.0, p * np.log(ratio(np.where(p == 0, 1.0, p), q)))
    return np.asarray(terms.sum(axis=-1))


def jensen_shannon(groups: Comparison) -> Floats:
    """JS = (KL(P_a, P) + KL(P_d, P)) / 2, P = (P_a + P_d) / 2; from 0 to ln 2; 0: equal."""
    a, d = groups.a.shares, groups.d.shares
    middle = (a + d) / 2
    return (_divergence(a, middle) + _divergence(d, middle)) / 2


def disparate_impact(groups: Comparison) -> Floats:
    """DI = (n'_d(1) / n_d) / (n'_a(1) / n_a), from 0 up; less than 1: d is predicted it less."""
    of_a, of_d = (ratio(group.predicted_positives, group.rows) for group in (groups.a, groups.d))
    return ratio(of_d, of_a)


def generalized_entropy(groups: Comparison) -> Floats:
    """GE = (mean(b^2) / mean(b)^2 - 1) / 2 over all rows, b = y' - y + 1; 0: all have one benefit.

    b is 2 for a false positive, 0 for a false negative, 1 for the rest; alpha is 2. It is of the
    rows as a whole and equal for every group. The guide gives 0 to 0.5 as its range; where false
    negatives prevail it exceeds that, up to (n - 1) / 2.
    """
    rows = groups.a.rows + groups.d.rows
    doubled = groups.a.false_positives + groups.d.false_positives
    refused = groups.a.false_negatives + groups.d.false_negatives
    mean = ratio(rows + doubled - refused, rows)
    squares = ratio(rows + 3 * doubled - refused, rows)
    return (ratio(squares, mean**2) - 1) / 2


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What a bias metric says."""

    name: str  # Clarify's abbreviation, or a name of our own
    description: str  # its full name, as Clarify writes it
    stage: Stage  # bias of the labels or of the predictions
    neutral: float = 0.0  # its value if the groups do not differ, or that a group should have
    worse: Side = "above"  # the side of `neutral` on which the disadvantaged group is worse off
    compares: bool = True  # whether it compares the two groups


@dataclass(frozen=True, kw_only=True)
class Metric(Meaning):
    """A bias metric that is computed from counts."""

    formula: Formula  # of two groups
    # The conditions of an undefined value; the first that holds is the reason.
    undefined: tuple[Condition, ...]
    conditional: bool = False  # whether it needs a group variable
    # The counts of `Group` in the formula; with few rows of one of them, in either group, its
    # interval is unreliable.
    kinds: tuple[str, ...] = ()


def _metric(
    stage: Stage,
    name: str,
    title: str,
    formula: Formula,
    undefined: tuple[Condition, ...],
    *,
    kinds: str = "",
    **more: Any,
) -> Metric:
    """Returns a row of the table; `title` is the full name without the abbreviation."""
    return Metric(
        name=name, description=f"{title} ({name})", stage=stage, formula=formula,
        undefined=undefined, kinds=tuple(kinds.split()), **more,
    )  # fmt: skip


_label = partial(_metric, "pre_training")
_prediction = partial(_metric, "post_training")
METRIC_LIST = (
    # (n_a - n_d) / (n_a + n_d), from -1 to 1; more than 0: d has fewer rows.
    _label("CI", "Class Imbalance",
           lambda groups: ratio(groups.a.rows - groups.d.rows, groups.a.rows + groups.d.rows),
           GROUPS),
    # n_a(1) / n_a - n_d(1) / n_d, from -1 to 1; more than 0: d has the label less often.
    _label("DPL", "Difference in Positive Proportions in Labels", _rates("positives", "rows"),
           LABELS, kinds=_SPLIT),
    # Sum over y of P_a(y) ln(P_a(y) / P_d(y)), from 0 up, in nats; NaN if d lacks a label of a.
    _label("KL", "Kullback-Leibler Divergence",
           lambda groups: _divergence(groups.a.shares, groups.d.shares),
           (*LABELS, LACKING_LABEL), kinds="labels", worse="either"),
    _label("JS", "Jensen-Shannon Divergence", jensen_shannon, LABELS, kinds="labels",
           worse="either"),
    # (Sum over y of (P_a(y) - P_d(y))^2)^(1/2), from 0 to the root of 2; 0: equal.
    _label("LP", "L-p Norm",
           lambda groups: np.sqrt(np.square(groups.a.shares - groups.d.shares).sum(axis=-1)),
           LABELS, kinds="labels", worse="either"),
    # Sum over y of |P_a(y) - P_d(y)| / 2, from 0 to 1; 0: equal distributions.
    _label("TVD", "Total Variation Distance",
           lambda groups: np.abs(groups.a.shares - groups.d.shares).sum(axis=-1) / 2,
           LABELS, kinds="labels", worse="either"),
    # Largest |P_a(y) - P_d(y)| over y, from 0 to 1; 0: equal distributions.
    _label("KS", "Kolmogorov-Smirnov Distance",
           lambda groups: np.abs(groups.a.shares - groups.d.shares).max(axis=-1),
           LABELS, kinds="labels", worse="either"),
    # Sum over strata i of n_i / n (n_di(0) / n_i(0) - n_di(1) / n_i(1)), from -1 to 1; more than 0:
    # within the strata d makes up more of the rejected rows than of the accepted ones.
    _label("CDDL", "Conditional Demographic Disparity in Labels",
           _conditional("negatives", "positives"), (*LABELS, LABEL_STRATA), kinds=_SPLIT,
           conditional=True),
    # n'_a(1) / n_a - n'_d(1) / n_d, from -1 to 1; more than 0: d is predicted it less.
    _prediction("DPPL", "Difference in Positive Proportions in Predicted Labels",
                _rates("predicted_positives", "rows"), PREDICTIONS, kinds=_PREDICTED),
    _prediction("DI", "Disparate Impact", disparate_impact,
                (*PREDICTIONS, ACCEPTED[0]), kinds=_PREDICTED, neutral=1.0, worse="below"),
    # n_a(1) / n'_a(1) - n_d(1) / n'_d(1), unbounded; less than 0: of d fewer are accepted for each
    # row that has the label than of a.
    _prediction("DCA", "Difference in Conditional Acceptance",
                _rates("positives", "predicted_positives"), (*PREDICTIONS, *ACCEPTED),
                kinds="true_positives false_positives false_negatives", worse="below"),
    # n_d(0) / n'_d(0) - n_a(0) / n'_a(0), unbounded; less than 0: of d more are rejected for each
    # row that lacks the label than of a.
    _prediction("DCR", "Difference in Conditional Rejection",
                _rates("negatives", "predicted_negatives", of_d_less_a=True),
                (*PREDICTIONS, *REJECTED), kinds="true_negatives false_positives false_negatives",
                worse="below"),
    # TP_a / n_a(1) - TP_d / n_d(1), from -1 to 1; more than 0: d's positives are missed.
    _prediction("RD", "Recall Difference", _rates("true_positives", "positives"),
                (*PREDICTIONS, *POSITIVES), kinds="true_positives false_negatives"),
    # TN_d / n_d(0) - TN_a / n_a(0), from -1 to 1; more than 0: a is favoured wrongly more.
    _prediction("SD", "Specificity Difference",
                _rates("true_negatives", "negatives", of_d_less_a=True),
                (*PREDICTIONS, *NEGATIVES), kinds="true_negatives false_positives"),
    # TP_a / n'_a(1) - TP_d / n'_d(1), from -1 to 1; more than 0: d's acceptances err.
    _prediction("DAR", "Difference in Acceptance Rates",
                _rates("true_positives", "predicted_positives"),
                (*PREDICTIONS, *ACCEPTED), kinds="true_positives false_positives"),
    # TN_d / n'_d(0) - TN_a / n'_a(0), from -1 to 1; less than 0: d's rejections err more.
    _prediction("DRR", "Difference in Rejection Rates",
                _rates("true_negatives", "predicted_negatives", of_d_less_a=True),
                (*PREDICTIONS, *REJECTED), kinds="true_negatives false_negatives", worse="below"),
    # (TP_a + TN_a) / n_a - (TP_d + TN_d) / n_d, from -1 to 1; more than 0: d errs more.
    _prediction("AD", "Accuracy Difference", _rates("right", "rows"), PREDICTIONS,
                kinds="right wrong"),
    # CDDL with predictions in the labels' place, from -1 to 1.
    _prediction("CDDPL", "Conditional Demographic Disparity in Predicted Labels",
                _conditional("predicted_negatives", "predicted_positives"),
                (*PREDICTIONS, PREDICTED_STRATA), kinds=_PREDICTED, conditional=True),
    # FN_d / FP_d - FN_a / FP_a, unbounded; more than 0: d errs by refusals more.
    _prediction("TE", "Treatment Equality",
                _rates("false_negatives", "false_positives", of_d_less_a=True),
                (*PREDICTIONS, *FALSE_POSITIVES), kinds="false_negatives false_positives"),
    _prediction("GE", "Generalized Entropy", generalized_entropy, (NO_BENEFIT,),
                worse="either", compares=False),
)  # fmt: skip


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
