"""A loopback server that speaks Converse by botocore's model of bedrock-runtime.

Requests are held against the model's input shape, and answers against its output shape, so neither
the client nor these tests can send what the service does not know.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import unquote

import botocore.session
from botocore.validate import ParamValidator

# Error code -> HTTP status, by the API reference of Converse.
STATUS: Mapping[str, int] = {
    "AccessDeniedException": 403,
    "InternalServerException": 500,
    "ModelErrorException": 424,
    "ModelNotReadyException": 429,
    "ModelTimeoutException": 408,
    "ResourceNotFoundException": 404,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "ValidationException": 400,
}
Fault = Literal["cut", "timeout", "lacking"]
INPUT_TOKENS, OUTPUT_TOKENS, LATENCY_MS = 100, 3, 250


def operation() -> Any:
    """Converse in botocore's model."""
    return botocore.session.get_session().get_service_model("bedrock-runtime").operation_model(
        "Converse"
    )  # fmt: skip


def stop_reasons() -> Sequence[str]:
    """Every stop reason that the model knows."""
    return tuple(operation().output_shape.members["stopReason"].enum)


def answered(
    text: str = "yes", *, stop_reason: str = "end_turn", tool: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A response of Converse."""
    block = {"toolUse": {"toolUseId": "t1", **tool}} if tool else {"text": text}
    return {
        "output": {"message": {"role": "assistant", "content": [block]}},
        "stopReason": stop_reason,
        "usage": {
            "inputTokens": INPUT_TOKENS,
            "outputTokens": OUTPUT_TOKENS,
            "totalTokens": INPUT_TOKENS + OUTPUT_TOKENS,
        },
        "metrics": {"latencyMs": LATENCY_MS},
    }


def error(code: str) -> str:
    """An error of the service, as `Service.reply` may return it."""
    if code not in STATUS or code not in {shape.name for shape in operation().error_shapes}:
        raise ValueError(code)
    return code


# The prompt's text and the number of requests so far -> a response, an error's code, or a fault.
Reply = Callable[[str, int], dict[str, Any] | str]


@dataclass
class Service:
    """What the server answers, and what it was asked."""

    reply: Reply
    bodies: list[dict[str, Any]] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    released: threading.Event = field(default_factory=threading.Event)  # at the end of the test
    url: str = ""

    @property
    def texts(self) -> list[str]:
        return [body["messages"][-1]["content"][0]["text"] for body in self.bodies]


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        service = self.server.service
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        _, _, rest = self.path.partition("/model/")
        model, _, action = rest.rpartition("/")
        assert action == "converse", self.path
        shape = operation().input_shape
        problems = ParamValidator().validate({"modelId": unquote(model), **body}, shape)
        with service.lock:
            service.bodies.append(body)
            service.models.append(unquote(model))
            number = len(service.bodies)
            service.under_way += 1
            service.most_under_way = max(service.most_under_way, service.under_way)
        try:
            if problems.has_errors():
                self._error("ValidationException", problems.generate_report())
            else:
                self._reply(service.reply(body["messages"][-1]["content"][0]["text"], number))
        finally:
            with service.lock:
                service.under_way -= 1

    def _reply(self, reply: dict[str, Any] | str) -> None:
        if isinstance(reply, dict):
            problems = ParamValidator().validate(reply, operation().output_shape)
            assert not problems.has_errors(), problems.generate_report()
            self._send(200, json.dumps(reply).encode())
        elif reply == "cut":
            content = json.dumps(answered()).encode()
            self._send(200, content[: len(content) // 2], length=len(content))
            self.close_connection = True
        elif reply == "timeout":
            self.server.service.released.wait(20)
            self.close_connection = True
        elif reply == "lacking":
            self._send(200, b"{}")
        else:
            self._error(reply, "of the test")

    def _error(self, code: str, message: str) -> None:
        content = json.dumps({"message": message}).encode()
        self._send(STATUS[code], content, code=code)

    def _send(self, status: int, content: bytes, *, code: str = "", length: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length or len(content)))
        if code:
            self.send_header("x-amzn-ErrorType", code)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    service: Service


@contextmanager
def serving(reply: Reply) -> Iterator[Service]:
    """Serves on 127.0.0.1 until the block ends."""
    service = Service(reply)
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.service = service
        service.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield service
        finally:
            service.released.set()
            server.shutdown()
            thread.join()


def client(service: Service, *, read_timeout: float = 20) -> Any:
    """A client of bedrock-runtime that calls the server once for each request."""
    import boto3
    from botocore.config import Config

    return boto3.Session(
        aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="example", region_name="us-east-1"
    ).client(
        "bedrock-runtime",
        endpoint_url=service.url,
        config=Config(
            retries={"total_max_attempts": 1},
            read_timeout=read_timeout,
            max_pool_connections=16,
        ),
    )
