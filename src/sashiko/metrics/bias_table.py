"""The table of Clarify's count-based bias metrics: name, formula, when it is undefined."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sashiko.metrics import label_bias, prediction_bias
from sashiko.metrics.arrays import Floats
from sashiko.metrics.groups import Comparison
from sashiko.metrics.undefined import (
    ACCEPTED,
    FALSE_POSITIVES,
    GROUPS,
    LABEL_STRATA,
    LABELS,
    LACKING_LABEL,
    NEGATIVES,
    NO_BENEFIT,
    POSITIVES,
    PREDICTED_STRATA,
    PREDICTIONS,
    REJECTED,
    Condition,
)

Stage = Literal["pre_training", "post_training"]
Side = Literal["above", "below", "either"]


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
        kinds: the counts of `Group`, or its labels', whose shares of each other the formula is made
            of; with few rows of one of them, in either group, its interval is not to be relied on.
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
    kinds: tuple[str, ...] = ()


METRIC_LIST = (
    Metric(
        name="CI",
        description="Class Imbalance (CI)",
        stage="pre_training",
        formula=label_bias.class_imbalance,
        undefined=GROUPS,
    ),
    Metric(
        name="DPL",
        description="Difference in Positive Proportions in Labels (DPL)",
        stage="pre_training",
        formula=label_bias.label_difference,
        undefined=LABELS,
        kinds=("positives", "negatives"),
    ),
    Metric(
        name="KL",
        description="Kullback-Leibler Divergence (KL)",
        stage="pre_training",
        formula=label_bias.kullback_leibler,
        undefined=(
            *LABELS,
            LACKING_LABEL,
        ),
        worse="either",
        kinds=("labels",),
    ),
    Metric(
        name="JS",
        description="Jensen-Shannon Divergence (JS)",
        stage="pre_training",
        formula=label_bias.jensen_shannon,
        undefined=LABELS,
        worse="either",
        kinds=("labels",),
    ),
    Metric(
        name="LP",
        description="L-p Norm (LP)",
        stage="pre_training",
        formula=label_bias.lp_norm,
        undefined=LABELS,
        worse="either",
        kinds=("labels",),
    ),
    Metric(
        name="TVD",
        description="Total Variation Distance (TVD)",
        stage="pre_training",
        formula=label_bias.total_variation,
        undefined=LABELS,
        worse="either",
        kinds=("labels",),
    ),
    Metric(
        name="KS",
        description="Kolmogorov-Smirnov Distance (KS)",
        stage="pre_training",
        formula=label_bias.kolmogorov_smirnov,
        undefined=LABELS,
        worse="either",
        kinds=("labels",),
    ),
    Metric(
        name="CDDL",
        description="Conditional Demographic Disparity in Labels (CDDL)",
        stage="pre_training",
        formula=label_bias.conditional_label_disparity,
        undefined=(*LABELS, LABEL_STRATA),
        conditional=True,
        kinds=("positives", "negatives"),
    ),
    Metric(
        name="DPPL",
        description="Difference in Positive Proportions in Predicted Labels (DPPL)",
        stage="post_training",
        formula=prediction_bias.predicted_difference,
        undefined=PREDICTIONS,
        kinds=("predicted_positives", "predicted_negatives"),
    ),
    Metric(
        name="DI",
        description="Disparate Impact (DI)",
        stage="post_training",
        formula=prediction_bias.disparate_impact,
        undefined=(*PREDICTIONS, ACCEPTED[0]),
        neutral=1.0,
        worse="below",
        kinds=("predicted_positives", "predicted_negatives"),
    ),
    Metric(
        name="DCA",
        description="Difference in Conditional Acceptance (DCA)",
        stage="post_training",
        formula=prediction_bias.conditional_acceptance,
        undefined=(*PREDICTIONS, *ACCEPTED),
        worse="below",
        kinds=("true_positives", "false_positives", "false_negatives"),
    ),
    Metric(
        name="DCR",
        description="Difference in Conditional Rejection (DCR)",
        stage="post_training",
        formula=prediction_bias.conditional_rejection,
        undefined=(*PREDICTIONS, *REJECTED),
        worse="below",
        kinds=("true_negatives", "false_positives", "false_negatives"),
    ),
    Metric(
        name="RD",
        description="Recall Difference (RD)",
        stage="post_training",
        formula=prediction_bias.recall_difference,
        undefined=(*PREDICTIONS, *POSITIVES),
        kinds=("true_positives", "false_negatives"),
    ),
    Metric(
        name="SD",
        description="Specificity Difference (SD)",
        stage="post_training",
        formula=prediction_bias.specificity_difference,
        undefined=(*PREDICTIONS, *NEGATIVES),
        kinds=("true_negatives", "false_positives"),
    ),
    Metric(
        name="DAR",
        description="Difference in Acceptance Rates (DAR)",
        stage="post_training",
        formula=prediction_bias.acceptance_rates,
        undefined=(*PREDICTIONS, *ACCEPTED),
        kinds=("true_positives", "false_positives"),
    ),
    Metric(
        name="DRR",
        description="Difference in Rejection Rates (DRR)",
        stage="post_training",
        formula=prediction_bias.rejection_rates,
        undefined=(*PREDICTIONS, *REJECTED),
        worse="below",
        kinds=("true_negatives", "false_negatives"),
    ),
    Metric(
        name="AD",
        description="Accuracy Difference (AD)",
        stage="post_training",
        formula=prediction_bias.accuracy_difference,
        undefined=PREDICTIONS,
        kinds=("right", "wrong"),
    ),
    Metric(
        name="CDDPL",
        description="Conditional Demographic Disparity in Predicted Labels (CDDPL)",
        stage="post_training",
        formula=prediction_bias.conditional_predicted_disparity,
        undefined=(
            *PREDICTIONS,
            PREDICTED_STRATA,
        ),
        conditional=True,
        kinds=("predicted_positives", "predicted_negatives"),
    ),
    Metric(
        name="TE",
        description="Treatment Equality (TE)",
        stage="post_training",
        formula=prediction_bias.treatment_equality,
        undefined=(*PREDICTIONS, *FALSE_POSITIVES),
        kinds=("false_negatives", "false_positives"),
    ),
    Metric(
        name="GE",
        description="Generalized Entropy (GE)",
        stage="post_training",
        formula=prediction_bias.generalized_entropy,
        undefined=(NO_BENEFIT,),
        worse="either",
        compares=False,
    ),
)
