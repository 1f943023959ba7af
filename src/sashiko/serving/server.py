"""The local server: SageMaker's two routes, `/ping` and `/invocations`, on 127.0.0.1 only.

It reads the part of HTTP/1.1 that such requests use (RFC 9112) and refuses the rest. A framework
and its parser take twice as long for a request as all that the handler adds to the model.
"""

import asyncio
import json
import re
import signal
import socket
import sys
import traceback
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

from sashiko.errors import InputError
from sashiko.serving.artifact import JSON, RequestRefusedError, open_artifact
from sashiko.serving.local_capture import Capture, CaptureSettings, CapturingResponder, Responder

HOST = "127.0.0.1"
# What SageMaker accepts for a real-time endpoint:
# https://docs.aws.amazon.com/general/latest/gr/sagemaker.html
MAX_BODY_BYTES = 6 * 1024 * 1024
_WAITING = 64  # requests, whose bodies are in memory
_SHUTDOWN_SECONDS = 15  # 1,000 rows take about 10 s on two cores
_HEAD_BYTES = 64 * 1024
_PIECE_BYTES = 64 * 1024
_DISCARD_SECONDS = 5
_ROUTES: Final[Mapping[str, str]] = {"/ping": "GET", "/invocations": "POST"}
_REQUEST_LINE = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.([01])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00\r\n]*?)[ \t]*")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n]*)?\r\n")


