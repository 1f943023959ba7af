"""The settings of the endpoint, and of what asks a model on its instances beforehand."""

from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from sashiko.core.plugin_names import plugin_name
from sashiko.core.yaml_models import Frozen
from sashiko.settings.bias import BiasMetric, FacetNames
from sashiko.settings.quality import QUALITY_METRICS
from sashiko.settings.targets import SERVING_FAMILIES, Target, serves
from sashiko.settings.types import HostingInstance, WholeDays

_METRICS = (*get_args(BiasMetric), *QUALITY_METRICS)
_PACKAGE_ARN = r"^arn:aws:sagemaker:[a-z0-9-]+:\d{12}:model-package/[A-Za-z0-9-]+/\d+$"

# YAML 1.1 reads `off` as false.
DeviceCheck = Annotated[
    Literal["endpoint", "transform", "off"],
    BeforeValidator(lambda value: "off" if value is False else value),
]


def _serves(target: Target) -> AfterValidator:
    def check(value: str) -> str:
        if not serves(target, value):
            near = ", ".join(f"ml.{family}" for family in SERVING_FAMILIES[target])
            raise ValueError(f"the image of this target does not run on it; allowed: {near}")
        return value

    return AfterValidator(check)


class CaptureSection(Frozen):
    """The share of requests and answers that is kept. They are personal data.

    Attributes:
        percent: of the requests; 0 keeps none.
        retention: seconds once read; then they are deleted, old versions a day later.
    """

    percent: int = Field(ge=0, le=100)
    retention: WholeDays


class ServingInstances(Frozen):
    """What an endpoint runs on, by the recipe's `compile.target`."""

    cpu: Annotated[HostingInstance, _serves("cpu")]
    gpu: Annotated[HostingInstance, _serves("gpu")]
    inf2: Annotated[HostingInstance, _serves("inf2")]


class ServingBound(Frozen):
    """What a version has to reach to be served here, whatever bound its recipe's gate has.

    It judges the value and the interval that were signed with the version, so the recipe has to
    gate the same metric.

    Attributes:
        metric: a bias metric of a facet, or a metric of quality, as a recipe's gate names it.
        facet: of a bias metric, as a recipe's gate names it: each of its groups that was judged has
            to hold. None for a metric of quality.
        minimum: the least.
        maximum: the most.
        judged_by: `value`, the point estimate; `bound`, the whole 95 % interval.
    """

    metric: Annotated[
        str,
        plugin_name("metrics", known=_METRICS),
        WithJsonSchema({"anyOf": [{"enum": list(_METRICS)}, {"type": "string"}]}),
    ]
    facet: FacetNames | None = Field(
        None, description="of a bias metric: a facet, or a list of facets for their intersection"
    )
    minimum: float | None = None
    maximum: float | None = None
    judged_by: Literal["value", "bound"] = "value"

    @model_validator(mode="after")
    def _keys_agree(self) -> Self:
        if self.minimum is None and self.maximum is None:
            raise ValueError("give `minimum`, `maximum`, or both")
        if (self.metric in get_args(BiasMetric)) != (self.facet is not None):
            raise ValueError("`facet` goes with a bias metric, such as DI, and only with one")
        return self

    @property
    def facets(self) -> tuple[str, ...]:
        """The facets that it names; none for a metric of quality."""
        if self.facet is None:
            return ()
        return (self.facet,) if isinstance(self.facet, str) else self.facet

    def __str__(self) -> str:
        """Names it, such as `DI of gender`."""
        return f"{self.metric} of {' & '.join(self.facets)}" if self.facets else self.metric


class ServingSection(Frozen):
    """The endpoint.

    Attributes:
        enabled: whether there is one; it costs by the hour.
        model_package_arn: the approved version that it serves. Another version, or an older one
            again, is a change of this line.
        instance_types: by the recipe's `compile.target`.
        min_instances: from 2 on an update goes to one instance first (canary); prod needs 2.
        max_instances: how far it scales out; as `min_instances`, it does not scale.
        invocations_per_instance: a minute; what scaling aims at.
        p99_latency_ms: milliseconds in the model; an update during which the 99th percentile is
            above is rolled back.
        error_rate: share of 5XX answers above which an update is rolled back.
        allow_waived: whether a version whose failed check the recipe waived may be served, until
            the waiver expires.
        bounds: what a version's signed values have to be beside its recipe's gates; the preflight
            and a promotion to this environment hold them.
        capture: what is kept of requests and answers.
    """

    enabled: bool
    model_package_arn: Annotated[str, Field(pattern=_PACKAGE_ARN)] | None = None
    instance_types: ServingInstances
    min_instances: int = Field(ge=1)
    max_instances: int = Field(ge=1)
    invocations_per_instance: int = Field(ge=1)
    p99_latency_ms: int = Field(ge=1)
    error_rate: float = Field(gt=0, lt=1)
    allow_waived: bool
    bounds: tuple[ServingBound, ...]
    capture: CaptureSection
