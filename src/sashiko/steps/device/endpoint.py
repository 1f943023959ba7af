"""What a device check runs on: a temporary endpoint, or a batch transform job in its place.

Both have a temporary SageMaker model, and are deleted even on failure. A job names no driver
version and has no latency.
"""

import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from sashiko.base import aws_calls as calls
from sashiko.base.aws_calls import Clients
from sashiko.base.stopping import Stop
from sashiko.errors import InputError
from sashiko.steps.device.measurement import DeviceFailedError, Invoke
from sashiko.steps.device.removal import POLL_SECONDS, remove

_JSON = "application/json"
# Time for SageMaker to provision an instance, in addition to the two timeouts.
_PROVISIONING_SECONDS = 900
# In SageMaker's reason for missing capacity, which is not a fault of the model.
_NO_INSTANCE = ("capacity", "ResourceLimitExceeded", "provision")
_JOB_ENDED = ("Completed", "Failed", "Stopped")
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
    groups: tuple[str, ...]
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
            VpcConfig={"Subnets": [*hosting.subnets], "SecurityGroupIds": [*hosting.groups]},
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


@contextmanager
def endpoint(clients: Clients, hosting: Hosting, *, stop: Stop) -> Iterator[Invoke]:
    """Keeps an endpoint in service within the context; yields what sends a request's body.

    On exit (success, error or signal) endpoint, configuration and model are deleted by name, which
    covers calls whose response was lost. Leftovers of an earlier attempt are deleted first. After a
    kill the janitor deletes them.

    Raises:
        InputError: if AWS refuses a call, has no instance, or a resource cannot be deleted.
        DeviceFailedError: if the container does not start, or fails on a request.
    """
    leftover = remove(clients.sagemaker, hosting.name, patience=patience(stop), wait=True)
    if leftover:
        raise InputError(_leftover_message(hosting.name, leftover))
    stop.exit_if_requested()
    try:
        create(clients.sagemaker, hosting)
        _wait_for_endpoint(clients.sagemaker, hosting, stop)
        yield partial(_invoke, clients.runtime, hosting.name, stop)
    finally:
        print(f"deleting {hosting.name}", file=sys.stderr)
        leftover = remove(clients.sagemaker, hosting.name, patience=patience(stop))
        if leftover:
            print(_leftover_message(hosting.name, leftover), file=sys.stderr)
    if leftover:
        raise InputError(_leftover_message(hosting.name, leftover))


def create(sagemaker: Any, hosting: Hosting) -> None:
    """Creates model, configuration and endpoint.

    Raises:
        InputError: if SageMaker refuses one of them.
    """
    name = hosting.name
    print(f"creating the endpoint {name} on {hosting.instance_type}", file=sys.stderr)
    create_model(sagemaker, hosting)
    variant: dict[str, Any] = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InitialInstanceCount": 1,
        "InstanceType": hosting.instance_type,
        "ContainerStartupHealthCheckTimeoutInSeconds": hosting.startup_timeout,
        "ModelDataDownloadTimeoutInSeconds": hosting.download_timeout,
    }
    if hosting.inference_ami:
        variant["InferenceAmiVersion"] = hosting.inference_ami
    kms = {"KmsKeyId": hosting.volume_key} if hosting.volume_key else {}
    with translate_errors(f"create the endpoint configuration {name}"):
        sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant], Tags=hosting.tag_list(), **kms
        )
        # CreateEndpoint may not see a new configuration yet; AWS advises to read it first.
        sagemaker.describe_endpoint_config(EndpointConfigName=name)
    with translate_errors(f"create the endpoint {name}"):
        sagemaker.create_endpoint(
            EndpointName=name, EndpointConfigName=name, Tags=hosting.tag_list()
        )


