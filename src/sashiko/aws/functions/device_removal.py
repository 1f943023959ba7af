"""How what a device check made goes again: by its job, and hourly by the janitor."""

import sys
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

POLL_SECONDS = 5.0
_CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


def remove(sagemaker: Any, name: str, *, patience: Callable[[], float], wait: bool = False) -> str:
    """Deletes the endpoint, its configuration and the model of a name, whichever there are.

    Nobody can delete an endpoint that is being created (aws/amazon-sagemaker-examples #3432): it is
    waited for. Until it is deleted, configuration and model stay: without them it would hang for
    hours.

    Args:
        sagemaker: the client.
        name: of all three.
        patience: how many seconds to wait; asked again and again.
        wait: until the endpoint is gone, so that its name is free again.

    Returns:
        What could not be deleted and why; empty if nothing is left.
    """
    left = _delete_endpoint(sagemaker, name, patience=patience, wait=wait)
    if left:
        return left
    left = _delete(sagemaker.delete_endpoint_config, EndpointConfigName=name)
    return left or _delete(sagemaker.delete_model, ModelName=name)


def _delete_endpoint(
    sagemaker: Any, name: str, *, patience: Callable[[], float], wait: bool
) -> str:
    start, said, refused = time.monotonic(), "", False
    while True:
        left = _delete(sagemaker.delete_endpoint, EndpointName=name)
        status = _status(sagemaker, name) if left or wait else ""
        if not status or (status == "Deleting" and not wait):
            return ""
        if left and status not in _CHANGING:
            # Twice: it may have come into service between the two calls.
            if refused:
                return left
            refused = True
        if time.monotonic() - start >= patience():
            return left or f"it is {status}"
        if left != said:
            print(f"{name} is {status} and cannot be deleted yet", file=sys.stderr)
            said = left
        time.sleep(POLL_SECONDS)


def _status(sagemaker: Any, name: str) -> str:
    """Returns an endpoint's status; nothing if there is none."""
    try:
        return str(sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"])
    except ClientError as error:
        return "" if _is_missing(error) else "unknown"
    except BotoCoreError:
        return "unknown"


def _delete(call: Any, **what: str) -> str:
    """Deletes one thing and returns why not, or nothing; what does not exist is deleted."""
    try:
        call(**what)
    except ClientError as error:
        if _is_missing(error):
            return ""
        return str(error)
    except BotoCoreError as error:
        return str(error)
    return ""


def _is_missing(error: Any) -> bool:
    said = error.response.get("Error", {})
    return "Could not find" in said.get("Message", "") or said.get("Code") == "ResourceNotFound"
