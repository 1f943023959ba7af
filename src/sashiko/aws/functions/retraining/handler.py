"""The function that the outcome of a window asks whether its alarms start a run; it only reads.

The event has the names of the checks in alarm, the labels that are known, and the recipe's guards:
no row, and nothing that a person wrote.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import boto3

from sashiko.aws.functions.retraining.candidates import candidates_since
from sashiko.aws.functions.retraining.decision import Alarms, Guards, objections


def handler(event: Mapping[str, Any], _: Any) -> dict[str, Any]:
    """Returns the token of the start, and what speaks against it; nothing if it may start."""
    alarms = Alarms(
        group=event["group"],
        version=event["version"],
        end=dt.datetime.fromisoformat(event["end"]),
        names=event["alarms"],
        labels=event["labels"],
    )
    candidates = candidates_since(
        boto3.client("sagemaker"),
        pipeline=event["pipeline"],
        group=alarms.group,
        version=alarms.version,
    )
    against = objections(alarms, candidates, Guards(**event["guards"]), now=dt.datetime.now(dt.UTC))
    return {"token": alarms.token, "objections": list(against)}
