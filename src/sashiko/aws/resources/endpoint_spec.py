"""The specification of an endpoint by compile target: instance, image, driver, timeouts, variables.

The serving stack's endpoint and the pipeline's device check use the same specification, and the
preflight compares a model package with it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sashiko.aws.resources.images.job_images import JobImage, job_images
from sashiko.aws.resources.names import model_package_group_name, prefix
from sashiko.errors import InputError
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.recipe import Recipe
from sashiko.settings.targets import Target

__all__ = ["endpoint_name", "endpoint_spec", "served_package"]

# Scaling and retained instance counts refer to the variant by name, so the name never changes.
VARIANT: Final = "primary"
# NeuronCores of the instances, two a chip (AWS Neuron documentation, "Inf2 Architecture").
_NEURON_CORES: Final = {
    "ml.inf2.xlarge": 2,
    "ml.inf2.8xlarge": 2,
    "ml.inf2.24xlarge": 12,
    "ml.inf2.48xlarge": 24,
}
# Without it a container gets driver 2.10, which cannot load an artifact of this SDK
# (awslabs/llm-hosting-container #156). The GPU image's CUDA is 12.4, which driver 550 has; names
# and drivers: ProductionVariant.InferenceAmiVersion of SageMaker's API.
_AMIS: Final = {
    "gpu": "al2-ami-sagemaker-inference-gpu-3-1",
    "inf2": "al2-ami-sagemaker-inference-neuron-2",
}
# Seconds. A first load of a Neuron artifact takes minutes (aws-neuron-sdk #753), and the default
# check at start-up gives up before (amazon-sagemaker-examples #3432).
_DOWNLOAD_TIMEOUT: Final = 600
_STARTUP_TIMEOUT: Final = 600
_PACKAGE = re.compile(
    r"arn:aws:sagemaker:(?P<region>[^:]+):(?P<account>\d+):model-package/(?P<group>[^/]+)/\d+"
)


@dataclass(frozen=True, kw_only=True)
class EndpointSpec:
    """An endpoint's variant."""

    target: Target  # what the artifact is compiled for
    instance_type: str  # what it runs on
    image: JobImage  # what it runs in
    ami: str | None  # `InferenceAmiVersion`, which pins the driver; None leaves it to SageMaker
    download_timeout: int  # seconds that the artifact's download may take
    startup_timeout: int  # seconds until the container answers
    cores: int  # NeuronCores of the instance; 0 where the target has none
    # Processes in the container. Each owns a NeuronCore of its own; on a CPU or a GPU one process
    # uses all of it.
    workers: int

    @property
    def environment(self) -> Mapping[str, str]:
        """The container's variables, beside the package's own threshold."""
        neuron = {"NEURON_RT_NUM_CORES": "1"} if self.cores else {}
        return {"SAGEMAKER_MODEL_SERVER_WORKERS": str(self.workers), **neuron}


def endpoint_spec(settings: Settings, target: Target) -> EndpointSpec:
    """Returns the specification of an environment's endpoint for a target.

    Raises:
        InputError: if there is no serving image for the target, or none in the region.
    """
    instance_type = str(getattr(settings.serving.instance_types, target))
    cores = _NEURON_CORES[instance_type] if target == "inf2" else 0
    return EndpointSpec(
        target=target,
        instance_type=instance_type,
        image=job_images(settings, target).serving,
        ami=_AMIS.get(target),
        download_timeout=_DOWNLOAD_TIMEOUT,
        startup_timeout=_STARTUP_TIMEOUT,
        cores=cores,
        workers=max(cores, 1),
    )


def endpoint_name(settings: Settings, recipe: Recipe) -> str:
    """Returns the endpoint's name: that of its model package group, which outlives each version."""
    return model_package_group_name(settings, recipe.model_package_group)


def alarm_name(settings: Settings, subject: str) -> str:
    """Returns the name of an alarm of the endpoint; a deployment refers to its rollback alarms."""
    return f"{prefix(settings)}-endpoint-{subject}"


def served_package(settings: Settings, recipe: Recipe) -> str | None:
    """Returns the ARN of the version that an environment serves; None where it serves none.

    Raises:
        InputError: if `serving` is enabled and its keys do not fit each other, the environment or
            the recipe.
    """
    serving = settings.serving
    if not serving.enabled:
        return None
    location = f"{file_of('serving', settings.environment)}: key `serving"
    arn, group = serving.model_package_arn, endpoint_name(settings, recipe)
    if arn is None:
        options = f"--env {settings.environment} --recipe {recipe.name}"
        raise InputError(
            f"{location}.model_package_arn`: nothing to serve; set the ARN of an approved version "
            f"of {group} (`sashiko model list {options}`), or `enabled: false`"
        )
    # SageMaker writes a group's name in lower case there.
    match = _PACKAGE.fullmatch(arn.lower())
    parts = match.groupdict() if match else {}
    expected = {"region": settings.region, "account": settings.account, "group": group.lower()}
    if mismatched := [key for key, value in expected.items() if parts.get(key) != value]:
        raise InputError(
            f"{location}.model_package_arn`: {arn} is of another {' and '.join(mismatched)} than "
            f"this environment serves: arn:aws:sagemaker:{settings.region}:{settings.account}:"
            f"model-package/{group}/<version>"
        )
    if settings.tier == "prod" and serving.min_instances < 2:
        raise InputError(
            f"{location}.min_instances`: {serving.min_instances}; in tier `prod` set 2 or more: "
            "the failure of a single instance is an outage, and an update of one has no canary"
        )
    if serving.max_instances < serving.min_instances:
        raise InputError(
            f"{location}.max_instances`: {serving.max_instances} is less than `min_instances`, "
            f"{serving.min_instances}"
        )
    return arn
