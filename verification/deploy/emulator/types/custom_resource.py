"""Custom resources: the function of the service token is executed, and its answer is what counts.

CloudFormation waits for an answer until the resource's ServiceTimeout. Here everything that a
function starts has ended when it returns, so an answer that is not there by then never comes.
"""

import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from ..engine.errors import ResourceError
from ..engine.resources import Place, Properties, ResourceType
from ..engine.schema import validated

_ANSWER = ("Status", "PhysicalResourceId", "StackId", "RequestId", "LogicalResourceId")


class CustomResource(ResourceType):
    """`Custom::<word>`, or `AWS::CloudFormation::CustomResource`."""

    updated = None  # what a change means is for the function to say
    fixed: ClassVar[dict[str, str]] = {
        "ServiceToken": "Modifying service token is not allowed.",
    }

    def __init__(self, name: str) -> None:
        self.name = name
        self._data: dict[tuple[str, str], dict[str, Any]] = {}

    def create(self, at: Place, wanted: Properties) -> str:
        return self._ask(at, "Create", wanted)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> str:
        return self._ask(at, "Update", new, physical_id, old)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        self._ask(at, "Delete", had, physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        # Nothing tells of it but the function that answered for it.
        at.aws("lambda").get_function(FunctionName=wanted["ServiceToken"])
        return validated(self.name, at.region, wanted)

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return self._data.get((at.stack, at.logical_id), {})

    def _ask(
        self,
        at: Place,
        verb: str,
        wanted: Properties,
        physical_id: str | None = None,
        old: Properties | None = None,
    ) -> str:
        event = {
            "RequestType": verb,
            "StackId": f"arn:aws:cloudformation:{at.region}:{at.account}:stack/{at.stack}",
            "RequestId": str(uuid.uuid4()),
            "LogicalResourceId": at.logical_id,
            "ResourceType": self.name,
            "ServiceToken": wanted["ServiceToken"],
            "ResourceProperties": wanted,
            **({"PhysicalResourceId": physical_id} if physical_id else {}),
            **({"OldResourceProperties": old} if old else {}),
        }
        with _AnswerBox() as box:
            log = _invoke(at, {**event, "ResponseURL": box.url})
        answer = _checked(box.answer, event, log)
        if verb == "Create":
            at.made.append(answer["PhysicalResourceId"])
        if answer["Status"] != "SUCCESS":
            reason = answer.get("Reason") or "(no reason)"
            raise ResourceError(f"Received response status [FAILED] from custom resource. {reason}")
        if verb != "Delete":
            self._data[at.stack, at.logical_id] = answer.get("Data") or {}
        return str(answer["PhysicalResourceId"])


def _invoke(at: Place, event: dict[str, Any]) -> str:
    """Executes the function; returns what is to be said if it has not answered."""
    answer = at.aws("lambda").invoke(
        FunctionName=event["ServiceToken"], Payload=json.dumps(event).encode()
    )
    said = answer["Payload"].read().decode()
    return said if answer.get("FunctionError") else "the function ended without an error"


def _checked(answer: dict[str, Any] | None, event: dict[str, Any], log: str) -> dict[str, Any]:
    if answer is None:
        raise ResourceError(
            "CloudFormation did not receive a response from your Custom Resource. Please check "
            f"your logs for requestId [{event['RequestId']}]: {log}"
        )
    if missing := [key for key in _ANSWER if not answer.get(key)]:
        raise ResourceError(f"Invalid response: {missing[0]} is missing or empty")
    if wrong := [key for key in _ANSWER[2:] if answer[key] != event[key]]:
        raise ResourceError(f"Invalid response: {wrong[0]} is not the request's")
    return answer


class _AnswerBox:
    """Where one answer is put: stands for the signed link into CloudFormation's bucket."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] | None = None
        box = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                box.answer = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """It says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> "_AnswerBox":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
