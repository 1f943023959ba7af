"""A loopback server that speaks Converse by botocore's model of bedrock-runtime.

Requests are held against the model's input shape, and answers against its output shape, so neither
the client nor these tests can send what the service does not know.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote

import botocore.session
from botocore.validate import ParamValidator

from tests import loopback
from tests.loopback import Answer, Request, error_answer

# Error code -> HTTP status, by the API reference of Converse.
STATUS: Mapping[str, int] = {
    "AccessDeniedException": 403, "InternalServerException": 500, "ModelErrorException": 424,
    "ModelNotReadyException": 429, "ModelTimeoutException": 408, "ResourceNotFoundException": 404,
    "ServiceUnavailableException": 503, "ThrottlingException": 429, "ValidationException": 400,
}  # fmt: skip
Fault = Literal["cut", "timeout"]
INPUT_TOKENS, OUTPUT_TOKENS, LATENCY_MS = 100, 3, 250


def operation() -> Any:
    return botocore.session.get_session().get_service_model("bedrock-runtime").operation_model(
        "Converse"
    )  # fmt: skip


def stop_reasons() -> Sequence[str]:
    """Every stop reason that the model knows."""
    return tuple(operation().output_shape.members["stopReason"].enum)


def answered(text="yes", *, stop_reason="end_turn", tool=None) -> dict[str, Any]:
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
    if code not in STATUS or code not in {shape.name for shape in operation().error_shapes}:
        raise ValueError(code)
    return code


# The prompt's text and the number of requests so far -> a response, an error's code, a fault, or
# the bytes of a response that botocore's model does not know.
Reply = Callable[[str, int], dict[str, Any] | str | bytes]


@dataclass
class Service:
    """What the server answers, and the requests that it got."""

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


@contextmanager
def serving(reply: Reply) -> Iterator[Service]:
    """Serves on 127.0.0.1 until the block ends."""
    service = Service(reply)

    def answer(request: Request) -> Answer | None:
        body = json.loads(request.body)
        model, _, action = request.path.removeprefix("/model/").rpartition("/")
        assert action == "converse", request.path
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
                code = "ValidationException"
                return error_answer(STATUS[code], code, problems.generate_report())
            text = body["messages"][-1]["content"][0]["text"]
            return _answer(service, service.reply(text, number))
        finally:
            with service.lock:
                service.under_way -= 1

    with loopback.serving(answer) as url:
        service.url = url
        try:
            yield service
        finally:
            service.released.set()


def _answer(service: Service, reply: dict[str, Any] | str | bytes) -> Answer | None:
    if isinstance(reply, bytes):
        return Answer(200, reply)
    if isinstance(reply, dict):
        problems = ParamValidator().validate(reply, operation().output_shape)
        assert not problems.has_errors(), problems.generate_report()
        return Answer(200, json.dumps(reply).encode())
    if reply == "cut":
        content = json.dumps(answered()).encode()
        return Answer(200, content[: len(content) // 2], length=len(content))
    if reply == "timeout":
        service.released.wait(20)
        return None
    return error_answer(STATUS[reply], reply, "of the test")


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
            retries={"total_max_attempts": 1}, read_timeout=read_timeout, max_pool_connections=16
        ),
    )
