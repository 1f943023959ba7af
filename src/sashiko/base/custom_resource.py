"""The protocol of custom resources: CloudFormation's request and its response.

An exception is reported as a failure: without a response CloudFormation waits for its timeout. A
function that responds later, after a build, returns None and calls `send` then.
"""

import json
import traceback
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

_LONGEST_REASON = 1_000  # CloudFormation takes 4,096 bytes in all


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request of CloudFormation."""

    kind: Literal["Create", "Update", "Delete"]  # what is done to the resource
    url: str  # where the answer goes; it lives for two hours, ServiceTimeout for one at most
    stack: str  # the stack's ARN
    id: str  # the request's id
    resource: str  # the resource's logical id
    physical_id: str | None  # what the resource was called by the last answer; None when it is made
    properties: Mapping[str, Any]  # of the template, with every number and boolean as a string
    previous: Mapping[str, Any]  # those before, of an update


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The response to CloudFormation."""

    # What the resource is called; another one than before means that the old one is to be deleted
    # after the update.
    physical_id: str
    # Why it failed, if it did: what a person reads in the stack's events.
    failure: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)  # what `Fn::GetAtt` gives


class RefusedError(Exception):
    """A refusal by a function; the message names the reason and the fix."""


def read_request(event: Mapping[str, Any]) -> Request:
    """Reads the event that CloudFormation sends."""
    return Request(
        kind=event["RequestType"],
        url=event["ResponseURL"],
        stack=event["StackId"],
        id=event["RequestId"],
        resource=event["LogicalResourceId"],
        physical_id=event.get("PhysicalResourceId"),
        properties=event["ResourceProperties"],
        previous=event.get("OldResourceProperties", {}),
    )


def respond(event: Mapping[str, Any], work: Callable[[Request], Answer | None]) -> None:
    """Calls `work` with the request of an event, and sends its result."""
    request = read_request(event)
    try:
        answer = work(request)
    except Exception as error:
        traceback.print_exc()
        reason = (
            str(error) if isinstance(error, RefusedError) else f"{type(error).__name__}: {error}"
        )
        answer = Answer(physical_id=request.physical_id or "not made", failure=reason)
    if answer is not None:
        send(request, answer)


def send(request: Request, answer: Answer) -> None:
    """Sends a response to CloudFormation."""
    body = {
        "Status": "FAILED" if answer.failure else "SUCCESS",
        "Reason": (answer.failure or "")[:_LONGEST_REASON],
        "PhysicalResourceId": answer.physical_id,
        "StackId": request.stack,
        "RequestId": request.id,
        "LogicalResourceId": request.resource,
        "Data": dict(answer.data),
    }
    # The link is signed for a request without a content type.
    put = urllib.request.Request(  # noqa: S310 - CloudFormation's own link
        request.url, data=json.dumps(body).encode(), headers={"Content-Type": ""}, method="PUT"
    )
    with urllib.request.urlopen(put, timeout=30):  # noqa: S310 - the same
        pass
