"""The recipe's sections `evaluate` and `quality`: how a model is measured, what it must reach."""

from typing import Annotated, Literal, get_args

from pydantic import Field, WithJsonSchema, model_validator

from sashiko.core.plugin_names import plugin_name
from sashiko.core.yaml_models import Frozen

Probability = Annotated[float, Field(gt=0, lt=1)]
QualityMetric = Literal[
    "accuracy", "balanced_accuracy", "f1", "auc", "brier_score", "expected_calibration_error"
]
QUALITY_METRICS: tuple[str, ...] = get_args(QualityMetric)
GatedMetric = Annotated[
    str,
    plugin_name("metrics", known=QUALITY_METRICS),
    WithJsonSchema({"anyOf": [{"enum": list(QUALITY_METRICS)}, {"type": "string"}]}),
]


class ThresholdSection(Frozen):
    """The decision threshold: chosen on the validation split, the same for everybody."""

    policy: Literal["maximize", "fixed"] = "maximize"
    metric: Literal["accuracy", "balanced_accuracy", "f1"] = "balanced_accuracy"
    value: Probability | None = Field(None, description="with policy `fixed`")

    @model_validator(mode="after")
    def _fixed_has_a_value(self) -> "ThresholdSection":
        if (self.policy == "fixed") != (self.value is not None):
            raise ValueError("`value` goes with policy `fixed`, and only with it")
        return self


class SlicesSection(Frozen):
    """The parts of the test split that are looked at: each training column's values and bands."""

    metric: Literal["accuracy", "balanced_accuracy", "f1", "auc", "brier_score"] = Field(
        "balanced_accuracy", description="by which slices are ordered, the worst first"
    )
    minimum_rows: int = Field(50, ge=10, description="below, a slice is too small to judge")


class EvaluateSection(Frozen):
    """How the artifact is scored."""

    threshold: ThresholdSection = ThresholdSection()
    slices: SlicesSection = SlicesSection()
    minimum_effect: float = Field(
        0.005,
        ge=0,
        lt=1,
        description="a model is called better than another one only if the interval of its lead "
        "lies above this, and no worse if it lies above minus this",
    )
    bootstrap_replicates: int = Field(1000, ge=100)
    seed: int = 0


class QualityGate(Frozen):
    """A bound on a metric of the test split, or on its lead over a baseline."""

    metric: GatedMetric = Field(
        description="one of the engine's, or the project's own as package.module:attribute"
    )
    minimum: float | None = None
    maximum: float | None = None
    better_than: Literal["majority", "tfidf_logistic_regression", "champion"] | None = Field(
        None, description="the interval of the paired difference must lie above `margin`"
    )
    margin: float = Field(0.0, description="with `better_than`; below 0 it asks for `no worse`")
    reason: str

    @model_validator(mode="after")
    def _one_rule(self) -> "QualityGate":
        bounded = self.minimum is not None or self.maximum is not None
        if bounded == (self.better_than is not None):
            raise ValueError("give `minimum` and/or `maximum`, or `better_than`, and not both")
        return self


class QualitySection(Frozen):
    """The model-quality gates."""

    gates: tuple[QualityGate, ...] = Field(min_length=1)

    @property
    def own_metrics(self) -> tuple[str, ...]:
        """The project's own metrics that gates name, each once."""
        named = dict.fromkeys(gate.metric for gate in self.gates)
        return tuple(name for name in named if name not in QUALITY_METRICS)
