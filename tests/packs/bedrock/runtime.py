"""bedrock-runtime over HTTP on this machine: InvokeModel of an imported model, and ApplyGuardrail.

Requests and answers are held against botocore's model; the body of InvokeModel is the model's own.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from botocore.session import get_session
from botocore.validate import validate_parameters

from tests import loopback
from tests.loopback import Answer, Request, error_answer

_MODEL = get_session().get_service_model("bedrock-runtime")
_INVOKE = re.compile(r"/model/(?P<modelId>.+)/invoke")
_APPLY = re.compile(
    r"/guardrail/(?P<guardrailIdentifier>.+)/version/(?P<guardrailVersion>.+)/apply"
)
# Error code -> HTTP status, by the API reference.
STATUS = {
    "AccessDeniedException": 403,
    "InternalServerException": 500,
    "ModelNotReadyException": 429,
    "ResourceNotFoundException": 404,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "ValidationException": 400,
}
INTERVENED = "amazon-bedrock-guardrailAction"


@dataclass
class Runtime:
    """What the service answers, and the requests that it got."""

    # The body of an imported model's answer to a request's body.
    complete: Callable[[dict[str, Any]], Any] = lambda _: {}
    blocks: Callable[[str], bool] = lambda _: False  # whether the guardrail blocks a text
    # Of the next calls, in order: an error's code, `silent` or `cut`.
    faults: list[str] = field(default_factory=list)
    # Operation and request, in order, of those that were answered or failed.
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)  # set when the test ends
    lock: threading.Lock = field(default_factory=threading.Lock)

    def texts(self) -> list[str]:
        """The texts that the guardrail got."""
        return [
            request["content"][0]["text"]["text"]
            for operation, request in self.requests
            if operation == "ApplyGuardrail"
        ]

    def invoke(self, request: dict[str, Any]) -> Any:
        body = json.loads(request["body"])
        if self.blocks(body["prompt"]):
            return {INTERVENED: "INTERVENED", "choices": [{"text": "blocked"}]}
        return {INTERVENED: "NONE", **self.complete(body)}

    def apply(self, request: dict[str, Any]) -> dict[str, Any]:
        (item,) = request["content"]
        blocked = self.blocks(item["text"]["text"])
        policy = {"filters": [{"type": "PROMPT_ATTACK", "confidence": "HIGH", "action": "BLOCKED"}]}
        usage = dict.fromkeys(_usage().required_members, 1)
        answer = {
            "usage": usage,
            "action": "GUARDRAIL_INTERVENED" if blocked else "NONE",
            "outputs": [{"text": "blocked"}] if blocked else [],
            "assessments": [{"contentPolicy": policy}] if blocked else [],
        }
        validate_parameters(answer, _MODEL.operation_model("ApplyGuardrail").output_shape)
        return answer


def _usage() -> Any:
    return _MODEL.operation_model("ApplyGuardrail").output_shape.members["usage"]


@contextmanager
def serving(state: Runtime) -> Iterator[str]:
    """Serves the state on 127.0.0.1, and yields the endpoint's URL."""

    def answer(request: Request) -> Answer | None:
        operation, given = _operation(request)
        validate_parameters(given, _MODEL.operation_model(operation).input_shape)
        with state.lock:
            state.requests.append((operation, given))
            fault = state.faults.pop(0) if state.faults else ""
        if fault == "silent":
            state.over.wait(20)
            return None
        if fault in STATUS:
            return error_answer(STATUS[fault], fault, "of the test")
        answered = state.invoke(given) if operation == "InvokeModel" else state.apply(given)
        content = json.dumps(answered).encode()
        return Answer(200, content[: len(content) // 2] if fault == "cut" else content)

    with loopback.serving(answer) as url:
        try:
            yield url
        finally:
            state.over.set()


def _operation(request: Request) -> tuple[str, dict[str, Any]]:
    path = unquote(request.path)
    if match := _INVOKE.fullmatch(path):
        members = _MODEL.operation_model("InvokeModel").input_shape.members
        headers = {
            name: request.headers[shape.serialization["name"]]
            for name, shape in members.items()
            if shape.serialization.get("location") == "header"
            and shape.serialization["name"] in request.headers
        }
        return "InvokeModel", {**match.groupdict(), **headers, "body": request.body}
    match = _APPLY.fullmatch(path)
    assert match, path
    return "ApplyGuardrail", {**match.groupdict(), **json.loads(request.body)}
