import json
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from sashiko.errors import InputError
from sashiko.serving.container.pack import pack
from sashiko.serving.server import MAX_BODY_BYTES, serve_artifact
from tests.e2e.serving.faults import FAULTS
from tests.e2e.serving.tiny_artifact import build_artifact, expected_score

PROGRAM = """
import sys
from pathlib import Path
from sashiko.serving.server import serve_artifact
serve_artifact(Path(sys.argv[1]), threshold=0.9, port=0)
"""


@contextmanager
def serving(archive, *, stderr="stopped\n"):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(archive)], stderr=subprocess.PIPE, text=True
    )
    ready = process.stderr.readline()
    example = process.stderr.readline()
    try:
        yield ready.split()[2], example
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        status = process.wait(timeout=300)
    assert status == 0
    assert re.fullmatch(stderr, rest, re.DOTALL)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(build_artifact(tmp_path_factory.mktemp("served"))) as running:
        yield running


def call(url: str, body: bytes | None = None, content_type: str = "application/json"):
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname, parts.port, timeout=300)
    headers = {"Content-Type": content_type}
    connection.request("GET" if body is None else "POST", parts.path, body, headers)
    response = connection.getresponse()
    return response.status, response.read()


def test_it_listens_on_loopback_only_and_shows_how_to_call_it(server):
    url, example = server
    assert url.startswith("http://127.0.0.1:")
    assert f"curl {url}/invocations" in example


def test_ping_says_that_the_model_is_loaded(server):
    assert call(f"{server[0]}/ping") == (200, b"")


def test_invocations_answers_texts_and_rows_at_the_threshold(server):
    for inputs in (
        ["bad x", "awful x"],
        [{"tone": tone, "note": "x"} for tone in ("bad", "awful")],
    ):
        status, body = call(f"{server[0]}/invocations", json.dumps({"inputs": inputs}).encode())
        answers = json.loads(body)
        assert status == 200
        assert [answer["label"] for answer in answers] == ["no", "yes"]
        assert answers[0]["score"] == pytest.approx(expected_score("bad"), abs=1e-6)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "says"),
    [
        (b"{", "application/json", 400, "not JSON"),
        (b'{"inputs": ["fine", ""]}', "application/json", 400, "inputs[1]: the text is empty"),
        (b'{"inputs": [{"tone": "bad"}]}', "application/json", 400, "column `note` is missing"),
        (b'{"inputs": ["bad"], "ids": []}', "application/json", 400, '"ids" has 0 entries'),
        (b"a,b", "text/csv", 400, "expected application/json"),
        (b" " * (MAX_BODY_BYTES + 1), "application/json", 413, "send fewer rows"),
    ],
)
def test_a_bad_request_gets_its_status_and_a_reason(server, body, content_type, status, says):
    actual, answer = call(f"{server[0]}/invocations", body, content_type)
    assert actual == status
    assert says in json.loads(answer)["error"]


def test_a_fault_of_the_model_is_a_500_and_its_cause_is_shown_here(tmp_path):
    build_artifact(tmp_path)
    FAULTS["broken-graph"](tmp_path / "artifact")
    archive = tmp_path / "faulty.tar.gz"
    pack(tmp_path / "artifact", archive)
    with serving(archive, stderr=".*Traceback.*stopped\n") as (url, _):
        status, answer = call(f"{url}/invocations", b'{"inputs": ["bad x"]}')
    assert (status, json.loads(answer)) == (500, {"error": "internal error: see the server's log"})


def test_other_routes_and_methods_are_refused_as_json(server):
    assert call(f"{server[0]}/models")[0] == 404
    status, answer = call(f"{server[0]}/invocations")
    assert (status, json.loads(answer)["error"]) == (405, "Method Not Allowed")


def test_a_taken_port_is_one_clear_message(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"127.0.0.1:{port}.*--port"):
            serve_artifact(tmp_path / "unused.tar.gz", threshold=0.5, port=port)
