"""The settings of the endpoint and of the device check."""

from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from sashiko.base.plugin_names import names, plugin_name
from sashiko.base.yaml_models import Frozen
from sashiko.errors import InputError
from sashiko.settings.recipe_bias import BiasMetric, FacetNames
from sashiko.settings.recipe_quality import GATED_METRICS
from sashiko.settings.targets import load_target
from sashiko.settings.types import HostingInstance, TargetName, WholeDays

_METRICS = (*get_args(BiasMetric), *GATED_METRICS)
_PACKAGE_ARN = r"^arn:aws:sagemaker:[a-z0-9-]+:\d{12}:model-package/[A-Za-z0-9-]+/\d+$"

# YAML 1.1 reads `off` as false.
DeviceCheck = Annotated[
    Literal["endpoint", "transform", "off"],
    BeforeValidator(lambda value: "off" if value is False else value),
]


class CaptureSection(Frozen):
    """Data capture of requests and responses, which are personal data.

    Attributes:
        percent: of the requests; 0 captures none.
        retention: in seconds; after it they are deleted, old versions a day later.
    """

    percent: int = Field(ge=0, le=100)
    retention: WholeDays


class ServingBound(Frozen):
    """A bound that a version must meet to be served here, independent of its recipe's gates.

    The bound is checked against the value and interval signed with the version, so the recipe must
    gate the same metric.

    Attributes:
        metric: a bias metric or a quality metric, as a recipe's gate names it.
        facet: of a bias metric, as a recipe's gate names it; each judged group must meet the
            bound. None for a quality metric.
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
        None, description="for a bias metric: a facet, or a list of facets (intersection)"
    )
    minimum: float | None = None
    maximum: float | None = None
    judged_by: Literal["value", "bound"] = "value"

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.minimum is None and self.maximum is None:
            raise ValueError("give `minimum`, `maximum`, or both")
        # Two metrics of a number are both: of a group, and of all rows.
        of_bias = self.metric in get_args(BiasMetric)
        of_all_rows = not of_bias or self.metric in GATED_METRICS
        if not (of_all_rows if self.facet is None else of_bias):
            raise ValueError("`facet` goes with a bias metric, such as DI, and only with one")
        return self

    @property
    def facets(self) -> tuple[str, ...]:
        """Its facets; none for a quality metric."""
        if self.facet is None:
            return ()
        return (self.facet,) if isinstance(self.facet, str) else self.facet

    def __str__(self) -> str:
        """Returns its name, such as `DI of gender`."""
        return f"{self.metric} of {' & '.join(self.facets)}" if self.facets else self.metric


class AsynchronousSection(Frozen):
    """What an endpoint needs that sleeps without requests.

    Attributes:
        backlog_per_instance: queued requests for each instance; the target of scaling.
        judged_requests: how many recorded requests an update is judged by. Fewer answers are no
            pass.
    """

    backlog_per_instance: int = Field(ge=1)
    judged_requests: int = Field(ge=1, le=200)


class ServingSection(Frozen):
    """The endpoint.

    Attributes:
        enabled: whether it is deployed; it costs by the hour.
        mode: `asynchronous` queues requests as objects in S3, and sleeps while there are none.
        model_package_arn: the approved version that it serves. Change it to deploy another version
            or to roll back.
        instance_types: compile target -> instance type; the target's own default if not named.
        min_instances: with 2 or more an update goes to one instance first (canary); prod needs 2.
            0 in mode `asynchronous`, whose updates wake two.
        max_instances: the limit of scaling out; equal to `min_instances`, it does not scale.
        invocations_per_instance: a minute; the target of scaling in mode `real-time`.
        p99_latency_ms: milliseconds in the model; an update is rolled back while the 99th
            percentile is above it.
        error_rate: share of 5XX responses above which an update is rolled back.
        allow_waived: whether a version with waived checks may be served, until a waiver expires.
        bounds: bounds on a version's signed values in addition to its recipe's gates; the preflight
            and promotions to this environment check them.
        capture: data capture of requests and responses; in mode `asynchronous` the objects of all
            requests and answers are kept until the retention ends.
        asynchronous: for mode `asynchronous`.
    """

    enabled: bool
    mode: Literal["real-time", "asynchronous"]
    model_package_arn: Annotated[str, Field(pattern=_PACKAGE_ARN)] | None = None
    instance_types: dict[TargetName, HostingInstance]
    min_instances: int = Field(ge=0)
    max_instances: int = Field(ge=1)
    invocations_per_instance: int = Field(ge=1)
    p99_latency_ms: int = Field(ge=1)
    error_rate: float = Field(gt=0, lt=1)
    allow_waived: bool
    bounds: tuple[ServingBound, ...]
    capture: CaptureSection
    asynchronous: AsynchronousSection

    @field_validator("instance_types")
    @classmethod
    def _check_families(cls, value: dict[str, str]) -> dict[str, str]:
        for name, instance_type in value.items():
            try:
                target = load_target(name, key=name)
            except InputError as error:
                raise ValueError(str(error)) from error
            if not target.serves_on(instance_type):
                allowed = ", ".join(f"ml.{family}" for family in target.families)
                raise ValueError(
                    f"{name}: the image of this target does not run on {instance_type}; "
                    f"allowed: {allowed}"
                )
        return value

    @property
    def sleeps(self) -> bool:
        """Whether the endpoint is one of mode `asynchronous`."""
        return self.mode == "asynchronous"

    def instance_type(self, target: str) -> str:
        """Returns the instance type that serves a compile target."""
        return self.instance_types.get(target) or load_target(target).instance_type

    def known_instance_types(self) -> dict[str, str]:
        """Returns target -> instance type, for installed targets and those that it names."""
        targets = sorted({*names("targets"), *self.instance_types})
        return {target: self.instance_type(target) for target in targets}
