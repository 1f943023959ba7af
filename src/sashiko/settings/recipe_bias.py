"""A recipe's bias section: the gates and the measurement behind them."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from sashiko.base.yaml_models import Frozen

LabelMetric = Literal["CDDL", "CI", "DPL", "JS", "KL", "KS", "LP", "TVD"]
# Of a label that is a number alone (`bias.metrics.number_bias`).
NumberBiasMetric = Literal[
    "interval_coverage", "mae", "mean_error", "mean_prediction_difference", "prediction_distance"
]
BiasMetric = Literal[
    "AD", "CDDPL", "DAR", "DCA", "DCR", "DI", "DPPL", "DRR", "GE", "RD", "SD", "TE", LabelMetric,
    NumberBiasMetric, "abstention_rate",
]  # fmt: skip


def _check_facet_names(value: Any) -> Any:
    if isinstance(value, str):
        return value
    names = value if isinstance(value, list | tuple) else ()
    all_strings = all(isinstance(name, str) for name in names)
    if not all_strings or len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(
            "expected a facet, or a list of two or more different facets for their intersection, "
            "such as [gender, age_band]"
        )
    return value


_Intersection = Annotated[tuple[str, ...], Field(min_length=2)]
FacetNames = Annotated[str | _Intersection, BeforeValidator(_check_facet_names)]


class BiasGate(Frozen):
    """A bound on a bias metric: of the predictions on the test split, or of the snapshot's labels.

    The gate of a facet judges the facet's disadvantaged group. The gate of an intersection judges
    every combination of groups that includes a disadvantaged one.
    """

    metric: BiasMetric
    facet: FacetNames = Field(
        description="a facet, or a list of facets for their intersection: [gender, age_band]"
    )
    change_since: Literal["champion"] | None = Field(
        None,
        exclude_if=lambda since: since is None,
        description="of a metric of the labels: bounds its change since the champion's snapshot",
    )
    minimum: float | None = None
    maximum: float | None = None
    judged_by: Literal["value", "bound"] = Field(
        "value",
        description="value: the point estimate must lie inside; bound: the whole 95 % interval, "
        "simultaneous over all gates judged by their bound",
    )
    reason: str

    @model_validator(mode="after")
    def _check_bounds(self) -> "BiasGate":
        if self.minimum is None and self.maximum is None:
            raise ValueError("give `minimum`, `maximum`, or both")
        if self.metric == "GE" and len(self.facets) > 1:
            raise ValueError("GE is of all rows, whatever their group: name one facet")
        if (self.of_numbers or self.metric == "abstention_rate") and len(self.facets) > 1:
            raise ValueError(f"{self.metric} is measured for one facet at a time: name one")
        if self.change_since and (not self.of_labels or self.metric == "CDDL"):
            # A version does not say which group variable its CDDL was conditioned on.
            comparable = ", ".join(name for name in get_args(LabelMetric) if name != "CDDL")
            raise ValueError(f"`change_since` goes with a metric of the labels: {comparable}")
        return self

    @property
    def of_labels(self) -> bool:
        """Whether its metric is of the labels, which no model changes."""
        return self.metric in get_args(LabelMetric)

    @property
    def of_numbers(self) -> bool:
        """Whether its metric is of the predictions of a label that is a number."""
        return self.metric in get_args(NumberBiasMetric)

    @property
    def facets(self) -> tuple[str, ...]:
        """Its facets: one, or those of an intersection."""
        return (self.facet,) if isinstance(self.facet, str) else self.facet


class BiasSection(Frozen):
    """The bias gates, and the size and seed of the bootstrap for the intervals.

    A data set without facets sets `judged: false` and `reason`. The two keys are serialised only
    then, so that the bias steps' inputs stay the same for all other recipes.
    """

    judged: bool = Field(True, exclude_if=bool, description="false: the data set has no facets")
    reason: str = Field(
        "",
        max_length=200,
        exclude_if=lambda reason: not reason,
        description="with `judged: false`, why; kept with the model",
    )
    gates: tuple[BiasGate, ...] = ()
    intersection_depth: int = Field(
        2,
        ge=1,
        le=4,
        description="the largest number of facets in a reported intersection; 1: no intersections",
    )
    minimum_group_size: int = Field(
        100, ge=1, description="rows; the gate of a smaller group fails"
    )
    bootstrap_replicates: int = Field(20_000, ge=1000)
    seed: int = 0

    @property
    def prediction_gates(self) -> tuple[BiasGate, ...]:
        """The gates of the model; the others judge the labels that it learns from."""
        return tuple(gate for gate in self.gates if not gate.of_labels)

    @property
    def compares_labels(self) -> bool:
        """Whether a gate compares the labels with those of the champion's snapshot."""
        return any(gate.change_since for gate in self.gates)

    @model_validator(mode="after")
    def _check_reason(self) -> "BiasSection":
        if self.judged == bool(self.reason.strip()):
            raise ValueError("`reason` goes with `judged: false`, and only with it")
        if self.gates and not self.judged:
            raise ValueError("`judged: false` allows no gates: remove `gates`")
        return self
