"""A recipe's bias section: its gates, and how what they judge is measured."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from sashiko.core.yaml_models import Frozen

BiasMetric = Literal[
    "AD", "CDDPL", "DAR", "DCA", "DCR", "DI", "DPPL", "DRR", "GE", "RD", "SD", "TE"
]


def _facet(value: Any) -> Any:
    if isinstance(value, str):
        return value
    names = value if isinstance(value, list | tuple) else ()
    named = all(isinstance(name, str) for name in names)
    if not named or len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(
            "expected a facet, or a list of two different ones or more for their intersection, "
            "such as [gender, age_band]"
        )
    return value


_Intersection = Annotated[tuple[str, ...], Field(min_length=2)]
FacetNames = Annotated[str | _Intersection, BeforeValidator(_facet)]


class BiasGate(Frozen):
    """A bound on a bias metric of the predictions on the test split, its interval beside it.

    A facet's gate judges the group that the contract says bias may harm. An intersection's judges
    every combination of the facets' groups with such a group in it.
    """

    metric: BiasMetric
    facet: FacetNames = Field(
        description="a facet, or a list of facets for their intersection: [gender, age_band]"
    )
    minimum: float | None = None
    maximum: float | None = None
    judged_by: Literal["value", "bound"] = Field(
        "value",
        description="value: the point estimate must lie inside; bound: the whole 95 % interval, "
        "simultaneous over all that is judged so",
    )
    reason: str

    @model_validator(mode="after")
    def _keys_agree(self) -> "BiasGate":
        if self.minimum is None and self.maximum is None:
            raise ValueError("give `minimum`, `maximum`, or both")
        if self.metric == "GE" and len(self.facets) > 1:
            raise ValueError("GE is of all rows, whatever their group: name one facet")
        return self

    @property
    def facets(self) -> tuple[str, ...]:
        """The facets that it names: one, or those of an intersection."""
        return (self.facet,) if isinstance(self.facet, str) else self.facet


class BiasSection(Frozen):
    """The bias gates, with the size and seed of the bootstrap behind the intervals.

    A data set without facets says `judged: false` and why; the two keys are written out only
    then, so that what the bias steps read does not change for everybody else.
    """

    judged: bool = Field(True, exclude_if=bool, description="false: the data name no facet")
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
        description="how many facets are combined at most in what is reported; 1: none are",
    )
    minimum_group_size: int = Field(
        100,
        ge=1,
        description="rows; a smaller group is too few to judge, which fails its gate",
    )
    bootstrap_replicates: int = Field(20_000, ge=1000)
    seed: int = 0

    @model_validator(mode="after")
    def _unjudged_says_why(self) -> "BiasSection":
        if self.judged == bool(self.reason.strip()):
            raise ValueError("`reason` goes with `judged: false`, and only with it")
        if self.gates and not self.judged:
            raise ValueError("`judged: false` leaves nothing to gate: remove `gates`")
        return self
