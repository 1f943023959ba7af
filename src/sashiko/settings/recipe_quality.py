"""The recipe's `evaluate`, `quality` and `waivers`: measurement and gates of a model."""

from datetime import date
from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field, WithJsonSchema, model_validator

from sashiko.base.plugin_names import plugin_name
from sashiko.base.yaml_models import Frozen


class Waiver(Frozen):
    """Lets a run continue after a failed check of a model gate; the verdict stays failed.

    The model gates are model-quality, bias and device. Data checks cannot be waived: change the
    contract.
    """

    check: str = Field(
        min_length=1, description="the failed check's name, such as `DI customer_gender=female`"
    )
    reason: str = Field(
        min_length=10, max_length=200, description="the reason; recorded with the model"
    )
    owner: str = Field(min_length=2, max_length=60, description="the person responsible")
    expires: date = Field(description="the last day on which it is valid, such as 2027-03-31 (UTC)")


Probability = Annotated[float, Field(gt=0, lt=1)]
QualityMetric = Literal[
    "accuracy", "balanced_accuracy", "precision", "recall", "f1", "auc", "average_precision",
    "brier_score", "expected_calibration_error",
]  # fmt: skip
ClassMetric = Literal[
    "accuracy", "balanced_accuracy", "macro_f1", "worst_class_recall", "log_loss", "brier_score",
    "expected_calibration_error", "classwise_calibration_error",
]  # fmt: skip
NumberMetric = Literal["rmse", "mae", "median_absolute_error", "r2", "interval_coverage"]
BINARY_METRICS: tuple[str, ...] = get_args(QualityMetric)  # of two classes
CLASS_METRICS: tuple[str, ...] = get_args(ClassMetric)  # of more, beside one of `TOP_METRICS`
# Of more than two classes, whether a row's class is among the k most probable ones, by k.
TOP_METRICS = {k: f"top_{k}_accuracy" for k in range(2, 11)}
NUMBER_METRICS: tuple[str, ...] = get_args(NumberMetric)
SliceMetric = Literal[
    "accuracy", "balanced_accuracy", "f1", "auc", "macro_f1", "log_loss", "brier_score", "rmse",
    "mae",
]  # fmt: skip
QUALITY_METRICS = tuple(
    dict.fromkeys((*BINARY_METRICS, *CLASS_METRICS, *TOP_METRICS.values(), *NUMBER_METRICS))
)
# Measured on texts that Evaluate scores for it: of the candidate alone, at its own threshold.
INJECTION_FLIP_RATE = "injection_flip_rate"
# Of the policy `evaluate.abstain`, and of the candidate alone.
SELECTIVE_COVERAGE, SELECTIVE_ACCURACY, AURC = SELECTIVE_METRICS = (
    "coverage", "selective_accuracy", "aurc",
)  # fmt: skip
GATED_METRICS = (*QUALITY_METRICS, INJECTION_FLIP_RATE, *SELECTIVE_METRICS)
CLASS_GATED = ("recall", "precision", "f1")  # metrics of a gate on one class
GatedMetric = Annotated[
    str,
    plugin_name("metrics", known=GATED_METRICS),
    WithJsonSchema({"anyOf": [{"enum": list(GATED_METRICS)}, {"type": "string"}]}),
]


class ThresholdSection(Frozen):
    """The decision threshold: chosen on the validation split, the same for all groups."""

    policy: Literal["maximize", "fixed"] = "maximize"
    metric: Literal["accuracy", "balanced_accuracy", "f1"] = "balanced_accuracy"
    value: Probability | None = Field(None, description="with policy `fixed`")

    @model_validator(mode="after")
    def _check_fixed_value(self) -> "ThresholdSection":
        if (self.policy == "fixed") != (self.value is not None):
            raise ValueError("policy `fixed` requires `value`; other policies refuse it")
        return self


class AbstainSection(Frozen):
    """Which rows of more than two classes are not answered: those with no class probable enough."""

    below: float | None = Field(
        None, ge=0, lt=1, description="the probability below which the likeliest class is not given"
    )
    accuracy: Probability | None = Field(
        None,
        description="chooses that probability on validation: the lowest at which this share of the "
        "answers is right",
    )

    @model_validator(mode="after")
    def _check_single_rule(self) -> "AbstainSection":
        if (self.below is None) == (self.accuracy is None):
            raise ValueError("give either `below` or `accuracy`")
        return self


