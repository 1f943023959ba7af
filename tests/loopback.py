"""A service of AWS over HTTP on this machine: what it answers is a function of the request."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """A request."""

    method: str  # such as `POST`
    path: str  # with its query, as it came
    headers: Mapping[str, str]  # by name
    body: bytes  # empty if there is none


@dataclass(frozen=True)
class Answer:
    """An answer in JSON."""

    status: int  # of HTTP
    content: bytes  # the body, as far as it is sent
    code: str = ""  # an error's code; empty if it is none
    length: int | None = None  # that the header promises, if it is not the content's


def error_answer(status: int, code: str, message: str) -> Answer:
    """Returns a service's error."""
    return Answer(status, json.dumps({"message": message}).encode(), code)


@contextmanager
def serving(answer: Callable[[Request], Answer | None]) -> Iterator[str]:
    """Serves on 127.0.0.1 until the block ends, and yields the endpoint's URL.

    Where `answer` returns None, the connection ends without an answer.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answered = answer(Request(self.command, self.path, dict(self.headers), body))
            if answered is None:
                self.close_connection = True
                return
            length = len(answered.content) if answered.length is None else answered.length
            self.send_response(answered.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(length))
            if answered.code:
                self.send_header("x-amzn-ErrorType", answered.code)
            self.end_headers()
            self.wfile.write(answered.content)
            self.close_connection = length != len(answered.content)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - names of http.server

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