class _HttpError(Exception):
    """A request that is answered with a status of its own; `ends` the connection with it."""

    def __init__(self, status: int, reason: str, *, ends: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.ends = ends


@dataclass(frozen=True)
class _Head:
    """The request line and the headers, whose names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    ends: bool  # whether the connection ends with the response

    @classmethod
    def parse(cls, data: bytes) -> "_Head":
        """Reads what ends in an empty line."""
        first, *lines = data[:-4].split(b"\r\n")
        line, fields = _REQUEST_LINE.fullmatch(first), [_HEADER.fullmatch(item) for item in lines]
        named = [(item[1].decode().lower(), item[2].decode("latin-1")) for item in fields if item]
        headers = dict(named)
        # Of two lengths, whoever stands before this server may have read the other one.
        lengths = sum(name in ("content-length", "transfer-encoding") for name, _ in named)
        if line is None or len(named) < len(fields) or lengths > 1:
            raise _HttpError(400, "this is not a request of HTTP/1.1", ends=True)
        kept = {part.strip().lower() for part in headers.get("connection", "").split(",")}
        ends = "close" in kept or (line[3] == b"0" and "keep-alive" not in kept)
        path = line[2].decode("latin-1").partition("?")[0]
        return cls(line[1].decode(), path, headers, ends)


class _Connection(asyncio.StreamReaderProtocol):
    """A client's connection, whose requests are answered one after the other."""

    def __init__(self, server: "_Server") -> None:
        self._server = server
        self._reader = asyncio.StreamReader(limit=_HEAD_BYTES)
        self._idle = True
        super().__init__(self._reader, self._converse)

    def data_received(self, data: bytes) -> None:
        """Takes bytes; what cannot begin a request, such as TLS, is refused without its end."""
        if self._idle and not data[:1].isalpha():
            self._idle, data = False, b"?\r\n\r\n"
        super().data_received(data)

    def stop(self) -> None:
        """Ends the connection, after its answer if one is due."""
        if self._idle:
            self._reader.feed_eof()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = self._server
        server.connections.add(self)
        try:
            while not server.stops:
                self._idle = True
                data = await reader.readuntil(b"\r\n\r\n")
                self._idle = False
                ends, answer = await self._answer(data, reader, writer)
                writer.write(answer)
                await writer.drain()
                if ends:
                    writer.write_eof()
                    # What the client still sends would make its system drop the answer.
                    async with asyncio.timeout(_DISCARD_SECONDS):
                        await _discard(reader, 4 * MAX_BODY_BYTES)
                    break
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            writer.transport.abort()  # the client has left, or its headers have no end
        finally:
            server.connections.discard(self)
            writer.close()

    async def _answer(
        self, data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[bool, bytes]:
        """Returns whether the connection ends, and the response."""
        ends, retry = False, ""
        try:
            head = _Head.parse(data)
            ends = head.ends
            status, body = 200, await self._route(head, reader, writer)
        except _HttpError as error:
            # As ASCII: a reason may contain a lone surrogate, which UTF-8 cannot encode.
            status, body = error.status, json.dumps({"error": str(error)})
            ends, retry = ends or error.ends, "retry-after: 1\r\n" if error.status == 503 else ""
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            raise
        except Exception:
            traceback.print_exc()
            status, body = 500, json.dumps({"error": "internal error: see the server's log"})
        content = body.encode()
        closes = "connection: close\r\n" if ends else ""
        head_ = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: {JSON}\r\n"
            f"content-length: {len(content)}\r\n{retry}{closes}\r\n"
        )
        return ends, head_.encode() + content

    async def _route(
        self, head: _Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> str:
        server, content_type = self._server, head.headers.get("content-type")
        refusal = self._refusal(head, content_type)
        if refusal or head.path == "/ping":
            await self._body(head, reader, writer, keep=False)
            if refusal:
                raise refusal
            return ""
        server.accepted += 1
        try:
            body = await self._body(head, reader, writer)
            async with server.turn:
                if reader.at_eof() or reader.exception():
                    raise ConnectionResetError
                return await server.respond(body, content_type, head.headers.get("accept"))
        except RequestRefusedError as error:
            raise _HttpError(400, str(error)) from error
        finally:
            server.accepted -= 1

    def _refusal(self, head: _Head, content_type: str | None) -> _HttpError | None:
        """Returns what is wrong with a request whose body need not be read."""
        accepted = self._server.accepted
        if head.path not in _ROUTES:
            return _HttpError(404, "Not Found")
        if head.method != _ROUTES[head.path]:
            return _HttpError(405, "Method Not Allowed")
        if head.path == "/invocations":
            if (content_type or "").split(";")[0].strip().lower() != JSON:
                # 400, not 415: as on an endpoint, where the handler refuses it.
                given = (content_type or "none")[:100]
                return _HttpError(400, f"content type {given}: expected {JSON}")
            if accepted >= self._server.waiting:
                return _HttpError(503, f"{accepted} requests are waiting: try again later")
        return None

    async def _body(
        self,
        head: _Head,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        keep: bool = True,
    ) -> bytes:
        """Reads a body of at most `MAX_BODY_BYTES`; if it is not to be kept, in small pieces."""
        if head.headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, count = bytearray(), 0
        async for size in _sizes(head.headers, reader):
            count += size
            if count > MAX_BODY_BYTES:
                reason = f"the body is over {MAX_BODY_BYTES:,} bytes: send fewer rows"
                raise _HttpError(413, reason, ends=True)
            if keep:
                body += await reader.readexactly(size)
            else:
                await _discard(reader, size)
        return bytes(body)


async def _sizes(headers: Mapping[str, str], reader: asyncio.StreamReader) -> AsyncIterator[int]:
    """Yields how many bytes of a body follow; they must be read before the next size."""
    coding = headers.get("transfer-encoding", "").lower()
    if not coding:
        length = headers.get("content-length", "0").encode("latin-1")
        if not _LENGTH.fullmatch(length):
            raise _HttpError(400, "the content length is not a number", ends=True)
        yield int(length)
        return
    if coding != "chunked":
        raise _HttpError(400, "of transfer encodings only chunked is taken", ends=True)
    while size := _CHUNK_SIZE.fullmatch(await reader.readuntil(b"\r\n")):
        if not int(size[1], 16):
            while await reader.readuntil(b"\r\n") != b"\r\n":
                pass  # a trailer
            return
        yield int(size[1], 16)
        if await reader.readexactly(2) != b"\r\n":
            break
    raise _HttpError(400, "a chunk has no size, or another one", ends=True)


async def _discard(reader: asyncio.StreamReader, count: int) -> None:
    while count > 0 and (piece := await reader.read(min(count, _PIECE_BYTES))):
        count -= len(piece)


class _Server:
    """Scores requests one at a time, as one SageMaker worker does, in the order of their coming.

    At most `waiting` requests are accepted at a time; the others get 503. `/ping` does not wait.
    """

    def __init__(self, responder: Responder, *, waiting: int) -> None:
        self.waiting = waiting
        self.accepted = 0
        self.turn = asyncio.Lock()
        self.connections: set[_Connection] = set()
        self.stops = False
        self._responder = responder
        self._thread = ThreadPoolExecutor(1)

    async def respond(self, body: bytes, content_type: str | None, accept: str | None) -> str:
        """Answers a request in the thread that scores."""
        work = partial(self._responder.respond, body, content_type=content_type, accept=accept)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def run(self, listener: socket.socket) -> None:
        """Answers requests until SIGINT or SIGTERM, and then those that have begun."""
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        listening = await loop.create_server(lambda: _Connection(self), sock=listener)
        await stop.wait()
        self.stops = True
        listening.close()
        for connection in self.connections:
            connection.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(_SHUTDOWN_SECONDS):
                while self.connections:
                    await asyncio.sleep(0.02)
        self._thread.shutdown(wait=False, cancel_futures=True)


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
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    example = """-H 'Content-Type: application/json' -d '{"inputs": ["a text to score"]}'"""
    ready = f"ready on {url} (Ctrl-C stops it); try:\n  curl {url}/invocations {example}"
    print(ready, file=sys.stderr, flush=True)
    asyncio.run(_Server(artifact, waiting=waiting).run(listener))
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
