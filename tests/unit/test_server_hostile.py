"""Clients that are many, large or broken: the local server refuses them and serves on."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from sashiko.serving.server import MAX_BODY_BYTES
from tests.e2e.serving.tiny_artifact import build_artifact

WAITING = 4
# The real server around a model that answers nobody while a file is there.
PROGRAM = f"""
import sys, time
from pathlib import Path
from sashiko.serving.artifact import Artifact
from sashiko.serving.server import serve_artifact
answer = Artifact.respond
def respond(*args, **named):
    while Path(sys.argv[2]).exists():
        time.sleep(0.01)
    return answer(*args, **named)
Artifact.respond = respond
serve_artifact(Path(sys.argv[1]), threshold=0.9, port=0, waiting={WAITING})
"""
GOOD = json.dumps({"inputs": ["bad x"]}).encode()
HEADERS = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
LOADED = 12


@contextmanager
def served(archive: Path, *, busy: Path = Path("never")) -> Iterator[tuple[int, int]]:
    """Runs the server and gives its port and process; what it says on stderr is no traceback.

    It answers nobody while the file `busy` is there.
    """
    command = [sys.executable, "-c", PROGRAM, str(archive), str(busy)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    port = int(process.stderr.readline().split("127.0.0.1:")[1].split()[0])
    try:
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    assert "Traceback" not in errors
    assert errors.endswith("stopped\n")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return build_artifact(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def quick(archive):
    with served(archive) as server:
        yield server


def ask(port: int, body: bytes | None = GOOD, **headers: str) -> tuple[int, bytes, str | None]:
    connection = HTTPConnection("127.0.0.1", port, timeout=300)
    method, path = ("GET", "/ping") if body is None else ("POST", "/invocations")
    connection.request(method, path, body, {"Content-Type": "application/json"} | headers)
    response = connection.getresponse()
    answer = response.status, response.read(), response.getheader("Retry-After")
    connection.close()
    return answer


def ask_at_once(
    port: int,
    bodies: list[bytes],
    *,
    meanwhile: Callable[[list[tuple[int, bytes, str | None]]], None] = lambda _: None,
) -> list[tuple[int, bytes, str | None]]:
    """Asks at once; `meanwhile` gets the answers that are there, and more of them come."""
    answers: list[tuple[int, bytes, str | None]] = []
    asking = [
        # A daemon: a test that has failed does not wait for answers that never come.
        threading.Thread(target=lambda body=body: answers.append(ask(port, body)), daemon=True)
        for body in bodies
    ]
    for thread in asking:
        thread.start()
    meanwhile(answers)
    for thread in asking:
        thread.join()
    assert len(answers) == len(bodies)
    return answers


def opened(port: int, sent: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=300)
    client.sendall(sent)
    return client


def until(happened: Callable[[], bool]) -> None:
    """Waits; what never happens ends the test and not the machine's patience."""
    deadline = time.monotonic() + 100
    while not happened():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def rest(client: socket.socket) -> bytes:
    """All that the server still says until it ends the connection."""
    with client:
        try:
            return b"".join(iter(lambda: client.recv(4096), b""))
        except ConnectionResetError:
            return b""


def test_what_it_cannot_serve_is_shed_and_ping_is_answered_meanwhile(archive, tmp_path) -> None:
    busy = tmp_path / "busy"
    busy.touch()
    with served(archive, busy=busy) as (port, _):

        def let_go(answered: list[tuple[int, bytes, str | None]]) -> None:
            """Nobody is answered but who is shed, until the model is free."""
            try:
                until(lambda: len(answered) >= LOADED - WAITING - 1)
                assert [ask(port, None)[0] for _ in range(5)] == [200] * 5
                assert {status for status, _, _ in answered} == {503}
            finally:
                busy.unlink()  # else a server that sheds nobody would not stop either

        answers = ask_at_once(port, [GOOD] * LOADED, meanwhile=let_go)
        counts = Counter(status for status, _, _ in answers)
        assert set(counts) == {200, 503}
        assert counts[200] >= WAITING
        for status, body, retry_after in answers:
            if status == 503:
                assert "try again later" in json.loads(body)["error"]
                assert retry_after == "1"
        assert ask(port)[0] == 200


def test_whoever_has_left_is_not_scored(archive, tmp_path) -> None:
    busy = tmp_path / "busy"
    busy.touch()
    with served(archive, busy=busy) as (port, _):
        length = b"Content-Length: %d\r\n\r\n" % len(GOOD)
        first = opened(port, HEADERS + length + GOOD)
        for _ in range(WAITING - 1):
            opened(port, HEADERS + length + GOOD).close()
        assert ask(port, None)[0] == 200  # by then the server has heard that they left
        busy.unlink()
        assert b"200 OK" in first.recv(4096)
        # Nobody of those who left holds a place any more.
        statuses = [status for status, _, _ in ask_at_once(port, [GOOD] * (WAITING - 1))]
        assert statuses == [200] * (WAITING - 1)


