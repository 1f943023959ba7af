"""Custom resources: executes the function of the service token and applies its answer.

CloudFormation waits for an answer until the resource's ServiceTimeout. Here everything that a
function starts has ended when it returns, so an answer that is not there by then never comes.
"""

import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from ..engine.resources import Place, Properties, ResourceError, ResourceType, validated

_ANSWER = ("Status", "PhysicalResourceId", "StackId", "RequestId", "LogicalResourceId")


class CustomResource(ResourceType):
    """`Custom::<word>`, or `AWS::CloudFormation::CustomResource`."""

    updated = None  # the function decides what a change means
    fixed: ClassVar[dict[str, str]] = {"ServiceToken": "Modifying service token is not allowed."}

    def __init__(self, name: str) -> None:
        self.name = name
        self._data: dict[tuple[str, str], dict[str, Any]] = {}

    def create(self, place: Place, desired: Properties) -> str:
        return self._request_answer(place, "Create", desired)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> str:
        return self._request_answer(place, "Update", new, physical_id, old)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        self._request_answer(place, "Delete", properties, physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        # Only the function that answered for it describes it.
        place.aws("lambda").get_function(FunctionName=desired["ServiceToken"])
        return validated(self.name, place.region, desired)

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return self._data.get((place.stack, place.logical_id), {})

    def _request_answer(
        self,
        place: Place,
        verb: str,
        desired: Properties,
        physical_id: str | None = None,
        old: Properties | None = None,
    ) -> str:
        event = {
            "RequestType": verb,
            "StackId": f"arn:aws:cloudformation:{place.region}:{place.account}:stack/{place.stack}",
            "RequestId": str(uuid.uuid4()),
            "LogicalResourceId": place.logical_id,
            "ResourceType": self.name,
            "ServiceToken": desired["ServiceToken"],
            "ResourceProperties": desired,
            **({"PhysicalResourceId": physical_id} if physical_id else {}),
            **({"OldResourceProperties": old} if old else {}),
        }
        with _AnswerBox() as box:
            log = _invoke(place, {**event, "ResponseURL": box.url})
        answer = _check_answer(box.answer, event, log)
        if verb == "Create":
            place.created_ids.append(answer["PhysicalResourceId"])
        if answer["Status"] != "SUCCESS":
            reason = answer.get("Reason") or "(no reason)"
            raise ResourceError(f"Received response status [FAILED] from custom resource. {reason}")
        if verb != "Delete":
            self._data[place.stack, place.logical_id] = answer.get("Data") or {}
        return str(answer["PhysicalResourceId"])


def _invoke(place: Place, event: dict[str, Any]) -> str:
    response = place.aws("lambda").invoke(
        FunctionName=event["ServiceToken"], Payload=json.dumps(event).encode()
    )
    output = response["Payload"].read().decode()
    return output if response.get("FunctionError") else "the function ended without an error"


def _check_answer(answer: dict[str, Any] | None, event: dict[str, Any], log: str) -> dict[str, Any]:
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
    """Receives one answer, in place of the signed link into CloudFormation's bucket."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] | None = None
        box = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                box.answer = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Logs nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> "_AnswerBox":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
