"""The table of Clarify's count-based bias metrics: name, formula, when it is undefined."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sashiko.metrics import label_bias, prediction_bias
from sashiko.metrics.arrays import Bools, Floats
from sashiko.metrics.groups import Comparison, Group

Stage = Literal["pre_training", "post_training"]
Side = Literal["above", "below", "either"]


@dataclass(frozen=True)
class Condition:
    """What leaves a metric undefined.

    Attributes:
        reason: in words.
        holds: of a comparison of shape (...,) whether it is so, shape (...,).
    """

    reason: str
    holds: Callable[[Comparison], Bools]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A bias metric.

    Attributes:
        name: Clarify's abbreviation.
        description: its full name, as Clarify writes it.
        stage: whether it is of the labels or of the predictions.
        formula: of two groups; NaN where a denominator is 0.
        undefined: what leaves it undefined, the first that holds is the reason.
        neutral: its value where the groups do not differ.
        worse: on which side of `neutral` the disadvantaged group is worse off.
        conditional: whether it needs a group variable.
        compares: whether it sets one group against the other.
    """

    name: str
    description: str
    stage: Stage
    formula: Callable[[Comparison], Floats]
    undefined: tuple[Condition, ...]
    neutral: float = 0.0
    worse: Side = "above"
    conditional: bool = False
    compares: bool = True


def _both(count: Callable[[Group], Floats], lack: str) -> tuple[Condition, Condition]:
    """Each group must have such rows, by which its rate is divided."""
    return (
        Condition(f"no row of the advantaged group {lack}", lambda of: count(of.a) == 0),
        Condition(f"no row of the disadvantaged group {lack}", lambda of: count(of.d) == 0),
    )


def _one_outcome_alone(of: Comparison, count: Callable[[Group], Floats]) -> Bools:
    rows = of.a_strata.rows + of.d_strata.rows
    accepted = count(of.a_strata) + count(of.d_strata)
    alone: Bools = ((rows > 0) & ((accepted == 0) | (accepted == rows))).any(axis=-1)
    return alone


def _positives(group: Group) -> Floats:
    return group.positives


def _predicted(group: Group) -> Floats:
    return group.predicted_positives


_GROUPS = (
    Condition("the disadvantaged group has no rows", lambda of: of.d.rows == 0),
    Condition(
        "the advantaged group has no rows: every row is of the disadvantaged",
        lambda of: of.a.rows == 0,
    ),
)
_LABELS = (
    *_GROUPS,
    Condition("no row has the positive label", lambda of: of.a.positives + of.d.positives == 0),
    Condition("every row has the positive label", lambda of: of.a.negatives + of.d.negatives == 0),
)
_PREDICTIONS = (
    *_GROUPS,
    Condition(
        "no row is predicted positive",
        lambda of: of.a.predicted_positives + of.d.predicted_positives == 0,
    ),
    Condition(
        "every row is predicted positive",
        lambda of: of.a.predicted_negatives + of.d.predicted_negatives == 0,
    ),
)
_STRATUM = "a value of the group variable has rows of one outcome alone"
_POSITIVES = _both(_positives, "has the positive label")
_NEGATIVES = _both(lambda group: group.negatives, "has a negative label")
_PREDICTED = _both(_predicted, "is predicted positive")
_PREDICTED_NOT = _both(lambda group: group.predicted_negatives, "is predicted negative")
_FALSE_POSITIVES = _both(lambda group: group.false_positives, "is wrongly predicted positive")

