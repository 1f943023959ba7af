"""The specification of an endpoint by compile target: instance, image, driver, timeouts, variables.

The serving stack's endpoint and the pipeline's device check use the same specification, and the
preflight compares a model package with it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sashiko.account.images.job_images import JobImage, serving_image
from sashiko.account.names import model_package_group_name, prefix
from sashiko.errors import InputError
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.recipe import Recipe
from sashiko.settings.targets import load_target

__all__ = ["endpoint_name", "endpoint_spec", "served_package"]

# Scaling and retained instance counts refer to the variant by name, so the name never changes.
VARIANT: Final = "primary"
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

    target: str  # what the artifact is compiled for
    instance_type: str  # what it runs on
    image: JobImage  # what it runs in
    ami: str | None  # `InferenceAmiVersion`, which pins the driver; None leaves it to SageMaker
    download_timeout: int  # seconds that the artifact's download may take
    startup_timeout: int  # seconds until the container answers
    cores: int  # accelerator cores of the instance; 0 if the target does not count them
    # Processes in the container: one for each core, or one that uses the whole machine.
    workers: int
    environment: Mapping[str, str]  # the container's variables, beside the package's own threshold
    utilization: tuple[str, ...]  # CloudWatch metrics of the instances, for the dashboard


def endpoint_spec(settings: Settings, target: str) -> EndpointSpec:
    """Returns the specification of an environment's endpoint for a target.

    Raises:
        InputError: if there is no such target, or no serving image for it in the region.
    """
    facts, instance_type = load_target(target), settings.serving.instance_type(target)
    cores = facts.cores.get(instance_type, 0)
    workers = max(cores, 1)
    return EndpointSpec(
        target=target,
        instance_type=instance_type,
        image=serving_image(settings, target),
        ami=facts.ami,
        download_timeout=_DOWNLOAD_TIMEOUT,
        startup_timeout=_STARTUP_TIMEOUT,
        cores=cores,
        workers=workers,
        environment={"SAGEMAKER_MODEL_SERVER_WORKERS": str(workers), **facts.environment},
        utilization=facts.utilization,
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
