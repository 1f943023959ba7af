"""The local server: SageMaker's two routes, `/ping` and `/invocations`, on 127.0.0.1 only.

An ASGI application without a framework, which would take longer for a request than the handler.
"""

import asyncio
import json
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from sashiko.errors import InputError
from sashiko.serving.artifact import JSON, RequestRefusedError, open_artifact
from sashiko.serving.local_capture import Capture, CaptureSettings, CapturingResponder, Responder

HOST = "127.0.0.1"
# What SageMaker accepts for a real-time endpoint:
# https://docs.aws.amazon.com/general/latest/gr/sagemaker.html
MAX_BODY_BYTES = 6 * 1024 * 1024
_HEAD_BYTES = 256 * 1024  # at least a piece that the system hands over
_WAITING = 64  # requests, whose bodies are in memory
_SHUTDOWN_SECONDS = 15  # 1,000 rows take about 10 s on two cores
_METHODS: Final[Mapping[str, str]] = {"/ping": "GET", "/invocations": "POST"}
# Of ASGI: https://asgi.readthedocs.io/en/latest/specs/www.html
_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]


class _RefusalError(Exception):
    """A request that is answered with a status of its own."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _DisconnectError(Exception):
    """The client has left."""


class _Application:
    """Scores requests one at a time, as one SageMaker worker does, in the order of their coming.

    At most `waiting` requests are accepted at a time; the others get 503. `/ping` does not wait.
    """

    def __init__(self, responder: Responder, *, waiting: int) -> None:
        self._responder = responder
        self._waiting = waiting
        self._accepted = 0
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1)

    async def __call__(self, scope: dict[str, Any], receive: _Receive, send: _Send) -> None:
        """Answers a request."""
        status, headers = 200, [(b"content-type", JSON.encode())]
        try:
            text = await self._answer(scope, receive)
        except _DisconnectError:
            return
        except Exception as error:
            status, reason = 500, "internal error: see the server's log"
            if isinstance(error, _RefusalError):
                status, reason = error.status, str(error)
            elif isinstance(error, RequestRefusedError):
                status, reason = 400, str(error)
            else:
                traceback.print_exc()
            # As ASCII: a reason may contain a lone surrogate, which UTF-8 cannot encode.
            text = json.dumps({"error": reason})
            headers += [(b"retry-after", b"1")] if status == 503 else []
        body = text.encode()
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: dict[str, Any], receive: _Receive) -> str:
        path, headers = scope["path"], dict(scope["headers"])
        if path not in _METHODS:
            raise _RefusalError(404, "Not Found")
        if scope["method"] != _METHODS[path]:
            raise _RefusalError(405, "Method Not Allowed")
        if path == "/ping":
            return ""
        content_type, accept = (
            headers[name].decode("latin-1") if name in headers else None
            for name in (b"content-type", b"accept")
        )
        if (content_type or "").split(";")[0].strip().lower() != JSON:
            # 400, not 415: as on an endpoint, where the handler refuses it.
            raise _RefusalError(
                400, f"content type {(content_type or 'none')[:100]}: expected {JSON}"
            )
        if self._accepted >= self._waiting:
            raise _RefusalError(503, f"{self._accepted} requests are waiting: try again later")
        self._accepted += 1
        try:
            body = await _body(receive)
            work = partial(self._responder.respond, body, content_type=content_type, accept=accept)
            # What `receive` gives after the body is the client's leave.
            leave = asyncio.ensure_future(receive()) if self._turn.locked() else None
            async with self._turn:
                if leave and (leave.done() or not leave.cancel()):
                    raise _DisconnectError
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._accepted -= 1


async def _body(receive: _Receive) -> bytes:
    """Reads a body of at most `MAX_BODY_BYTES`, whatever its length header says."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _DisconnectError
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise _RefusalError(413, f"the body is over {MAX_BODY_BYTES:,} bytes: send fewer rows")
        if not message.get("more_body"):
            return bytes(body)


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
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Protocol(HttpToolsProtocol):  # type: ignore[misc] # mypy skips uvicorn
        """Bounds headers, which its parser keeps until their end."""

        _head = 0  # bytes since a request began, until its headers have ended

        def data_received(self, data: bytes) -> None:
            self._head += len(data)
            if self._head > _HEAD_BYTES:
                self.transport.abort()
                return
            super().data_received(data)

        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            self._head = 0

        def on_body(self, body: bytes) -> None:
            super().on_body(body)
            self._head = 0

    config = uvicorn.Config(
        _Application(artifact, waiting=waiting),
        http=Protocol,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
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