METRIC_LIST = (
    Metric(
        name="CI",
        description="Class Imbalance (CI)",
        stage="pre_training",
        formula=label_bias.class_imbalance,
        undefined=_GROUPS,
    ),
    Metric(
        name="DPL",
        description="Difference in Positive Proportions in Labels (DPL)",
        stage="pre_training",
        formula=label_bias.label_difference,
        undefined=_LABELS,
    ),
    Metric(
        name="KL",
        description="Kullback-Leibler Divergence (KL)",
        stage="pre_training",
        formula=label_bias.kullback_leibler,
        undefined=(
            *_LABELS,
            Condition(
                "the disadvantaged group lacks a label that the advantaged has: KL is infinite",
                lambda of: ((of.a.labels > 0) & (of.d.labels == 0)).any(axis=-1),
            ),
        ),
        worse="either",
    ),
    Metric(
        name="JS",
        description="Jensen-Shannon Divergence (JS)",
        stage="pre_training",
        formula=label_bias.jensen_shannon,
        undefined=_LABELS,
        worse="either",
    ),
    Metric(
        name="LP",
        description="L-p Norm (LP)",
        stage="pre_training",
        formula=label_bias.lp_norm,
        undefined=_LABELS,
        worse="either",
    ),
    Metric(
        name="TVD",
        description="Total Variation Distance (TVD)",
        stage="pre_training",
        formula=label_bias.total_variation,
        undefined=_LABELS,
        worse="either",
    ),
    Metric(
        name="KS",
        description="Kolmogorov-Smirnov Distance (KS)",
        stage="pre_training",
        formula=label_bias.kolmogorov_smirnov,
        undefined=_LABELS,
        worse="either",
    ),
    Metric(
        name="CDDL",
        description="Conditional Demographic Disparity in Labels (CDDL)",
        stage="pre_training",
        formula=label_bias.conditional_label_disparity,
        undefined=(*_LABELS, Condition(_STRATUM, lambda of: _one_outcome_alone(of, _positives))),
        conditional=True,
    ),
    Metric(
        name="DPPL",
        description="Difference in Positive Proportions in Predicted Labels (DPPL)",
        stage="post_training",
        formula=prediction_bias.predicted_difference,
        undefined=_PREDICTIONS,
    ),
    Metric(
        name="DI",
        description="Disparate Impact (DI)",
        stage="post_training",
        formula=prediction_bias.disparate_impact,
        undefined=(*_PREDICTIONS, _PREDICTED[0]),
        neutral=1.0,
        worse="below",
    ),
    Metric(
        name="DCA",
        description="Difference in Conditional Acceptance (DCA)",
        stage="post_training",
        formula=prediction_bias.conditional_acceptance,
        undefined=(*_PREDICTIONS, *_PREDICTED),
        worse="below",
    ),
    Metric(
        name="DCR",
        description="Difference in Conditional Rejection (DCR)",
        stage="post_training",
        formula=prediction_bias.conditional_rejection,
        undefined=(*_PREDICTIONS, *_PREDICTED_NOT),
        worse="below",
    ),
    Metric(
        name="RD",
        description="Recall Difference (RD)",
        stage="post_training",
        formula=prediction_bias.recall_difference,
        undefined=(*_PREDICTIONS, *_POSITIVES),
    ),
    Metric(
        name="SD",
        description="Specificity Difference (SD)",
        stage="post_training",
        formula=prediction_bias.specificity_difference,
        undefined=(*_PREDICTIONS, *_NEGATIVES),
    ),
    Metric(
        name="DAR",
        description="Difference in Acceptance Rates (DAR)",
        stage="post_training",
        formula=prediction_bias.acceptance_rates,
        undefined=(*_PREDICTIONS, *_PREDICTED),
    ),
    Metric(
        name="DRR",
        description="Difference in Rejection Rates (DRR)",
        stage="post_training",
        formula=prediction_bias.rejection_rates,
        undefined=(*_PREDICTIONS, *_PREDICTED_NOT),
        worse="below",
    ),
    Metric(
        name="AD",
        description="Accuracy Difference (AD)",
        stage="post_training",
        formula=prediction_bias.accuracy_difference,
        undefined=_PREDICTIONS,
    ),
    Metric(
        name="CDDPL",
        description="Conditional Demographic Disparity in Predicted Labels (CDDPL)",
        stage="post_training",
        formula=prediction_bias.conditional_predicted_disparity,
        undefined=(
            *_PREDICTIONS,
            Condition(_STRATUM, lambda of: _one_outcome_alone(of, _predicted)),
        ),
        conditional=True,
    ),
    Metric(
        name="TE",
        description="Treatment Equality (TE)",
        stage="post_training",
        formula=prediction_bias.treatment_equality,
        undefined=(*_PREDICTIONS, *_FALSE_POSITIVES),
    ),
    Metric(
        name="GE",
        description="Generalized Entropy (GE)",
        stage="post_training",
        formula=prediction_bias.generalized_entropy,
        undefined=(
            Condition(
                "every row is wrongly predicted negative, or there is none",
                lambda of: of.a.rows + of.d.rows == of.a.false_negatives + of.d.false_negatives,
            ),
        ),
        worse="either",
        compares=False,
    ),
)
