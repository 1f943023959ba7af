"""SageMaker on loopback, as far as a device check calls it: states, refusals, and a real handler.

It answers the wire protocol, so that the step can be another process. What is created is held
against the API's types, patterns and limits, and nothing can be deleted while it is being created.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sashiko.pipeline.definition.validator.api_shapes import check_value, shape

_WORDS = {
    "Model": "model",
    "EndpointConfig": "endpoint configuration",
    "Endpoint": "endpoint",
    "TransformJob": "transform job",
}


class RefusedError(Exception):
    """What the service refuses, in its own words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class FakeAccount:
    """What there is, and the requests."""

    def __init__(self, respond: Callable[[bytes], bytes]) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []  # operation, parameters; in their order
        self.models: dict[str, dict[str, Any]] = {}  # name -> parameters
        self.configs: dict[str, dict[str, Any]] = {}  # the same of endpoint configurations
        self.endpoints: dict[str, str] = {}  # name -> status
        self.jobs: dict[str, str] = {}  # name -> status of a transform job
        self._of = {
            "Model": self.models,
            "EndpointConfig": self.configs,
            "Endpoint": self.endpoints,
            "TransformJob": self.jobs,
        }
        self.objects: dict[str, bytes] = {}  # path -> content in S3
        self.refuse: dict[str, tuple[str, str]] = {}  # operation -> the error that it gives
        self.polls = 1  # descriptions of an endpoint or job before it is ready; -1 never
        self.failure = ""  # why an endpoint or a job fails instead; empty if it does not
        self.respond = respond  # the model behind the endpoint
        self.url = ""
        self.invoked = threading.Event()
        self.described = threading.Event()
        self._left = 0

    @property
    def leftovers(self) -> list[str]:
        """What costs money or is in the way."""
        return sorted({*self.models, *self.configs, *self.endpoints})

    @property
    def names(self) -> list[str]:
        """The operations that were called, in their order."""
        return [name for name, _ in self.calls]

    def request_of(self, operation: str) -> dict[str, Any]:
        """The parameters of the only call of an operation."""
        [description] = [parameters for name, parameters in self.calls if name == operation]
        return description

    def call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((operation, parameters))
        if operation in self.refuse:
            raise RefusedError(*self.refuse[operation])
        if operation.startswith("Create"):
            request = shape(f"{operation}{'Request' if 'Transform' in operation else 'Input'}")
            problems = check_value(parameters, request, where=operation, resolve=lambda v, _: v)
            assert [problem for problem in problems if problem] == []
        verb, kind = re.fullmatch("(Create|Describe|Delete|Stop)(.*)", operation).groups()
        if verb == "Create":
            self._create(kind, parameters)
            return {f"{kind}Arn": "arn:aws:sagemaker:eu-west-1:111122223333:any"}
        name = parameters[f"{kind}Name"]
        self._known(kind, name)
        if verb == "Describe":
            return self._describe(kind, name)
        if verb == "Delete":
            self._delete(kind, name)
        else:
            self.jobs[name] = "Stopped"
        return {}

    def _create(self, kind: str, request: dict[str, Any]) -> None:
        known, name = self._of[kind], request[f"{kind}Name"]
        if name in known:
            raise RefusedError("ValidationException", f"Cannot create already existing {name}")
        if kind == "Endpoint":
            self._known("EndpointConfig", request["EndpointConfigName"])
        elif kind != "Model":
            holder = request if kind == "TransformJob" else request["ProductionVariants"][0]
            self._known("Model", holder["ModelName"])
        started = {"Endpoint": "Creating", "TransformJob": "InProgress"}
        known[name] = started.get(kind, request)
        self._left = self.polls

    def _describe(self, kind: str, name: str) -> dict[str, Any]:
        known = self._of[kind]
        if kind == "EndpointConfig":
            return {}
        if known[name] in ("Creating", "InProgress") and self._due():
            ready = "InService" if kind == "Endpoint" else "Completed"
            known[name] = "Failed" if self.failure else ready
            if known[name] == "Completed":
                self._transform()
        self.described.set()
        return {f"{kind}Status": known[name], "FailureReason": self.failure}

    def _delete(self, kind: str, name: str) -> None:
        # With the last of its kind gone at once, so that a test need not poll.
        if self.endpoints.get(name) == "Creating":
            assert kind != "EndpointConfig", "an endpoint without it hangs for hours"
            if kind == "Endpoint":
                raise RefusedError("ValidationException", "Cannot update in-progress endpoint.")
        del self._of[kind][name]

    def _known(self, kind: str, name: str) -> None:
        if name not in self._of[kind]:
            raise RefusedError("ValidationException", f'Could not find {_WORDS[kind]} "{name}".')

    def _due(self) -> bool:
        self._left -= 1
        return self._left == 0

    def _transform(self) -> None:
        request = self.request_of("CreateTransformJob")
        source = request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
        uris = (source, request["TransformOutput"]["S3OutputPath"])
        start, out = (f"/{uri.removeprefix('s3://')}" for uri in uris)
        for path in [path for path in self.objects if path.startswith(start)]:
            name = path.removeprefix(start)
            self.objects[f"{out}/{name}.out"] = self.respond(self.objects[path])


@contextmanager
def listening(account: FakeAccount) -> Iterator[FakeAccount]:
    """Serves an account on loopback for as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # boto3 asks whether it may go on before it sends a file
        wbufsize = -1  # an answer in one piece

        def do_POST(self) -> None:
            body = self._body()
            target = self.headers.get("X-Amz-Target", "")
            try:
                if target:
                    answer = account.call(target.partition(".")[2], json.loads(body))
                    self._answer(200, json.dumps(answer).encode())
                else:
                    account.calls.append(("InvokeEndpoint", {"path": self.path}))
                    content = account.respond(body)
                    account.invoked.set()
                    self._answer(200, content)
            except RefusedError as error:
                error_body = {"__type": error.code, "message": str(error), "Message": str(error)}
                self._answer(400, json.dumps(error_body).encode(), error=error.code)

        def do_PUT(self) -> None:
            account.objects[self.path] = _unchunked(self._body())
            self._answer(200, b"")

        def do_GET(self) -> None:
            content = account.objects.get(self.path)
            self._answer(200 if content is not None else 404, content or b"")

        def handle_expect_100(self) -> bool:
            goes_on = super().handle_expect_100()
            self.wfile.flush()
            return goes_on

        def log_message(self, *_: Any) -> None:
            pass

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _answer(self, status: int, content: bytes, *, error: str = "") -> None:
            self.send_response(status)
            if error:
                self.send_header("x-amzn-ErrorType", error)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    account.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield account
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _unchunked(body: bytes) -> bytes:
    """Takes a body out of the chunks with a checksum at the end that boto3 sends it in."""
    size, line, rest = body.partition(b"\r\n")
    if not line or b"{" in size:
        return body
    return rest[: int(size.split(b";")[0], 16)]
