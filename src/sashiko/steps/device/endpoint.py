"""A temporary endpoint that is deleted even on failure."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sashiko.base.aws_calls import Clients
from sashiko.base.stopping import Stop
from sashiko.errors import InputError
from sashiko.steps.device.hosting import Hosting, create_model, patience, pause, translate_errors
from sashiko.steps.device.measurement import DeviceFailedError, Invoke
from sashiko.steps.device.removal import POLL_SECONDS, remove

_JSON = "application/json"
# Time for SageMaker to provision an instance, in addition to the two timeouts.
_PROVISIONING_SECONDS = 900
# In SageMaker's reason for missing capacity, which is not a fault of the model.
_NO_INSTANCE = ("capacity", "ResourceLimitExceeded", "provision")


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
        _wait(clients.sagemaker, hosting, stop)
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


def _wait(sagemaker: Any, hosting: Hosting, stop: Stop) -> None:
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