def _wait_for_endpoint(sagemaker: Any, hosting: Hosting, stop: Stop) -> None:
    start = time.monotonic()
    timeout = _PROVISIONING_SECONDS + hosting.startup_timeout + hosting.download_timeout
    reported_minutes = -1
    while True:
        with translate_errors(f"read the endpoint {hosting.name}"):
            description = sagemaker.describe_endpoint(EndpointName=hosting.name)
        status, elapsed = description["EndpointStatus"], time.monotonic() - start
        if status == "InService":
            print(f"{hosting.name}: in service after {elapsed:.0f} s", file=sys.stderr)
            return
        if status == "Failed":
            reason = str(description.get("FailureReason", "SageMaker gives no reason"))
            if any(word in reason for word in _NO_INSTANCE):
                raise InputError(
                    f"SageMaker had no instance for the device check: {reason}; run the pipeline "
                    "again, or ask for a higher quota"
                )
            raise DeviceFailedError(f"the endpoint did not come into service: {reason}")
        if elapsed > timeout:
            raise InputError(
                f"endpoint {hosting.name} is {status} after {elapsed / 60:.0f} minutes; look into "
                "its log group, and run the pipeline again"
            )
        if int(elapsed // 60) > reported_minutes:
            reported_minutes = int(elapsed // 60)
            print(f"{hosting.name}: {status} for {reported_minutes} min", file=sys.stderr)
        pause(stop, POLL_SECONDS)


def _invoke(runtime: Any, name: str, stop: Stop, body: bytes) -> bytes:
    stop.exit_if_requested()
    with translate_errors(f"ask the endpoint {name}"):
        try:
            response = runtime.invoke_endpoint(
                EndpointName=name, ContentType=_JSON, Accept=_JSON, Body=body
            )
            return bytes(response["Body"].read())
        except runtime.exceptions.ModelError as error:
            message = error.response.get("OriginalMessage") or str(error)
            raise DeviceFailedError(f"the model failed at a request: {message}") from error


def _leftover_message(name: str, reason: str) -> str:
    return (
        f"{name} could not be deleted and costs money until it is: {reason}; the janitor tries "
        f"again each hour, or: aws sagemaker delete-endpoint --endpoint-name {name}"
    )


def transform(
    clients: Clients,
    hosting: Hosting,
    bodies: Sequence[bytes],
    *,
    scratch: str,
    key: str,
    stop: Stop,
) -> list[bytes]:
    """Sends requests through a batch job and returns the responses in order.

    `scratch` is an S3 prefix of this execution, without a slash at its end, for both; `key` is the
    ARN of their key.

    On exit the model is deleted and a running job is stopped. The bucket's lifecycle rule expires
    the files in S3 with the execution's other files.

    Raises:
        InputError: if AWS refuses a call.
        DeviceFailedError: if the batch job fails.
    """
    names = [f"request-{number:05}.json" for number in range(len(bodies))]
    # A job's name cannot be reused, so each attempt needs a new one.
    job = f"{hosting.name}-{secrets.token_hex(3)}"
    leftover = remove(clients.sagemaker, hosting.name, patience=patience(stop))
    if leftover:
        earlier = f"the model {hosting.name} of an earlier attempt"
        raise InputError(f"cannot delete {earlier}: {leftover}")
    place, s3 = urlsplit(f"{scratch}/{job}"), clients.s3
    bucket, prefix = place.netloc, place.path.lstrip("/")
    for name, body in zip(names, bodies, strict=True):
        with translate_errors(f"write {place.geturl()}/input/{name}"):
            s3.put_object(Bucket=bucket, Key=f"{prefix}/input/{name}", Body=body)
    try:
        create_model(clients.sagemaker, hosting)
        with _running(clients.sagemaker, hosting, job=job, location=place.geturl(), key=key):
            _wait_for_job(clients.sagemaker, job, stop)
        answers = []
        for name in names:
            with translate_errors(f"read {place.geturl()}/output/{name}.out"):
                answer = s3.get_object(Bucket=bucket, Key=f"{prefix}/output/{name}.out")
                answers.append(bytes(answer["Body"].read()))
        return answers
    finally:
        leftover = remove(clients.sagemaker, hosting.name, patience=patience(stop))
        if leftover:
            print(f"the model {hosting.name} could not be deleted: {leftover}", file=sys.stderr)


@contextmanager
def _running(
    sagemaker: Any, hosting: Hosting, *, job: str, location: str, key: str
) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    print(f"starting the transform job {job} on {hosting.instance_type}", file=sys.stderr)
    resources: dict[str, Any] = {"InstanceType": hosting.instance_type, "InstanceCount": 1}
    if hosting.volume_key:
        resources["VolumeKmsKeyId"] = hosting.volume_key
    source = {"S3DataType": "S3Prefix", "S3Uri": f"{location}/input/"}
    output = {"S3OutputPath": f"{location}/output", "Accept": _JSON, "KmsKeyId": key}
    try:
        with translate_errors(f"start the transform job {job}"):
            sagemaker.create_transform_job(
                TransformJobName=job,
                ModelName=hosting.name,
                # Each file is one request with many rows.
                BatchStrategy="SingleRecord",
                TransformInput={
                    "DataSource": {"S3DataSource": source},
                    "ContentType": _JSON,
                    "SplitType": "None",
                },
                TransformOutput=output,
                TransformResources=resources,
                Tags=hosting.tag_list(),
            )
        yield
    finally:
        try:
            status = sagemaker.describe_transform_job(TransformJobName=job)["TransformJobStatus"]
            if status not in _JOB_ENDED:
                sagemaker.stop_transform_job(TransformJobName=job)
        except (BotoCoreError, ClientError) as error:
            print(f"{job} was not stopped: {error}", file=sys.stderr)


def _wait_for_job(sagemaker: Any, job: str, stop: Stop) -> None:
    reported_status = ""
    while True:
        with translate_errors(f"read the transform job {job}"):
            description = sagemaker.describe_transform_job(TransformJobName=job)
        status = description["TransformJobStatus"]
        if status != reported_status:
            print(f"{job}: {status}", file=sys.stderr)
            reported_status = status
        if status == "Completed":
            return
        if status in _JOB_ENDED:
            reason = description.get("FailureReason", "SageMaker gives no reason")
            raise DeviceFailedError(f"the transform job ended as {status}: {reason}")
        pause(stop, POLL_SECONDS)
