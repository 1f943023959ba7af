import json
from pathlib import Path

import pytest

from sashiko_packs.monitoring.capture.requests import delete_requests, find_requests

HOUR = "version=1/AllTraffic/2026/03/02/07"


def line(*rows: tuple[str, str], event: str, answered: bool = True) -> bytes:
    """A record of the local server, of rows with an id and a text."""
    body = {"inputs": [text for _, text in rows], "ids": [key for key, _ in rows]}
    answer = [{"id": key, "label": "yes", "score": 0.9} for key, _ in rows]
    sides = {"endpointInput": {"data": json.dumps(body), "encoding": "JSON"}}
    if answered:
        sides["endpointOutput"] = {"data": json.dumps(answer), "encoding": "JSON"}
    metadata = {"eventId": event, "inferenceTime": "2026-03-02T07:00:00Z"}
    return json.dumps({"captureData": sides, "eventMetadata": metadata}).encode() + b"\n"


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    folder = tmp_path / HOUR
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_bytes(
        line(("L1", "they cut my heating"), ("L2", "no answer"), event="one")
        + b'{"cut": \n'
        + line(("L3", "a letter"), event="two")
    )
    (folder / "b.jsonl").write_bytes(line(("L1", "again"), event="three", answered=False))
    return tmp_path


def test_a_row_is_found_by_its_key_in_every_file(captures: Path) -> None:
    first, second = find_requests(captures, {"L1"})
    assert first.inputs == ("they cut my heating", "no answer")
    assert json.loads(first.answer)[0]["label"] == "yes"
    assert (second.inputs, second.answer) == (("again",), "")
    assert not list(find_requests(captures, {"L"}))


def test_a_deleted_request_leaves_no_text_and_the_others_as_they_were(captures: Path) -> None:
    path = captures / HOUR / "a.jsonl"
    before = path.read_bytes().splitlines(keepends=True)
    assert delete_requests(captures, {"L2"}) == 1
    after = path.read_bytes().splitlines(keepends=True)
    assert after[0].strip() == b""
    assert after[1:] == before[1:]
    assert not list(find_requests(captures, {"L1"}))[1:]  # only that of the other file
    assert delete_requests(captures, {"L2"}) == 0


def test_a_server_that_writes_at_the_same_time_loses_nothing(captures: Path) -> None:
    path = captures / HOUR / "a.jsonl"
    with path.open("ab", buffering=0) as server:
        delete_requests(captures, {"L3"})
        server.write(line(("L9", "new"), event="nine"))
    [request] = find_requests(captures, {"L9"})
    assert request.inputs == ("new",)
