"""A batch job in place of an endpoint: the same image and instance, without driver and latency."""

import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sashiko.aws.functions.device_removal import POLL_SECONDS, remove
from sashiko.core.aws_calls import Clients
from sashiko.core.stopping import Stop
from sashiko.errors import InputError
from sashiko.steps.device.asking import DeviceFailedError
from sashiko.steps.device.hosting import Hosting, create_model, patience, pause, told

_JSON = "application/json"
_ENDED = ("Completed", "Failed", "Stopped")


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """Where a batch job reads requests and writes responses.

    Attributes:
        uri: S3 prefix of this execution, without a slash at its end.
        key: ARN of the key that they are encrypted with.
    """

    uri: str
    key: str


def transform(
    clients: Clients, hosting: Hosting, bodies: Sequence[bytes], *, scratch: Scratch, stop: Stop
) -> list[bytes]:
    """Sends requests through a batch job and returns the responses, in their order.

    The model is deleted whatever happens, and a job that still runs is stopped. What lies in S3
    goes when the bucket's lifecycle takes the execution's other files.

    Args:
        clients: of SageMaker and S3.
        hosting: what is asked. Its `inference_ami` and timeouts are an endpoint's alone.
        bodies: of the requests.
        scratch: where they lie.
        stop: whether this job was told to stop.

    Raises:
        InputError: if AWS refuses a call.
        DeviceFailedError: if the batch job fails.
    """
    names = [f"request-{number:05}.json" for number in range(len(bodies))]
    # A job's name stays taken for good, so that a second attempt needs another one.
    job = f"{hosting.name}-{secrets.token_hex(3)}"
    left = remove(clients.sagemaker, hosting.name, patience=patience(stop))
    if left:
        raise InputError(f"cannot delete the model {hosting.name} of an attempt before: {left}")
    place = f"{scratch.uri}/{job}"
    for name, body in zip(names, bodies, strict=True):
        _put(clients.s3, f"{place}/input/{name}", body)
    try:
        create_model(clients.sagemaker, hosting)
        with _running(clients.sagemaker, hosting, job=job, place=place, key=scratch.key):
            _wait(clients.sagemaker, job, stop)
        return [_get(clients.s3, f"{place}/output/{name}.out") for name in names]
    finally:
        left = remove(clients.sagemaker, hosting.name, patience=patience(stop))
        if left:
            print(f"the model {hosting.name} could not be deleted: {left}", file=sys.stderr)


@contextmanager
def _running(sagemaker: Any, hosting: Hosting, *, job: str, place: str, key: str) -> Iterator[None]:
    print(f"starting the transform job {job} on {hosting.instance_type}", file=sys.stderr)
    resources: dict[str, Any] = {"InstanceType": hosting.instance_type, "InstanceCount": 1}
    if hosting.volume_key:
        resources["VolumeKmsKeyId"] = hosting.volume_key
    source = {"S3DataType": "S3Prefix", "S3Uri": f"{place}/input/"}
    try:
        with told(f"start the transform job {job}"):
            sagemaker.create_transform_job(
                TransformJobName=job,
                ModelName=hosting.name,
                # A file is a request: the handler takes many rows in one.
                BatchStrategy="SingleRecord",
                TransformInput={
                    "DataSource": {"S3DataSource": source},
                    "ContentType": _JSON,
                    "SplitType": "None",
                },
                TransformOutput={
                    "S3OutputPath": f"{place}/output",
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
    shown = ""
    while True:
        found = _describe(sagemaker, job)
        status = found["TransformJobStatus"]
        if status != shown:
            print(f"{job}: {status}", file=sys.stderr)
            shown = status
        if status == "Completed":
            return
        if status in _ENDED:
            reason = found.get("FailureReason", "SageMaker gives no reason")
            raise DeviceFailedError(f"the transform job ended as {status}: {reason}")
        pause(stop, POLL_SECONDS)


def _describe(sagemaker: Any, job: str) -> Any:
    with told(f"read the transform job {job}"):
        return sagemaker.describe_transform_job(TransformJobName=job)


def _stop(sagemaker: Any, job: str) -> None:
    """Stops a job that has not ended; one that was never made, or has ended, is none to stop."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        if sagemaker.describe_transform_job(TransformJobName=job)["TransformJobStatus"] in _ENDED:
            return
        sagemaker.stop_transform_job(TransformJobName=job)
    except (BotoCoreError, ClientError) as error:
        print(f"{job} was not stopped: {error}", file=sys.stderr)


def _put(s3: Any, uri: str, body: bytes) -> None:
    place = urlsplit(uri)
    with told(f"write {uri}"):
        s3.put_object(Bucket=place.netloc, Key=place.path.lstrip("/"), Body=body)


def _get(s3: Any, uri: str) -> bytes:
    place = urlsplit(uri)
    with told(f"read {uri}"):
        answer = s3.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))
        return bytes(answer["Body"].read())
