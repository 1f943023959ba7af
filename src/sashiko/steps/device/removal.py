"""Removal of a device check's resources, by its job and hourly by the janitor."""

import sys
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

POLL_SECONDS = 5.0
_CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


def remove(sagemaker: Any, name: str, *, patience: Callable[[], float], wait: bool = False) -> str:
    """Deletes the endpoint, its configuration and the model of a name, whichever there are.

    An endpoint cannot be deleted while it is being created (aws/amazon-sagemaker-examples #3432),
    so this waits. Configuration and model are deleted last: without them it would hang for hours.

    Args:
        sagemaker: the client.
        name: of all three.
        patience: returns how many seconds to wait; called repeatedly.
        wait: until the endpoint is gone, so that its name is free again.

    Returns:
        The reason why something remains; empty if all is deleted.
    """
    reason = _delete_endpoint(sagemaker, name, patience=patience, wait=wait)
    if reason:
        return reason
    reason = _delete(sagemaker.delete_endpoint_config, EndpointConfigName=name)
    return reason or _delete(sagemaker.delete_model, ModelName=name)


def _delete_endpoint(
    sagemaker: Any, name: str, *, patience: Callable[[], float], wait: bool
) -> str:
    start, reported, refused = time.monotonic(), "", False
    while True:
        reason = _delete(sagemaker.delete_endpoint, EndpointName=name)
        status = _status(sagemaker, name) if reason or wait else ""
        if not status or (status == "Deleting" and not wait):
            return ""
        if reason and status not in _CHANGING:
            # Twice: it may have come into service between the two calls.
            if refused:
                return reason
            refused = True
        if time.monotonic() - start >= patience():
            return reason or f"it is {status}"
        if reason != reported:
            print(f"{name} is {status} and cannot be deleted yet", file=sys.stderr)
            reported = reason
        time.sleep(POLL_SECONDS)


def _status(sagemaker: Any, name: str) -> str:
    """Returns an endpoint's status; nothing if there is none."""
    try:
        return str(sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"])
    except (ClientError, BotoCoreError) as error:
        return "" if _is_missing(error) else "unknown"


def _delete(call: Any, **parameters: str) -> str:
    """Deletes a resource, if it exists; returns the reason of a failure, or an empty text."""
    try:
        call(**parameters)
    except (ClientError, BotoCoreError) as error:
        return "" if _is_missing(error) else str(error)
    return ""


def _is_missing(error: Any) -> bool:
    details = getattr(error, "response", {}).get("Error", {})
    return (
        "Could not find" in details.get("Message", "") or details.get("Code") == "ResourceNotFound"
    )
