"""The local server: SageMaker's two routes, `/ping` and `/invocations`, on 127.0.0.1 only."""

import json
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sashiko.artifact import JSON, RequestRefusedError, open_artifact
from sashiko.errors import InputError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request

HOST = "127.0.0.1"
# What SageMaker accepts for a real-time endpoint:
# https://docs.aws.amazon.com/general/latest/gr/sagemaker.html
MAX_BODY_BYTES = 6 * 1024 * 1024
_SHUTDOWN_SECONDS = 15  # 1,000 rows take about 10 s on two cores


@dataclass(frozen=True)
class Limits:
    """What the server takes on before it says 503, and how long it waits for a request.

    Attributes:
        waiting: requests that are scored or wait for it.
        held_bytes: of bodies, those still on their way too.
        connections: open at once.
        seconds: for a request's headers, and again for its body.
    """

    waiting: int = 64
    held_bytes: int = 64 * 1024 * 1024
    connections: int = 256
    seconds: float = 10


class _Desk:
    """Counts who waits for the model, and the bytes that they sent."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting = 0
        self._held = 0

    def refuse_if_full(self) -> None:
        if self._waiting >= self._limits.waiting:
            raise _refusal(503, f"{self._waiting} requests wait already: ask again later")

    @contextmanager
    def place(self) -> Iterator[None]:
        self.refuse_if_full()
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def body(self, request: "Request") -> AsyncIterator[bytes]:
        """Reads a body of at most `MAX_BODY_BYTES`, whatever its length header says."""
        import anyio

        body = bytearray()
        try:
            with anyio.move_on_after(self._limits.seconds) as reading:
                async for chunk in request.stream():
                    body += chunk
                    self._held += len(chunk)
                    if len(body) > MAX_BODY_BYTES:
                        reason = f"the body is over {MAX_BODY_BYTES:,} bytes: send fewer rows"
                        raise _refusal(413, reason)
                    if self._held > self._limits.held_bytes:
                        raise _refusal(503, "too many large requests at once: ask again later")
            if reading.cancelled_caught:
                reason = f"the body did not come within {self._limits.seconds:g} s"
                raise _refusal(408, reason)
            yield bytes(body)
        finally:
            self._held -= len(body)


class Answerer(Protocol):
    """What is served: an `Artifact`, or what a benchmark holds beside it."""

    def respond(self, body: bytes, *, content_type: str | None, accept: str | None) -> str:
        """Answers one request, or raises RequestRefusedError."""


def build_app(artifact: Answerer, limits: Limits | None = None) -> "Starlette":
    """Returns the application; requests are scored one at a time, as by one SageMaker worker.

    Of more than may wait each gets 503, and none is kept; `/ping` is answered whatever waits.
    """
    import anyio
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect
    from starlette.responses import Response
    from starlette.routing import Route

    one_at_a_time = anyio.CapacityLimiter(1)
    desk = _Desk(limits or Limits())

    async def ping(_: "Request") -> Response:
        return Response()

    async def invocations(request: "Request") -> Response:
        content_type = request.headers.get("content-type")
        if (content_type or "").split(";")[0].strip().lower() != JSON:
            # As on an endpoint, where the handler refuses it: not 415.
            raise _refusal(400, f"content type {(content_type or 'none')[:100]}: expected {JSON}")
        desk.refuse_if_full()
        async with desk.body(request) as body:
            with desk.place():
                async with one_at_a_time:
                    return await answer(request, body, content_type)

    async def answer(request: "Request", body: bytes, content_type: str | None) -> Response:
        if await request.is_disconnected():
            raise ClientDisconnect

        def respond() -> str:
            accept = request.headers.get("accept")
            return artifact.respond(body, content_type=content_type, accept=accept)

        try:
            return Response(await anyio.to_thread.run_sync(respond), media_type=JSON)
        except RequestRefusedError as error:
            raise _refusal(400, str(error)) from error

    async def refuse(_: "Request", error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        return told(error.detail, error.status_code, error.headers)

    async def gone(_: "Request", __: Exception) -> Response:
        return Response(status_code=400)  # which nobody reads

    async def fail(_: "Request", __: Exception) -> Response:
        return told("internal error: see the server's log", 500)

    def told(error: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
        # In ASCII: a reason may hold what UTF-8 has not.
        return Response(json.dumps({"error": error}), status, headers, media_type=JSON)

    return Starlette(
        routes=[
            Route("/ping", ping, methods=["GET"]),
            Route("/invocations", invocations, methods=["POST"]),
        ],
        exception_handlers={HTTPException: refuse, ClientDisconnect: gone, Exception: fail},
    )


def serve_artifact(
    archive: Path, *, threshold: float, port: int, limits: Limits | None = None
) -> None:
    """Serves an artifact until Ctrl-C.

    Args:
        archive: `model.tar.gz`.
        threshold: the probability at or above which the positive label is given.
        port: on 127.0.0.1; 0 takes a free one.
        limits: what it takes on at once.

    Raises:
        InputError: if the port is taken, or the artifact cannot be loaded.
    """
    with listen(port) as listener, open_artifact(archive, threshold=threshold) as artifact:
        serve(artifact, listener, limits=limits)


def serve(artifact: Answerer, listener: socket.socket, *, limits: Limits | None = None) -> None:
    """Serves what answers requests until Ctrl-C."""
    import uvicorn

    from sashiko.connections import connection_class

    limits = limits or Limits()
    config = uvicorn.Config(
        build_app(artifact, limits),
        http=connection_class(most=limits.connections, seconds=limits.seconds),
        ws="none",
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    print(_ready(listener.getsockname()[1]), file=sys.stderr, flush=True)
    # uvicorn stops in order and then raises the signal again, which some callers ignore.
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
    print("stopped", file=sys.stderr)


def _refusal(status: int, reason: str) -> "HTTPException":
    from starlette.exceptions import HTTPException

    headers = {408: {"Connection": "close"}, 503: {"Retry-After": "1"}}
    return HTTPException(status, reason, headers.get(status))


def listen(port: int) -> socket.socket:
    """Listens on 127.0.0.1.

    Args:
        port: 0 takes a free one.

    Raises:
        InputError: if the port is taken.
    """
    # Unless TCP is named asyncio leaves Nagle's algorithm on, and each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise InputError(f"cannot listen on {HOST}:{port}: {error.strerror}; try --port") from error
    return listener


def _ready(port: int) -> str:
    url = f"http://{HOST}:{port}"
    example = """-H 'Content-Type: application/json' -d '{"inputs": ["a text to score"]}'"""
    return f"ready on {url} (Ctrl-C stops it); try:\n  curl {url}/invocations {example}"
