"""Requests and answers of an endpoint that sleeps are read as captures are."""

import datetime as dt

import pyarrow.parquet as pq

from sashiko.base.async_requests import request_name, request_time
from sashiko_packs.monitoring.capture.objects import collect_lines
from sashiko_packs.monitoring.capture.reading import read_captures
from tests.packs.monitoring.captures import COLUMNS, DAY, NOON, adds_up, answer, request, write

SINCE = DAY.start - dt.timedelta(days=2)
NOW = DAY.end + dt.timedelta(hours=6)


def put(folder, text: str, path: str):
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def ask(folder, key: str, *, time=NOON, score: float | None = 0.75, version=7) -> str:
    """A request, and its answer if it has a score; returns its name."""
    name = request_name(time)
    body = request([{"product": "Card", "complaint_text": f"text of {key}"}], [key])
    put(folder, body, f"input/{name}.json")
    if score is not None:
        put(folder, answer([score], [key]), f"version={version}/output/{name}.out")
    return name


def read(tmp_path, folder):
    lines = tmp_path / "lines"
    lines.mkdir()
    summary = read_captures(
        collect_lines(folder, lines, since=SINCE), tmp_path / "rows.parquet", window=DAY, now=NOW,
        columns=COLUMNS, has_texts=True,
    )  # fmt: skip
    assert adds_up(summary)
    return summary, pq.read_table(tmp_path / "rows.parquet").to_pylist()


def test_an_answered_request_is_a_row_of_its_version_at_the_time_of_the_request(tmp_path):
    folder = tmp_path / "endpoint"
    names = [ask(folder, "a", score=0.9), ask(folder, "b", score=0.1, version=8)]
    ask(folder, "early", time=DAY.start - dt.timedelta(days=5))
    summary, rows = read(tmp_path, folder)
    assert [(row["key"], row["version"], row["score"], row["time"]) for row in rows] == [
        ("a", 7, 0.9, NOON), ("b", 8, 0.1, NOON),
    ]  # fmt: skip
    assert [row["event_id"] for row in rows] == names
    assert (summary.requests, summary.problems) == (2, summary.problems)
    assert summary.count("without-version") == summary.count("wrong-hour") == 0


def test_what_failed_or_expired_has_no_output_and_what_an_update_sent_is_nobodys(tmp_path):
    folder = tmp_path / "endpoint"
    ask(folder, "answered")
    failed = ask(folder, "failed", score=None)
    put(folder, "500", f"version=7/failure/{failed}-error.out")
    ask(folder, "expired", score=None)
    put(folder, answer([0.5]), "version=7/output/judge-0a1b-3.out")
    summary, rows = read(tmp_path, folder)
    assert [row["key"] for row in rows] == ["answered"]
    assert (summary.lines, summary.count("without-output")) == (3, 2)


def test_an_answer_whose_request_is_nowhere_is_counted(tmp_path):
    """As of an inline body, which SageMaker's API takes too."""
    folder = tmp_path / "endpoint"
    ask(folder, "a")
    put(folder, answer([0.5]), "version=7/output/0f0f0f0f-1111-2222-3333-444444444444.out")
    summary, rows = read(tmp_path, folder)
    assert len(rows) == 1
    assert summary.count("not-a-record") == 1


def test_a_real_time_endpoints_folder_is_read_as_it_is(tmp_path):
    write(tmp_path / "real-time", [])
    folder = tmp_path / "real-time"
    assert collect_lines(folder, tmp_path / "unused", since=SINCE) == folder


def test_a_name_tells_its_time_and_nothing_else_is_one():
    name = request_name(NOON)
    assert (len(name), request_time(name)) == (28, NOON)
    for other in (
        "",
        name[:-1],
        name.replace("T", " "),
        f"x{name}",
        "20269999T999999-0123456789ab",
    ):
        assert request_time(other) is None
