"""The table of Clarify's count-based bias metrics: name, formula, undefined conditions."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from sashiko.bias.metrics import label_bias, prediction_bias
from sashiko.bias.metrics.groups import Comparison
from sashiko.bias.metrics.undefined import (
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
from sashiko.evaluation.metrics.arrays import Floats

Stage = Literal["pre_training", "post_training"]
Side = Literal["above", "below", "either"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A bias metric."""

    name: str  # Clarify's abbreviation
    description: str  # its full name, as Clarify writes it
    stage: Stage  # bias of the labels or of the predictions
    formula: Callable[[Comparison], Floats]  # of two groups; NaN if a denominator is 0
    # The conditions of an undefined value; the first that holds is the reason.
    undefined: tuple[Condition, ...]
    neutral: float = 0.0  # its value if the groups do not differ
    worse: Side = "above"  # the side of `neutral` on which the disadvantaged group is worse off
    conditional: bool = False  # whether it needs a group variable
    compares: bool = True  # whether it compares the two groups
    # The counts of `Group` in the formula; with few rows of one of them, in either group, its
    # interval is unreliable.
    kinds: tuple[str, ...] = ()


def _metric(
    stage: Stage,
    name: str,
    title: str,
    formula: Callable[[Comparison], Floats],
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
_SPLIT = "positives negatives"
_PREDICTED = "predicted_positives predicted_negatives"
METRIC_LIST = (
    _label("CI", "Class Imbalance", label_bias.class_imbalance, GROUPS),
    _label("DPL", "Difference in Positive Proportions in Labels", label_bias.label_difference,
           LABELS, kinds=_SPLIT),
    _label("KL", "Kullback-Leibler Divergence", label_bias.kullback_leibler,
           (*LABELS, LACKING_LABEL), kinds="labels", worse="either"),
    _label("JS", "Jensen-Shannon Divergence", label_bias.jensen_shannon, LABELS, kinds="labels",
           worse="either"),
    _label("LP", "L-p Norm", label_bias.lp_norm, LABELS, kinds="labels", worse="either"),
    _label("TVD", "Total Variation Distance", label_bias.total_variation, LABELS, kinds="labels",
           worse="either"),
    _label("KS", "Kolmogorov-Smirnov Distance", label_bias.kolmogorov_smirnov, LABELS,
           kinds="labels", worse="either"),
    _label("CDDL", "Conditional Demographic Disparity in Labels",
           label_bias.conditional_label_disparity, (*LABELS, LABEL_STRATA), kinds=_SPLIT,
           conditional=True),
    _prediction("DPPL", "Difference in Positive Proportions in Predicted Labels",
                prediction_bias.predicted_difference, PREDICTIONS, kinds=_PREDICTED),
    _prediction("DI", "Disparate Impact", prediction_bias.disparate_impact,
                (*PREDICTIONS, ACCEPTED[0]), kinds=_PREDICTED, neutral=1.0, worse="below"),
    _prediction("DCA", "Difference in Conditional Acceptance",
                prediction_bias.conditional_acceptance, (*PREDICTIONS, *ACCEPTED),
                kinds="true_positives false_positives false_negatives", worse="below"),
    _prediction("DCR", "Difference in Conditional Rejection", prediction_bias.conditional_rejection,
                (*PREDICTIONS, *REJECTED), kinds="true_negatives false_positives false_negatives",
                worse="below"),
    _prediction("RD", "Recall Difference", prediction_bias.recall_difference,
                (*PREDICTIONS, *POSITIVES), kinds="true_positives false_negatives"),
    _prediction("SD", "Specificity Difference", prediction_bias.specificity_difference,
                (*PREDICTIONS, *NEGATIVES), kinds="true_negatives false_positives"),
    _prediction("DAR", "Difference in Acceptance Rates", prediction_bias.acceptance_rates,
                (*PREDICTIONS, *ACCEPTED), kinds="true_positives false_positives"),
    _prediction("DRR", "Difference in Rejection Rates", prediction_bias.rejection_rates,
                (*PREDICTIONS, *REJECTED), kinds="true_negatives false_negatives", worse="below"),
    _prediction("AD", "Accuracy Difference", prediction_bias.accuracy_difference, PREDICTIONS,
                kinds="right wrong"),
    _prediction("CDDPL", "Conditional Demographic Disparity in Predicted Labels",
                prediction_bias.conditional_predicted_disparity, (*PREDICTIONS, PREDICTED_STRATA),
                kinds=_PREDICTED, conditional=True),
    _prediction("TE", "Treatment Equality", prediction_bias.treatment_equality,
                (*PREDICTIONS, *FALSE_POSITIVES), kinds="false_negatives false_positives"),
    _prediction("GE", "Generalized Entropy", prediction_bias.generalized_entropy, (NO_BENEFIT,),
                worse="either", compares=False),
)  # fmt: skip