def test_bodies_that_are_too_large_together_are_refused_and_memory_stays(quick) -> None:
    port, pid = quick
    large = json.dumps({"inputs": ["x" * 5_900_000]}).encode()
    ask(port, large)
    before = _peak_megabytes(pid)
    for _ in range(3):
        statuses = {status for status, _, _ in ask_at_once(port, [large] * 16)}
        assert statuses <= {400, 503}
    # Sixteen bodies are 94 MB.
    assert _peak_megabytes(pid) - before < 80
    assert ask(port)[0] == 200


def _peak_megabytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("needs /proc to see a process's memory")
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (HEADERS + b"Content-Length: 7\r\n\r\n{", None),  # and hangs up
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"404"),
        (b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
        (HEADERS + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n", b"400"),
        (HEADERS + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", b"400"),
        (HEADERS + b"Transfer-Encoding: gzip\r\n\r\n", b"400"),
        (HEADERS + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (HEADERS + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"GET /ping HTTP/1.1\r\nHost : x\r\n\r\n", b"400"),
        (b"GET /ping HTTP/1.0\r\n\r\n", b"200"),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: close, Upgrade\r\n"
         b"Sec-WebSocket-Version: 13\r\n\r\n", b"200"),
    ],
    ids=["hangs up", "tls", "path", "length", "chunks", "long chunk", "coding", "length and chunks",
         "two lengths", "blank before the colon", "an older client", "websocket"],
)  # fmt: skip
def test_broken_http_is_refused_and_the_server_serves_on(quick, sent, status) -> None:
    port, _ = quick
    client = opened(port, sent)
    if status is None:
        client.close()
    else:
        assert status in rest(client)[:20]
    assert ask(port)[0] == 200


def test_headers_without_end_are_not_kept(quick) -> None:
    port, _ = quick
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        opened(port, b"GET /ping HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 20_000_000)
    assert ask(port)[0] == 200


@pytest.mark.parametrize(
    ("body", "content_type", "status", "says"),
    [
        (b"[" * 1_000_000, "application/json", 400, "nested too deeply"),
        (b'{"inputs": ["' + b"x" * 200_000 + b'"]}', "application/json", 400, "200,000 letters"),
        (b'{"inputs": [{"\\ud800": 1}]}', "application/json", 400, "unknown column `?`"),
        (b'{"inputs": [' + b"9" * 100_000 + b"]}", "application/json", 400, "not JSON"),
        (GOOD, "multipart/form-data; boundary=x", 400, "expected application/json"),
        (GOOD, "x" * 10_000, 400, "expected application/json"),
        (GOOD, "", 400, "expected application/json"),
        (b"x" * (MAX_BODY_BYTES + 1), "application/json", 413, "send fewer rows"),
    ],
)  # fmt: skip
def test_a_hostile_request_gets_a_short_reason(quick, body, content_type, status, says) -> None:
    actual, answer, _ = ask(quick[0], body, **{"Content-Type": content_type})
    assert actual == status
    assert says in json.loads(answer)["error"]
    assert len(answer) < 1000


def test_a_body_without_a_length_is_refused_where_it_grows_too_large(quick) -> None:
    port, _ = quick
    client = opened(port, HEADERS + b"Transfer-Encoding: chunked\r\n\r\n")
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    for _ in range(7):
        client.sendall(chunk)
    assert b"413 " in client.recv(4096)
    client.close()
    assert ask(port)[0] == 200


def test_a_connection_is_kept_and_a_body_comes_in_chunks_or_when_the_server_says_go_on(quick):
    port, _ = quick
    half = len(GOOD) // 2
    chunks = b"".join(
        b"%x;x=y\r\n%s\r\n" % (len(part), part) for part in (GOOD[:half], GOOD[half:])
    )
    client = opened(
        port, HEADERS + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nA: b\r\n\r\n"
    )
    answer = one(client)
    client.sendall(HEADERS + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(GOOD))
    assert client.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.sendall(GOOD)
    assert one(client) == answer
    length = b"Content-Length: %d\r\n" % len(GOOD)
    client.sendall(
        b"".join(
            [HEADERS, length, b"\r\n", GOOD, HEADERS, length, b"Connection: close\r\n\r\n", GOOD]
        )
    )
    both = rest(client)
    assert both.startswith(answer) and both.count(b"200 OK") == 2


def one(client: socket.socket) -> bytes:
    """Reads a response, which may come in several pieces."""
    data = b""
    while not (match := re.search(rb"content-length: (\d+)(?s:.*?)\r\n\r\n", data)) or (
        len(data) < match.end() + int(match[1])
    ):
        data += client.recv(4096)
    return data


def test_it_answers_who_is_asking_when_it_is_stopped_and_nobody_else_holds_it(archive, tmp_path):
    busy = tmp_path / "busy"
    busy.touch()
    with served(archive, busy=busy) as (port, pid):
        asking = opened(port, HEADERS + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD)
        idle = opened(port, b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in idle.recv(4096)  # by then the server has read what was sent before
        os.kill(pid, signal.SIGINT)
        assert rest(idle) == b""
        busy.unlink()
        assert b"200 OK" in rest(asking)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # another signal would interrupt its end
