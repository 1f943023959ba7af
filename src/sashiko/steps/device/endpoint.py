"""A short-lived endpoint: made, asked, and deleted whatever happens in between."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sashiko.aws.functions.device_removal import POLL_SECONDS, remove
from sashiko.core.aws_calls import Clients
from sashiko.core.stopping import Stop
from sashiko.errors import InputError
from sashiko.steps.device.asking import DeviceFailedError, Invoke
from sashiko.steps.device.hosting import Hosting, create_model, patience, pause, told

_JSON = "application/json"
# What SageMaker may take to find an instance, beside the two timeouts.
_PROVISIONING_SECONDS = 900
# SageMaker's words for an instance that it has not got: nobody's model is at fault.
_NO_INSTANCE = ("capacity", "ResourceLimitExceeded", "provision")


@contextmanager
def endpoint(clients: Clients, hosting: Hosting, *, stop: Stop) -> Iterator[Invoke]:
    """Holds an endpoint in service for as long as the context lasts.

    Whatever ends it (an error, a signal, success), endpoint, configuration and model are deleted by
    their name, so that a call whose answer was lost counts too. What an earlier attempt left under
    the name is deleted first. Only a kill leaves something behind: for the janitor.

    Args:
        clients: of SageMaker.
        hosting: what it serves.
        stop: whether the job was told to stop.

    Yields:
        What sends a request's body to it and returns the response's.

    Raises:
        InputError: if AWS refuses a call, has no instance, or something is left at the end.
        DeviceFailedError: if the container does not come into service, or fails at a request.
    """
    left = remove(clients.sagemaker, hosting.name, patience=patience(stop), wait=True)
    if left:
        raise InputError(_left(hosting.name, left))
    stop.exit_if_requested()
    try:
        create(clients.sagemaker, hosting)
        _wait(clients.sagemaker, hosting, stop)
        yield _invoking(clients.runtime, hosting.name, stop)
    finally:
        print(f"deleting {hosting.name}", file=sys.stderr)
        left = remove(clients.sagemaker, hosting.name, patience=patience(stop))
        if left:
            print(_left(hosting.name, left), file=sys.stderr)
    if left:
        raise InputError(_left(hosting.name, left))


def create(sagemaker: Any, hosting: Hosting) -> None:
    """Asks for model, configuration and endpoint.

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
    key = {"KmsKeyId": hosting.volume_key} if hosting.volume_key else {}
    with told(f"create the endpoint configuration {name}"):
        sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant], Tags=hosting.tag_list(), **key
        )
        # CreateEndpoint may not see what was just made; AWS advises to read it first.
        sagemaker.describe_endpoint_config(EndpointConfigName=name)
    with told(f"create the endpoint {name}"):
        sagemaker.create_endpoint(
            EndpointName=name, EndpointConfigName=name, Tags=hosting.tag_list()
        )


def _wait(sagemaker: Any, hosting: Hosting, stop: Stop) -> None:
    start = time.monotonic()
    longest = _PROVISIONING_SECONDS + hosting.startup_timeout + hosting.download_timeout
    shown = -1
    while True:
        with told(f"read the endpoint {hosting.name}"):
            found = sagemaker.describe_endpoint(EndpointName=hosting.name)
        status, passed = found["EndpointStatus"], time.monotonic() - start
        if status == "InService":
            print(f"{hosting.name}: in service after {passed:.0f} s", file=sys.stderr)
            return
        if status == "Failed":
            _explain(str(found.get("FailureReason", "SageMaker gives no reason")))
        if passed > longest:
            raise InputError(
                f"endpoint {hosting.name} is {status} after {passed / 60:.0f} minutes; look into "
                "its log group, and run the pipeline again"
            )
        if int(passed // 60) > shown:
            shown = int(passed // 60)
            print(f"{hosting.name}: {status} for {shown} min", file=sys.stderr)
        pause(stop, POLL_SECONDS)


def _explain(reason: str) -> None:
    if any(word in reason for word in _NO_INSTANCE):
        raise InputError(
            f"SageMaker had no instance for the device check: {reason}; run the pipeline again, or "
            "ask for a higher quota"
        )
    raise DeviceFailedError(f"the endpoint did not come into service: {reason}")


def _invoking(runtime: Any, name: str, stop: Stop) -> Invoke:
    def invoke(body: bytes) -> bytes:
        stop.exit_if_requested()
        with told(f"ask the endpoint {name}"):
            try:
                answer = runtime.invoke_endpoint(
                    EndpointName=name, ContentType=_JSON, Accept=_JSON, Body=body
                )
                return bytes(answer["Body"].read())
            except runtime.exceptions.ModelError as error:
                said = error.response.get("OriginalMessage") or str(error)
                raise DeviceFailedError(f"the model failed at a request: {said}") from error

    return invoke


def _left(name: str, why: str) -> str:
    return (
        f"{name} could not be deleted and costs money until it is: {why}; the janitor tries again "
        f"each hour, or: aws sagemaker delete-endpoint --endpoint-name {name}"
    )
