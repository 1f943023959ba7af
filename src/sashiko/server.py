"""The local server: SageMaker's two routes, `/ping` and `/invocations`, on 127.0.0.1 only."""

import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sashiko.artifact import JSON, Artifact, RequestRefusedError, open_artifact
from sashiko.errors import InputError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

HOST = "127.0.0.1"
# What SageMaker accepts for a real-time endpoint:
# https://docs.aws.amazon.com/general/latest/gr/sagemaker.html
MAX_BODY_BYTES = 6 * 1024 * 1024


def build_app(artifact: Artifact) -> "Starlette":
    """Returns the application; requests are scored one at a time, as by one SageMaker worker."""
    import anyio
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    one_at_a_time = anyio.CapacityLimiter(1)

    async def ping(_: "Request") -> Response:
        return Response()

    async def invocations(request: "Request") -> Response:
        content_type = request.headers.get("content-type")
        if (content_type or "").split(";")[0].strip().lower() != JSON:
            raise HTTPException(415, f"content type {content_type}: expected {JSON}")
        body = await _read_body(request)

        def respond() -> str:
            accept = request.headers.get("accept")
            return artifact.respond(body, content_type=content_type, accept=accept)

        try:
            answer = await anyio.to_thread.run_sync(respond, limiter=one_at_a_time)
        except RequestRefusedError as error:
            raise HTTPException(400, str(error)) from error
        return Response(answer, media_type=JSON)

    async def refuse(_: "Request", error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)

    async def fail(_: "Request", __: Exception) -> Response:
        return JSONResponse({"error": "internal error: see the server's log"}, 500)

    return Starlette(
        routes=[
            Route("/ping", ping, methods=["GET"]),
            Route("/invocations", invocations, methods=["POST"]),
        ],
        exception_handlers={HTTPException: refuse, Exception: fail},
    )


def serve_artifact(archive: Path, *, threshold: float, port: int) -> None:
    """Serves an artifact until Ctrl-C.

    Args:
        archive: `model.tar.gz`.
        threshold: the probability at or above which the positive label is given.
        port: on 127.0.0.1; 0 takes a free one.

    Raises:
        InputError: if the port is taken, or the artifact cannot be loaded.
    """
    import uvicorn

    with _listen(port) as listener, open_artifact(archive, threshold=threshold) as artifact:
        config = uvicorn.Config(
            build_app(artifact), log_level="warning", access_log=False, lifespan="off"
        )
        print(_ready(listener.getsockname()[1]), file=sys.stderr, flush=True)
        # uvicorn stops in order and then raises the signal again, which some callers ignore.
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
        print("stopped", file=sys.stderr)


async def _read_body(request: "Request") -> bytes:
    """Reads a body of at most `MAX_BODY_BYTES`, whatever its length header says."""
    from starlette.exceptions import HTTPException

    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413, f"the body is over {MAX_BODY_BYTES:,} bytes: send fewer rows")
    return bytes(body)


def _listen(port: int) -> socket.socket:
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
