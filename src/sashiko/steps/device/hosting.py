"""A model in SageMaker for as long as a check takes: what it is made of, and how it goes again."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sashiko.core import aws_calls as calls
from sashiko.core.stopping import Stop

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
    """What the serving stack would serve, and where.

    Attributes:
        name: of everything that is made for the check.
        image: the serving image.
        model_data: S3 URI of the artifact.
        environment: the container's variables.
        role: ARN of the role that the container has.
        instance_type: what it runs on.
        inference_ami: version of the instance's image, which holds the Neuron driver; SageMaker's
            default if None.
        startup_timeout: seconds that the container may take to load the model.
        download_timeout: seconds that the download of the artifact may take.
        subnets: of the VPC.
        security_group: in the VPC.
        volume_key: ARN of the key of the instance's volume; None where it has a disk of its own.
        tags: on all that is made.
    """

    name: str
    image: str
    model_data: str
    environment: Mapping[str, str]
    role: str
    instance_type: str
    inference_ami: str | None
    startup_timeout: int
    download_timeout: int
    subnets: tuple[str, ...]
    security_group: str
    volume_key: str | None
    tags: Mapping[str, str]

    def tag_list(self) -> list[dict[str, str]]:
        """Returns the tags as SageMaker takes them."""
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]


def connect() -> calls.Clients:
    """Makes the clients of the region `AWS_REGION`; none is called.

    Raises:
        InputError: if the variable is not set.
    """
    from botocore.config import Config

    of_what = "the device check"
    # A request that is asked again would count as a slow one. SageMaker gives a model 60 s.
    once = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=70)
    runtime = calls.job_session(of_what).client("sagemaker-runtime", config=once)
    return replace(calls.connect(of_what, "sagemaker", "s3"), runtime=runtime)


told = partial(calls.translate_errors, advice=_ADVICE)


def create_model(sagemaker: Any, hosting: Hosting) -> None:
    """Creates the model, isolated and in the VPC.

    Raises:
        InputError: if SageMaker refuses it.
    """
    with told(f"create the model {hosting.name}"):
        sagemaker.create_model(
            ModelName=hosting.name,
            ExecutionRoleArn=hosting.role,
            PrimaryContainer={
                "Image": hosting.image,
                "ModelDataUrl": hosting.model_data,
                "Environment": dict(hosting.environment),
            },
            VpcConfig={
                "Subnets": list(hosting.subnets),
                "SecurityGroupIds": [hosting.security_group],
            },
            EnableNetworkIsolation=True,
            Tags=hosting.tag_list(),
        )


def pause(stop: Stop, seconds: float) -> None:
    """Waits, unless the job was told to stop: then it exits."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        stop.exit_if_requested()
        time.sleep(min(left, 1.0))
    stop.exit_if_requested()


def patience(stop: Stop) -> Callable[[], float]:
    """Returns how many seconds a deletion may wait: few once the job is told to stop."""
    return lambda: _SETTLING_SECONDS if stop.signal is None else _STOPPED_SECONDS
