"""Types of settings: durations, sizes, images, compile targets and instance types."""

import re
from functools import cache
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from sashiko.base.plugin_names import plugin_name

_DURATION = re.compile(r"^(\d+)\s*(s|m|h|d)$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"^(\d+)\s*GB$")


def _parse_duration(value: object) -> int:
    match = _DURATION.match(str(value))
    if not match:
        raise ValueError("expected a duration with its unit: 90s, 30m, 2h or 1d")
    return int(match[1]) * _SECONDS[match[2]]


def _parse_size(value: object) -> int:
    match = _SIZE.match(str(value))
    if not match:
        raise ValueError("expected a size in GB, such as 30GB")
    return int(match[1])


def _check_whole_days(seconds: int) -> int:
    if seconds == 0 or seconds % _SECONDS["d"]:
        raise ValueError("S3 deletes by the day: give whole days, such as 14d")
    return seconds


@cache
def instance_types(shape: str) -> frozenset[str]:
    """Returns the instance types of a SageMaker API, from botocore's service model.

    `shape` is the enum in SageMaker's API, such as `TransformInstanceType`.
    """
    from botocore.loaders import Loader

    model = Loader().load_service_model("sagemaker", "service-2")
    return frozenset(model["shapes"][shape]["enum"])


def _check_instance_type(shape: str, job: str) -> AfterValidator:
    def check(value: str) -> str:
        allowed = instance_types(shape)
        if value not in allowed:
            family = value.rsplit(".", 1)[0]
            suggestions = sorted(
                name for name in allowed if name.startswith(family + ".")
            ) or sorted(name for name in allowed if name.startswith("ml.m5."))
            raise ValueError(f"{job} has no such instance type; allowed: {', '.join(suggestions)}")
        return value

    return AfterValidator(check)


ImageName = Literal[
    "job-cpu",
    "job-gpu",
    "job-neuron",
    "serving-cpu",
    "serving-gpu",
    "serving-gpu-vllm",
    "serving-inf2",
    "clarify",
]
# A served model's, as the recipe's `compile.dtype` names it.
Dtype = Literal["float32", "bfloat16"]
# A plug-in's reference; the schema lists the built-in targets for editors.
TargetName = Annotated[
    str,
    plugin_name("targets"),
    WithJsonSchema(
        {"anyOf": [{"enum": ["cpu", "gpu", "gpu-vllm", "inf2", "inf2-causal"]}, {"type": "string"}]}
    ),
]
ImageDigest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Duration = Annotated[
    int,
    BeforeValidator(_parse_duration),
    PlainSerializer(lambda seconds: f"{seconds}s", when_used="json"),
    WithJsonSchema({"type": "string", "pattern": _DURATION.pattern}),
]
WholeDays = Annotated[Duration, AfterValidator(_check_whole_days)]
SizeGb = Annotated[
    int,
    BeforeValidator(_parse_size),
    PlainSerializer(lambda size: f"{size}GB", when_used="json"),
    WithJsonSchema({"type": "string", "pattern": _SIZE.pattern}),
]
ProcessingInstance = Annotated[
    str, _check_instance_type("ProcessingInstanceType", "a processing job")
]
TrainingInstance = Annotated[str, _check_instance_type("TrainingInstanceType", "a training job")]
HostingInstance = Annotated[
    str, _check_instance_type("ProductionVariantInstanceType", "an endpoint")
]
