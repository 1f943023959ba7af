"""A batch transform job in place of an endpoint: no driver version, no latency."""

import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sashiko.base.aws_calls import Clients
from sashiko.base.stopping import Stop
from sashiko.errors import InputError
from sashiko.steps.device.hosting import Hosting, create_model, patience, pause, translate_errors
from sashiko.steps.device.measurement import DeviceFailedError
from sashiko.steps.device.removal import POLL_SECONDS, remove

_JSON = "application/json"
_ENDED = ("Completed", "Failed", "Stopped")


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """The S3 location of a batch job's requests and responses."""

    uri: str  # S3 prefix of this execution, without a slash at its end
    key: str


def transform(
    clients: Clients, hosting: Hosting, bodies: Sequence[bytes], *, scratch: Scratch, stop: Stop
) -> list[bytes]:
    """Sends requests through a batch job and returns the responses in order.

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
        raise InputError(
            f"cannot delete the model {hosting.name} of an earlier attempt: {leftover}"
        )
    location = f"{scratch.uri}/{job}"
    for name, body in zip(names, bodies, strict=True):
        _put(clients.s3, f"{location}/input/{name}", body)
    try:
        create_model(clients.sagemaker, hosting)
        with _running(clients.sagemaker, hosting, job=job, location=location, key=scratch.key):
            _wait(clients.sagemaker, job, stop)
        return [_get(clients.s3, f"{location}/output/{name}.out") for name in names]
    finally:
        leftover = remove(clients.sagemaker, hosting.name, patience=patience(stop))
        if leftover:
            print(f"the model {hosting.name} could not be deleted: {leftover}", file=sys.stderr)


@contextmanager
def _running(
    sagemaker: Any, hosting: Hosting, *, job: str, location: str, key: str
) -> Iterator[None]:
    print(f"starting the transform job {job} on {hosting.instance_type}", file=sys.stderr)
    resources: dict[str, Any] = {"InstanceType": hosting.instance_type, "InstanceCount": 1}
    if hosting.volume_key:
        resources["VolumeKmsKeyId"] = hosting.volume_key
    source = {"S3DataType": "S3Prefix", "S3Uri": f"{location}/input/"}
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
                TransformOutput={
                    "S3OutputPath": f"{location}/output",
                    "Accept": _JSON,
                    "KmsKeyId": key,
                },
                TransformResources=resources,
                Tags=hosting.tag_list(),
            )
        yield
    finally:
        _stop(sagemaker, job)


def _wait(sagemaker: Any, job: str, stop: Stop) -> None:
    reported_status = ""
    while True:
        description = _describe(sagemaker, job)
        status = description["TransformJobStatus"]
        if status != reported_status:
            print(f"{job}: {status}", file=sys.stderr)
            reported_status = status
        if status == "Completed":
            return
        if status in _ENDED:
            reason = description.get("FailureReason", "SageMaker gives no reason")
            raise DeviceFailedError(f"the transform job ended as {status}: {reason}")
        pause(stop, POLL_SECONDS)


def _describe(sagemaker: Any, job: str) -> Any:
    with translate_errors(f"read the transform job {job}"):
        return sagemaker.describe_transform_job(TransformJobName=job)


def _stop(sagemaker: Any, job: str) -> None:
    """Stops a job that has not ended, if it exists."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        if sagemaker.describe_transform_job(TransformJobName=job)["TransformJobStatus"] in _ENDED:
            return
        sagemaker.stop_transform_job(TransformJobName=job)
    except (BotoCoreError, ClientError) as error:
        print(f"{job} was not stopped: {error}", file=sys.stderr)


def _put(s3: Any, uri: str, body: bytes) -> None:
    location = urlsplit(uri)
    with translate_errors(f"write {uri}"):
        s3.put_object(Bucket=location.netloc, Key=location.path.lstrip("/"), Body=body)


def _get(s3: Any, uri: str) -> bytes:
    location = urlsplit(uri)
    with translate_errors(f"read {uri}"):
        response = s3.get_object(Bucket=location.netloc, Key=location.path.lstrip("/"))
        return bytes(response["Body"].read())