class SlicesSection(Frozen):
    """Slices of the test split: the values or bands of each training column."""

    metric: SliceMetric = Field(
        "balanced_accuracy",
        description="orders the slices, the worst first; the default stands for mae of a number",
    )
    minimum_rows: int = Field(50, ge=10, description="smaller slices are not judged")


class EvaluateSection(Frozen):
    """How the artifact is scored."""

    threshold: ThresholdSection = ThresholdSection()
    abstain: AbstainSection | None = Field(
        None,
        exclude_if=lambda section: section is None,
        description="of more than two classes: answer only rows whose likeliest class is probable "
        "enough; without it all are answered",
    )
    top_k: int = Field(
        2,
        ge=min(TOP_METRICS),
        le=max(TOP_METRICS),
        exclude_if=lambda k: k == min(TOP_METRICS),
        description="of more than two classes: measure whether a row's class is among the k most "
        "probable ones, as top_<k>_accuracy",
    )
    slices: SlicesSection = SlicesSection()
    minimum_effect: float = Field(
        0.005,
        ge=0,
        lt=1,
        description="a model is better than another one if the interval of its lead lies above "
        "this, and no worse if it lies above minus this; for errors of a number, in standard "
        "deviations of the label",
    )
    bootstrap_replicates: int = Field(1000, ge=100)
    seed: int = 0
    injections: int = Field(
        0,
        ge=0,
        le=200,
        exclude_if=lambda texts: not texts,
        description="test rows to score with a prompt injection in their text, and with a "
        "neutral sentence; injection_flip_rate: the share of decisions that "
        "injections change, beyond what that sentence changes; 0: none",
    )


CLASS_BASELINES = ("majority", "tfidf_logistic_regression")
NUMBER_BASELINES = ("mean", "tfidf_ridge_regression")
Baseline = Literal[
    "majority", "mean", "tfidf_logistic_regression", "tfidf_ridge_regression", "champion"
]


class QualityGate(Frozen):
    """A bound on a metric of the test split, or on its lead over a baseline."""

    model_config = ConfigDict(serialize_by_alias=True)

    metric: GatedMetric = Field(
        description="a built-in metric, or the project's own as package.module:attribute"
    )
    of_class: str | None = Field(
        None,
        alias="class",
        exclude_if=lambda name: name is None,
        description="a class of the contract, of which `metric` is the recall, precision or f1",
    )
    minimum: float | None = None
    maximum: float | None = None
    better_than: Baseline | None = Field(
        None,
        description="the interval of the paired difference must lie above `margin`; mean and "
        "tfidf_ridge_regression are for a number, majority and the other one for classes",
    )
    margin: float = Field(0.0, description="with `better_than`; below 0 it means `no worse`")
    reason: str

    @model_validator(mode="after")
    def _check_single_rule(self) -> "QualityGate":
        bounded = self.minimum is not None or self.maximum is not None
        if bounded == (self.better_than is not None):
            raise ValueError("give either `minimum` and/or `maximum`, or `better_than`")
        if self.of_class is not None and (self.better_than or self.metric not in CLASS_GATED):
            raise ValueError(
                f"`class` goes with a bound on one of {', '.join(CLASS_GATED)}, and only with it"
            )
        alone = (INJECTION_FLIP_RATE, "interval_coverage", *SELECTIVE_METRICS)
        if self.better_than and self.metric in alone:
            side = "maximum" if self.metric in (INJECTION_FLIP_RATE, AURC) else "minimum"
            raise ValueError(
                f"`{self.metric}` is measured of the model alone: give `{side}`, not `better_than`"
            )
        return self


class OwnGate(Frozen):
    """A gate of the project's own code, for a requirement that is not a metric with a bound."""

    gate: Annotated[str, plugin_name("gates")] = Field(
        description="package.module:attribute, or an entry point of the group sashiko.gates"
    )
    options: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="passed to the gate, such as its bound"
    )
    reason: str


class QualitySection(Frozen):
    """The model-quality gates. The steps' inputs change only if there are own gates."""

    gates: tuple[QualityGate, ...] = Field(min_length=1)
    own_gates: tuple[OwnGate, ...] = Field(
        (), exclude_if=lambda gates: not gates, description="gates of the project's own code"
    )

    @property
    def own_metrics(self) -> tuple[str, ...]:
        """The project's own metrics in the gates, without duplicates."""
        named = dict.fromkeys(gate.metric for gate in self.gates)
        return tuple(name for name in named if name not in GATED_METRICS)
