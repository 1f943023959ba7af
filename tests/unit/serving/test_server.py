"""The local server's data capture: SageMaker's records, within bounds, whatever the disk does."""

import base64
import datetime as dt
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sashiko.errors import InputError
from sashiko.serving.artifact import RequestRefusedError
from sashiko.serving.container.pack import pack
from sashiko.serving.local_capture import Capture, CaptureSettings, CapturingResponder
from sashiko.serving.server import serve_artifact
from tests.e2e.serving.faults import FAULTS
from tests.e2e.serving.tiny_artifact import build_artifact, expected_score
from tests.full_disk import file_size_limit

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


def call(url: str, body: bytes | None = None):
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname, parts.port, timeout=300)
    headers = {"Content-Type": "application/json"}
    connection.request("GET" if body is None else "POST", parts.path, body, headers)
    response = connection.getresponse()
    return response.status, response.read()


def test_it_listens_on_loopback_only_and_refuses_other_routes_as_json(server):
    url, example = server
    assert url.startswith("http://127.0.0.1:")
    assert f"curl {url}/invocations" in example
    assert call(f"{url}/ping") == (200, b"")
    assert call(f"{server[0]}/models")[0] == 404
    status, answer = call(f"{server[0]}/invocations")
    assert (status, json.loads(answer)["error"]) == (405, "Method Not Allowed")


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
    ("body", "says"),
    [
        (b'{"inputs": ["fine", ""]}', "inputs[1]: the text is empty"),
        (b'{"inputs": [{"tone": "bad"}]}', "column `note` is missing"),
        (b'{"inputs": ["bad"], "ids": []}', '"ids" has 0 entries'),
    ],
)
def test_a_bad_request_gets_its_status_and_a_reason(server, body, says):
    status, answer = call(f"{server[0]}/invocations", body)
    assert status == 400
    assert says in json.loads(answer)["error"]


def test_a_fault_of_the_model_is_a_500_and_its_cause_is_shown_here(tmp_path):
    build_artifact(tmp_path)
    FAULTS["broken-graph"](tmp_path / "artifact")
    archive = tmp_path / "faulty.tar.gz"
    pack(tmp_path / "artifact", archive)
    with serving(archive, stderr=".*Traceback.*stopped\n") as (url, _):
        status, answer = call(f"{url}/invocations", b'{"inputs": ["bad x"]}')
    assert (status, json.loads(answer)) == (500, {"error": "internal error: see the server's log"})


def test_a_taken_port_is_one_clear_message(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"127.0.0.1:{port}.*--port"):
            serve_artifact(tmp_path / "unused.tar.gz", threshold=0.5, port=port)


NOON = dt.datetime(2026, 3, 9, 12, 59, 59, 250_000, tzinfo=dt.UTC)
BODY = '{"inputs": ["größer"], "ids": ["c-1"]}'.encode()
ANSWER = '[{"id": "c-1", "label": "yes", "score": 0.75}]'
CAPTURING_PROGRAM = """
import sys
from pathlib import Path
from sashiko.serving.local_capture import CaptureSettings
from sashiko.serving.server import serve_artifact
settings = CaptureSettings(folder=Path(sys.argv[2]), endpoint="desk", variant="primary", version=7,
                           percent=100, retention=86400)
serve_artifact(Path(sys.argv[1]), threshold=0.9, port=0, capture=settings)
"""


def settings(folder: Path, **changes) -> CaptureSettings:
    values = {"endpoint": "desk", "variant": "primary", "version": 7, "percent": 100}
    return CaptureSettings(folder=folder, **{"retention": 86_400, **values, **changes})


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.jsonl"))


def records(folder: Path) -> list[dict]:
    return [json.loads(line) for path in files(folder) for line in path.read_text().splitlines()]


def test_a_record_and_its_file_are_those_of_sagemaker(tmp_path):
    with closing(Capture(settings(tmp_path / "new"), clock=lambda: NOON)) as capture:
        capture.record(BODY, "application/json; charset=utf-8", ANSWER)
    (path,), (record,) = files(tmp_path), records(tmp_path)
    folder = "new/desk/version=7/desk/primary/2026/03/09/12"
    assert path.parent == tmp_path / folder
    assert path.name.startswith("59-59-250-")
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    sent = {"observedContentType": "application/json; charset=utf-8", "data": BODY.decode()}
    given = {"observedContentType": "application/json", "data": ANSWER}
    assert record["captureData"] == {
        "endpointInput": {**sent, "mode": "INPUT", "encoding": "JSON"},
        "endpointOutput": {**given, "mode": "OUTPUT", "encoding": "JSON"},
    }
    assert record["eventMetadata"]["inferenceTime"] == "2026-03-09T12:59:59Z"
    assert len(record["eventMetadata"]["eventId"]) == 36
    assert record["eventVersion"] == "0"


