"""Deletes what checks on a device left behind: an endpoint costs money for as long as it is there.

A check deletes what it made on any exit; only a kill leaves something. A schedule calls this.
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import Any

import boto3

from sashiko.aws.functions.device_removal import remove
from sashiko.aws.functions.function_input import Sweep

_SUBJECT = "Leftovers of a device check"
_KINDS = {
    "Endpoint": "list_endpoints",
    "EndpointConfig": "list_endpoint_configs",
    "Model": "list_models",
}


def handler(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    """Deletes what is older than any check lives, and tells the topic of it.

    Args:
        event: the keys of `Sweep`.

    Returns:
        `deleted`: names; `left`: name -> why it could not be deleted.
    """
    sweep, sagemaker = Sweep(**event), boto3.client("sagemaker")
    before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=sweep.older_than)
    deleted, left = [], {}
    for name in sorted(_leftovers(sagemaker, sweep.prefix, before)):
        # Nobody waits here: what is still being created is deleted an hour later.
        why = remove(sagemaker, name, patience=lambda: 0.0)
        if why:
            left[name] = why
        else:
            deleted.append(name)
    found = {"deleted": deleted, "left": left}
    if deleted or left:
        print(json.dumps(found))
        boto3.client("sns").publish(
            TopicArn=sweep.topic, Subject=_SUBJECT, Message=_message(deleted, left)
        )
    return found


def _leftovers(sagemaker: Any, prefix: str, before: dt.datetime) -> Iterator[str]:
    """Yields the names of which everything was made before then; a check may be at work else."""
    newest: dict[str, dt.datetime] = {}
    for kind, operation in _KINDS.items():
        for page in sagemaker.get_paginator(operation).paginate(NameContains=prefix):
            for item in page[f"{kind}s"]:
                name, made = item[f"{kind}Name"], item["CreationTime"]
                newest[name] = max(made, newest.get(name, made))
    for name, made in newest.items():
        if name.startswith(prefix) and made < before:
            yield name


def _message(deleted: list[str], left: Mapping[str, str]) -> str:
    lines = [f"{name}: deleted" for name in deleted]
    lines += [f"{name}: NOT deleted, and costs money: {why}" for name, why in left.items()]
    return "\n".join(
        [
            "A device check was killed before it deleted its endpoint. Look into the pipeline "
            "execution whose id ends the name.",
            *lines,
        ]
    )
