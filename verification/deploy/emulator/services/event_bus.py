"""EventBridge's delivery of a service's own event: matching rules call their functions.

moto knows rules and targets, and calls no function.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError
from moto.events.models import EventPattern


def publish(aws: Callable[[str], Any], source: str, kind: str, detail: dict[str, Any]) -> None:
    """Sends an event to the default bus; `aws` makes a client of a service."""
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": source,
        "resources": [],
        "detail": detail,
    }
    events = aws("events")
    for rule in events.list_rules()["Rules"]:
        pattern = rule.get("EventPattern")
        if not rule["State"].startswith("ENABLED") or not pattern:
            continue
        if EventPattern.load(pattern).matches_event(event):
            for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                if ":function:" in target["Arn"] and rule["Arn"] in _callers(aws, target["Arn"]):
                    aws("lambda").invoke(
                        FunctionName=target["Arn"],
                        InvocationType="Event",
                        Payload=json.dumps(event).encode(),
                    )


def _callers(aws: Callable[[str], Any], function: str) -> Iterator[str]:
    """Yields the rules that a function's policy allows to call it; others deliver nothing."""
    try:
        policy = aws("lambda").get_policy(FunctionName=function)["Policy"]
    except ClientError:
        return
    for statement in json.loads(policy)["Statement"]:
        if statement["Principal"] == {"Service": "events.amazonaws.com"}:
            yield statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn", "")
