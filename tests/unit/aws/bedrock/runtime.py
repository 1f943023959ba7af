"""bedrock-runtime over HTTP on this machine: InvokeModel of an imported model, and ApplyGuardrail.

Requests and answers are held against botocore's model; the body of InvokeModel is the model's own.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from botocore.session import get_session
from botocore.validate import validate_parameters

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
    """What the service answers, and what it was asked.

    Attributes:
        complete: the body of an imported model's answer to a request's body.
        blocks: whether the guardrail blocks a text.
        faults: of the next calls, in order: an error's code, `silent` or `cut`.
        requests: operation and request, in order, of those that were answered or failed.
        over: set when the test ends.
    """

    complete: Callable[[dict[str, Any]], Any] = lambda _: {}
    blocks: Callable[[str], bool] = lambda _: False
    faults: list[str] = field(default_factory=list)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def texts(self) -> list[str]:
        """The texts that the guardrail was asked about."""
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

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            operation, request = self._request(body)
            validate_parameters(request, _MODEL.operation_model(operation).input_shape)
            with state.lock:
                state.requests.append((operation, request))
                fault = state.faults.pop(0) if state.faults else ""
            if fault == "silent":
                state.over.wait(20)
                self.close_connection = True
                return
            if fault in STATUS:
                self._send(STATUS[fault], json.dumps({"message": "of the test"}).encode(), fault)
                return
            answer = state.invoke(request) if operation == "InvokeModel" else state.apply(request)
            content = json.dumps(answer).encode()
            self._send(200, content[: len(content) // 2] if fault == "cut" else content, "")

        def _request(self, body: bytes) -> tuple[str, dict[str, Any]]:
            path = unquote(self.path)
            if match := _INVOKE.fullmatch(path):
                members = _MODEL.operation_model("InvokeModel").input_shape.members
                headers = {
                    name: self.headers[shape.serialization["name"]]
                    for name, shape in members.items()
                    if shape.serialization.get("location") == "header"
                    and shape.serialization["name"] in self.headers
                }
                return "InvokeModel", {**match.groupdict(), **headers, "body": body}
            match = _APPLY.fullmatch(path)
            assert match, path
            return "ApplyGuardrail", {**match.groupdict(), **json.loads(body)}

        def _send(self, status: int, content: bytes, code: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            if code:
                self.send_header("x-amzn-ErrorType", code)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        state.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