def test_a_refused_request_has_no_output_and_stays_refused(tmp_path):
    class Refusing:
        def respond(self, body, *, content_type, accept):
            raise RequestRefusedError("no", position=None, reason="no")

    with closing(Capture(settings(tmp_path))) as capture, pytest.raises(RequestRefusedError):
        CapturingResponder(Refusing(), capture).respond(
            '{"inputs": ["a"]}'.encode("utf-16"), content_type=None, accept=None
        )
    (record,) = records(tmp_path)
    (side,) = record["captureData"].values()
    assert (side["mode"], side["encoding"]) == ("INPUT", "BASE64")
    assert base64.b64decode(side["data"]).decode("utf-16") == '{"inputs": ["a"]}'


def test_chance_selects_requests_by_the_percentage(tmp_path):
    chances = itertools.cycle(number / 100 for number in range(100))
    with closing(Capture(settings(tmp_path, percent=20), chance=lambda: next(chances))) as capture:
        for _ in range(200):
            capture.record(BODY, None, ANSWER)
    assert len(records(tmp_path)) == 40


def test_each_hour_has_a_file_of_its_own(tmp_path):
    times = iter([NOON, NOON, NOON, NOON + dt.timedelta(seconds=1)])
    with closing(Capture(settings(tmp_path), clock=lambda: next(times))) as capture:
        for _ in range(3):
            capture.record(BODY, None, ANSWER)
    assert [path.parent.name for path in files(tmp_path)] == ["12", "13"]
    assert [len(path.read_text().splitlines()) for path in files(tmp_path)] == [2, 1]


@pytest.mark.parametrize(
    ("bound", "says"),
    [({"most_bytes": 1200}, "may have 1,200 bytes"), ({"most_files": 2}, "may have 2 files")],
)
def test_a_bound_ends_the_capture_and_is_reported_once(tmp_path, capsys, bound, says):
    hours = itertools.count()

    def clock() -> dt.datetime:
        return NOON + dt.timedelta(hours=next(hours))

    with closing(Capture(settings(tmp_path, **bound), clock=clock)) as capture:
        for _ in range(5):
            capture.record(BODY, None, ANSWER)
    assert len(files(tmp_path)) == len(records(tmp_path)) == 2
    output = capsys.readouterr().err
    assert output.count("requests are answered but not captured") == 1
    assert f"captured 2 requests; 3 were not: {tmp_path} {says}" in output
    with closing(Capture(settings(tmp_path, **bound), clock=clock)) as capture:
        capture.record(BODY, None, ANSWER)
    assert len(records(tmp_path)) == 2, "a second server starts with what is there"


def test_files_are_deleted_after_their_retention_and_no_others(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    times = iter([NOON, NOON, NOON + dt.timedelta(hours=2)])
    with closing(Capture(settings(tmp_path), clock=lambda: next(times))) as capture:
        capture.record(BODY, None, ANSWER)
        capture.record(BODY, None, ANSWER)
    first, second = files(tmp_path)
    for hours, remaining in ((24, [first, second]), (25, [second]), (30, [])):
        now = NOON + dt.timedelta(hours=hours)
        Capture(settings(tmp_path), clock=lambda now=now: now).close()
        assert files(tmp_path) == remaining
    assert not (tmp_path / "desk/version=7/desk/primary/2026").exists()
    assert (tmp_path / "notes.txt").exists()


def test_a_full_disk_leaves_whole_lines_and_the_requests_answered(tmp_path, capsys):
    capture = Capture(settings(tmp_path))
    with file_size_limit(1000):
        for _ in range(4):
            capture.record(BODY, None, ANSWER)
    capture.record(BODY, None, ANSWER)
    capture.close()
    assert len(records(tmp_path)) == capture.captured == 3
    assert "captured 3 requests; 2 were not: " in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot capture in .*file"):
        Capture(settings(tmp_path / "file"))


def test_a_killed_server_leaves_whole_records(tmp_path):
    archive = build_artifact(tmp_path / "served")
    process = subprocess.Popen(
        [sys.executable, "-c", CAPTURING_PROGRAM, str(archive), str(tmp_path / "captured")],
        stderr=subprocess.PIPE,
        text=True,
    )
    url = process.stderr.readline().split()[2]
    named = b'{"inputs": ["bad x"], "ids": ["c-9"]}'
    bodies = [named, b'{"inputs": [""]}', b'{"inputs": ["fine"]}']
    statuses = [call(f"{url}/invocations", body)[0] for body in bodies]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert statuses == [200, 400, 200]
    captured = [record["captureData"] for record in records(tmp_path / "captured")]
    assert [side["endpointInput"]["data"].encode() for side in captured] == bodies
    assert ["endpointOutput" in side for side in captured] == [True, False, True]
    assert json.loads(captured[0]["endpointOutput"]["data"])[0]["id"] == "c-9"


def test_nothing_is_captured_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with serving(build_artifact(tmp_path / "served")) as (url, _):
        assert call(f"{url}/invocations", BODY)[0] == 200
    assert not files(Path(os.curdir))
