"""The temporary SageMaker model of a device check: settings, creation and waiting."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sashiko.base import aws_calls as calls
from sashiko.base.stopping import Stop

# SageMaker kills a stopped job after 120 s (StopProcessingJob in its API reference).
_STOPPED_SECONDS = 90.0
_SETTLING_SECONDS = 1200.0
_ADVICE: calls.Advice = (
    (
        ("ResourceLimitExceeded",),
        "ask for a higher quota of that instance type, or set `device_check: transform`",
    ),
    (
        ("Could not access model data", "Cannot access model data"),
        "the role `inference` may not read the artifact: deploy the DataLake stack",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Hosting:
    """The settings that the serving stack would use."""

    name: str
    image: str
    model_data: str
    environment: Mapping[str, str]
    role: str
    instance_type: str
    # Version of the instance's image, which holds the Neuron driver; SageMaker's default if None.
    inference_ami: str | None
    startup_timeout: int  # seconds that the container may take to load the model
    download_timeout: int  # seconds that the download of the artifact may take
    subnets: tuple[str, ...]
    security_group: str
    # ARN of the key of the instance's volume; None for instances with local disks.
    volume_key: str | None
    tags: Mapping[str, str]

    def tag_list(self) -> list[dict[str, str]]:
        """Returns the tags in SageMaker's format."""
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]


def connect() -> calls.Clients:
    """Creates clients for the region `AWS_REGION`, without calling AWS.

    Raises:
        InputError: if the variable is not set.
    """
    from botocore.config import Config

    purpose = "the device check"
    # A retry would count as a slow request. SageMaker's limit for a response is 60 s.
    no_retries = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=70)
    runtime = calls.job_session(purpose).client("sagemaker-runtime", config=no_retries)
    return replace(calls.connect(purpose, "sagemaker", "s3"), runtime=runtime)


translate_errors = partial(calls.translate_errors, advice=_ADVICE)


def create_model(sagemaker: Any, hosting: Hosting) -> None:
    """Creates the model, isolated and in the VPC.

    Raises:
        InputError: if SageMaker refuses it.
    """
    with translate_errors(f"create the model {hosting.name}"):
        sagemaker.create_model(
            ModelName=hosting.name,
            ExecutionRoleArn=hosting.role,
            PrimaryContainer={
                "Image": hosting.image,
                "ModelDataUrl": hosting.model_data,
                "Environment": dict(hosting.environment),
            },
            VpcConfig={"Subnets": [*hosting.subnets], "SecurityGroupIds": [hosting.security_group]},
            EnableNetworkIsolation=True,
            Tags=hosting.tag_list(),
        )


def pause(stop: Stop, seconds: float) -> None:
    """Waits; exits if the job was asked to stop."""
    end = time.monotonic() + seconds
    while (remaining := end - time.monotonic()) > 0:
        stop.exit_if_requested()
        time.sleep(min(remaining, 1.0))
    stop.exit_if_requested()


def patience(stop: Stop) -> Callable[[], float]:
    """Returns a function for the seconds a deletion may wait, fewer once the job must stop."""
    return lambda: _SETTLING_SECONDS if stop.signal is None else _STOPPED_SECONDS
