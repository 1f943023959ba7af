"""SageMaker on loopback, as far as a device check calls it: states, refusals, and a real handler.

It answers the wire protocol, so that the step can be another process. What is created is held
against the API's types, patterns and limits, and nothing can be deleted while it is being created.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sashiko.pipeline.definition.validator.check import check_value, shape

_MISSING = 'Could not find {kind} "{name}".'


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
        description: dict[str, Any] | None = getattr(self, f"_{operation}")(parameters)
        return description or {}

    def _CreateModel(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        _new(self.models, request["ModelName"])
        self.models[request["ModelName"]] = request
        return {"ModelArn": "arn:aws:sagemaker:eu-west-1:111122223333:model/m"}

    def _CreateEndpointConfig(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        _known(self.models, "model", request["ProductionVariants"][0]["ModelName"])
        _new(self.configs, request["EndpointConfigName"])
        self.configs[request["EndpointConfigName"]] = request
        return {"EndpointConfigArn": "arn:aws:sagemaker:eu-west-1:111122223333:endpoint-config/c"}

    def _CreateEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        _known(self.configs, "endpoint configuration", request["EndpointConfigName"])
        _new(self.endpoints, request["EndpointName"])
        self.endpoints[request["EndpointName"]] = "Creating"
        self._left = self.polls
        return {"EndpointArn": "arn:aws:sagemaker:eu-west-1:111122223333:endpoint/e"}

    def _CreateTransformJob(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        _known(self.models, "model", request["ModelName"])
        self.jobs[request["TransformJobName"]] = "InProgress"
        self._left = self.polls
        return {"TransformJobArn": "arn:aws:sagemaker:eu-west-1:111122223333:transform-job/t"}

    def _DescribeEndpointConfig(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        _known(self.configs, "endpoint configuration", request["EndpointConfigName"])
        return {}

    def _DescribeEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = request["EndpointName"]
        _known(self.endpoints, "endpoint", name)
        if self.endpoints[name] == "Creating" and self._due():
            self.endpoints[name] = "Failed" if self.failure else "InService"
        self.described.set()
        description = {"EndpointStatus": self.endpoints[name], "FailureReason": self.failure}
        if self.endpoints[name] == "Deleting":
            del self.endpoints[name]
        return description

    def _DescribeTransformJob(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = request["TransformJobName"]
        _known(self.jobs, "transform job", name)
        if self.jobs[name] == "InProgress" and self._due():
            self.jobs[name] = "Failed" if self.failure else "Completed"
            if not self.failure:
                self._transform()
        self.described.set()
        return {"TransformJobStatus": self.jobs[name], "FailureReason": self.failure}

    def _StopTransformJob(self, request: dict[str, Any]) -> None:  # noqa: N802
        self.jobs[request["TransformJobName"]] = "Stopped"

    def _DeleteEndpoint(self, request: dict[str, Any]) -> None:  # noqa: N802
        name = request["EndpointName"]
        _known(self.endpoints, "endpoint", name)
        if self.endpoints[name] in ("Creating", "Deleting"):
            raise RefusedError("ValidationException", "Cannot update in-progress endpoint.")
        # With the last of its kind gone at once, so that a test need not poll.
        del self.endpoints[name]

    def _DeleteEndpointConfig(self, request: dict[str, Any]) -> None:  # noqa: N802
        name = request["EndpointConfigName"]
        _known(self.configs, "endpoint configuration", name)
        assert self.endpoints.get(name) != "Creating", "an endpoint without it hangs for hours"
        del self.configs[name]

    def _DeleteModel(self, request: dict[str, Any]) -> None:  # noqa: N802
        _known(self.models, "model", request["ModelName"])
        del self.models[request["ModelName"]]

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


def _new(known: dict[str, Any], name: str) -> None:
    if name in known:
        raise RefusedError("ValidationException", f"Cannot create already existing {name}")


def _known(known: dict[str, Any], kind: str, name: str) -> None:
    if name not in known:
        raise RefusedError("ValidationException", _MISSING.format(kind=kind, name=name))


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
