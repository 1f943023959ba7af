"""A batch transform job in place of an endpoint: no driver version, no latency."""

import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
            _wait(clients.sagemaker, job, stop)
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
            if status not in _ENDED:
                sagemaker.stop_transform_job(TransformJobName=job)
        except (BotoCoreError, ClientError) as error:
            print(f"{job} was not stopped: {error}", file=sys.stderr)


def _wait(sagemaker: Any, job: str, stop: Stop) -> None:
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
        if status in _ENDED:
            reason = description.get("FailureReason", "SageMaker gives no reason")
            raise DeviceFailedError(f"the transform job ended as {status}: {reason}")
        pause(stop, POLL_SECONDS)
