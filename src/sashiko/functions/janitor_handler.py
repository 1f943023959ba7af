"""Deletes leftovers of device checks: an endpoint costs money while it exists.

A check deletes its resources on any exit except a kill. A schedule calls this function.
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import Any

import boto3

from sashiko.base.function_input import Sweep
from sashiko.steps.device.removal import remove

_SUBJECT = "Leftovers of a device check"
_KINDS = {
    "Endpoint": "list_endpoints",
    "EndpointConfig": "list_endpoint_configs",
    "Model": "list_models",
}


def handler(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    """Deletes leftovers that are older than any running check, and notifies the topic.

    The answer has `deleted`: names; `left`: name -> why it could not be deleted.
    """
    sweep, sagemaker = Sweep(**event), boto3.client("sagemaker")
    before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=sweep.older_than)
    deleted, remaining = [], {}
    for name in sorted(_leftovers(sagemaker, sweep.prefix, before)):
        # No waiting: an endpoint that is still being created is deleted an hour later.
        reason = remove(sagemaker, name, patience=lambda: 0.0)
        if reason:
            remaining[name] = reason
        else:
            deleted.append(name)
    result = {"deleted": deleted, "left": remaining}
    if deleted or remaining:
        lines = [
            "A device check was killed before it deleted its endpoint. Look into the pipeline "
            "execution whose id ends the name.",
            *(f"{name}: deleted" for name in deleted),
            *(f"{name}: NOT deleted, and costs money: {why}" for name, why in remaining.items()),
        ]
        print(json.dumps(result))
        boto3.client("sns").publish(
            TopicArn=sweep.topic, Subject=_SUBJECT, Message="\n".join(lines)
        )
    return result


def _leftovers(sagemaker: Any, prefix: str, before: dt.datetime) -> Iterator[str]:
    """Yields the names whose resources are all older; younger ones may still be in use."""
    newest: dict[str, dt.datetime] = {}
    for kind, operation in _KINDS.items():
        for page in sagemaker.get_paginator(operation).paginate(NameContains=prefix):
            for item in page[f"{kind}s"]:
                name, created = item[f"{kind}Name"], item["CreationTime"]
                newest[name] = max(created, newest.get(name, created))
    for name, created in newest.items():
        if name.startswith(prefix) and created < before:
            yield name
