"""The local server: SageMaker's two routes, `/ping` and `/invocations`, on 127.0.0.1 only."""

import json
import socket
import sys
from collections.abc import Mapping
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sashiko.errors import InputError
from sashiko.serving.artifact import JSON, RequestRefusedError, open_artifact
from sashiko.serving.local_capture import Capture, CaptureSettings, CapturingResponder, Responder

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request

HOST = "127.0.0.1"
# What SageMaker accepts for a real-time endpoint:
# https://docs.aws.amazon.com/general/latest/gr/sagemaker.html
MAX_BODY_BYTES = 6 * 1024 * 1024
_WAITING = 64  # requests, whose bodies are in memory
_SHUTDOWN_SECONDS = 15  # 1,000 rows take about 10 s on two cores


def build_app(artifact: Responder, *, waiting: int = _WAITING) -> "Starlette":
    """Returns the application; requests are scored one at a time, as by one SageMaker worker.

    At most `waiting` requests are accepted at a time; the others get 503. `/ping` does not wait.
    """
    import anyio
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect
    from starlette.responses import Response
    from starlette.routing import Route

    one_at_a_time = anyio.CapacityLimiter(1)
    accepted = 0

    async def ping(_: "Request") -> Response:
        return Response()

    async def invocations(request: "Request") -> Response:
        content_type = request.headers.get("content-type")
        if (content_type or "").split(";")[0].strip().lower() != JSON:
            # 400, not 415: as on an endpoint, where the handler refuses it.
            raise _refusal(400, f"content type {(content_type or 'none')[:100]}: expected {JSON}")
        nonlocal accepted
        if accepted >= waiting:
            raise _refusal(503, f"{accepted} requests are waiting: try again later")
        accepted += 1
        try:
            body = await _body(request)
            async with one_at_a_time:
                return await answer(request, body, content_type)
        finally:
            accepted -= 1

    async def answer(request: "Request", body: bytes, content_type: str | None) -> Response:
        if await request.is_disconnected():
            raise ClientDisconnect

        accept = request.headers.get("accept")
        respond = partial(artifact.respond, body, content_type=content_type, accept=accept)
        try:
            return Response(await anyio.to_thread.run_sync(respond), media_type=JSON)
        except RequestRefusedError as error:
            raise _refusal(400, str(error)) from error

    async def refuse(_: "Request", error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        return error_response(error.detail, error.status_code, error.headers)

    async def disconnect(_: "Request", __: Exception) -> Response:
        return Response(status_code=400)  # the client is gone

    async def fail(_: "Request", __: Exception) -> Response:
        return error_response("internal error: see the server's log", 500)

    def error_response(
        reason: str, status: int, headers: Mapping[str, str] | None = None
    ) -> Response:
        # As ASCII: a reason may contain a lone surrogate, which UTF-8 cannot encode.
        return Response(json.dumps({"error": reason}), status, headers, media_type=JSON)

    return Starlette(
        routes=[
            Route("/ping", ping, methods=["GET"]),
            Route("/invocations", invocations, methods=["POST"]),
        ],
        exception_handlers={HTTPException: refuse, ClientDisconnect: disconnect, Exception: fail},
    )


def serve_artifact(
    archive: Path,
    *,
    threshold: float,
    port: int,
    waiting: int = _WAITING,
    capture: CaptureSettings | None = None,
) -> None:
    """Serves an artifact on 127.0.0.1 until Ctrl-C; port 0 takes a free one.

    The second of two labels is given at or above the threshold. `waiting` requests are accepted
    at a time; the others get 503. Without `capture` no request and answer is kept.

    Raises:
        InputError: if the port is taken, the artifact cannot be loaded, or the folder of captures
            cannot be written.
    """
    with listen(port) as listener, open_artifact(archive, threshold=threshold) as artifact:
        if capture is None:
            serve(artifact, listener, waiting=waiting)
            return
        with closing(Capture(capture)) as records:
            serve(CapturingResponder(artifact, records), listener, waiting=waiting)


def serve(artifact: Responder, listener: socket.socket, *, waiting: int = _WAITING) -> None:
    """Answers requests until Ctrl-C."""
    import uvicorn

    config = uvicorn.Config(
        build_app(artifact, waiting=waiting),
        http="h11",
        ws="none",
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    example = """-H 'Content-Type: application/json' -d '{"inputs": ["a text to score"]}'"""
    ready = f"ready on {url} (Ctrl-C stops it); try:\n  curl {url}/invocations {example}"
    print(ready, file=sys.stderr, flush=True)
    # After an orderly stop, uvicorn raises the signal again.
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
    print("stopped", file=sys.stderr)


async def _body(request: "Request") -> bytes:
    """Reads a body of at most `MAX_BODY_BYTES`, whatever its length header says."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _refusal(413, f"the body is over {MAX_BODY_BYTES:,} bytes: send fewer rows")
    return bytes(body)


def _refusal(status: int, reason: str) -> "HTTPException":
    from starlette.exceptions import HTTPException

    return HTTPException(status, reason, {"Retry-After": "1"} if status == 503 else None)


def listen(port: int) -> socket.socket:
    """Listens on 127.0.0.1; port 0 takes a free one.

    Raises:
        InputError: if the port is taken.
    """
    # Unless TCP is named, asyncio leaves Nagle's algorithm on, which delays each answer by 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise InputError(f"cannot listen on {HOST}:{port}: {error.strerror}; try --port") from error
    return listener
