import datetime as dt
import json
from itertools import groupby

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sashiko.base.parquet import write_table
from sashiko.errors import InputError
from sashiko.serving.local_capture import Capture, CaptureSettings
from sashiko_packs.monitoring.capture import lines
from sashiko_packs.monitoring.capture import rows as captured_rows
from sashiko_packs.monitoring.capture.reading import read_captures
from sashiko_packs.monitoring.capture.record import (
    CaptureProblem,
    CaptureSummary,
    ProblemKind,
    VersionRows,
    row_schema,
)
from sashiko_packs.monitoring.capture.rows import captured_columns, stream_requests, stream_rows
from sashiko_packs.monitoring.steps.judge import capture_checks
from sashiko_packs.monitoring.window import Window
from tests.packs.monitoring.captures import (
    COLUMNS,
    DAY,
    NOON,
    adds_up,
    answer,
    event,
    one,
    record,
    request,
    write,
)
from tests.unit.hostile import bounded

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["inputs", "ids", "data", "encoding", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
SIDES = st.fixed_dictionaries(
    {},
    optional={
        "data": st.sampled_from([request(["a"]), answer([0.5]), "", "[", "eyI="]) | VALUES,
        "encoding": st.sampled_from(["JSON", "BASE64", "CSV"]) | VALUES,
    },
)
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "captureData": st.fixed_dictionaries(
            {}, optional={"endpointInput": SIDES | VALUES, "endpointOutput": SIDES | VALUES}
        )
        | VALUES,
        "eventMetadata": st.fixed_dictionaries(
            {},
            optional={
                "eventId": st.sampled_from([event("q"), event("r")]) | VALUES,
                "inferenceTime": st.sampled_from(["2026-03-09T12:00:00Z", "9999", ""]) | VALUES,
            },
        )
        | VALUES,
    },
)


@settings(bounded, max_examples=60)
@given(
    bad=st.lists(
        st.binary(max_size=60).map(lambda line: line.replace(b"\n", b""))
        | RECORDS
        | st.integers(0, 400).map(lambda end: json.dumps(one("cut")).encode()[:end]),
        max_size=6,
    )
)
def test_whatever_lines_there_are_the_good_ones_are_read_and_the_others_counted(
    tmp_path_factory, bad
) -> None:
    folder = tmp_path_factory.mktemp("any")
    write(folder, [one("a"), *bad, one("b")])
    out = folder / "rows.parquet"
    summary = read_captures(folder, out, window=DAY, now=DAY.end, columns=COLUMNS, has_texts=True)
    keys = pq.read_table(out, columns=["key"])["key"]
    assert pa.compute.is_in(pa.array(["a", "b"]), keys).to_pylist() == [True, True]
    assert adds_up(summary)


START = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
END = START + dt.timedelta(days=7)


def capture(*, rows: int, lines: int, **problems: int) -> CaptureSummary:
    kinds: dict[str, ProblemKind] = {
        "cut": "cut-line", "outside": "outside-window", "future": "future", "replay": "replay",
    }  # fmt: skip
    version = VersionRows(version=7, requests=rows, rows=rows, first=START, last=END)
    return CaptureSummary(
        start=START, end=END, files=1, lines=lines, requests=rows, rows=rows,
        versions=(version,) if rows else (),
        problems=tuple(
            CaptureProblem(kind=kinds[kind], count=count) for kind, count in problems.items()
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("summary", "outcomes"),
    [
        (capture(rows=400, lines=400), ["ok", "ok"]),
        (capture(rows=0, lines=0), ["alarm", "not judged"]),
        (capture(rows=0, lines=50, outside=50), ["alarm", "not judged"]),
        (capture(rows=164, lines=400, cut=236), ["ok", "alarm"]),
        (capture(rows=396, lines=400, cut=4), ["ok", "ok"]),
        (capture(rows=395, lines=400, cut=2, future=3), ["ok", "alarm"]),
        (capture(rows=100, lines=400, replay=300), ["ok", "ok"]),
    ],
    ids=["whole", "dead", "only other weeks", "damaged", "1 %", "more than 1 %", "retries"],
)
def test_a_dead_or_damaged_capture_is_an_alarm(summary, outcomes) -> None:
    assert [check.outcome for check in capture_checks(summary)] == outcomes


def test_the_check_says_how_many_lines_are_lost_and_why() -> None:
    _, lines = capture_checks(capture(rows=160, lines=400, cut=236, future=4))
    expected = "240 of 400 lines could not be used: cut-line 236, future 4"
    assert (lines.reason, lines.value) == (expected, 0.6)


def _write(path, events):
    rows = [{"event_id": event, "score": 0.5} for event in events]
    write_table(path, pa.Table.from_pylist(rows, schema=row_schema(["product"])))


@pytest.mark.parametrize("sizes", [[1, 6, 2, 9, 3], [4, 4], [13], [1] * 9])
def test_no_request_is_cut(tmp_path, monkeypatch, sizes) -> None:
    monkeypatch.setattr(captured_rows, "_STREAM_ROWS", 4)
    events = [f"e{number}" for number, size in enumerate(sizes) for _ in range(size)]
    _write(tmp_path / "rows.parquet", events)
    event_ids = []
    for table, numbers in stream_requests(tmp_path / "rows.parquet", ["score"]):
        assert table.column_names == ["event_id", "score"]
        piece = table["event_id"].to_pylist()
        groups = [len(list(group)) for _, group in groupby(piece)]
        assert numbers.tolist() == [n for n, size in enumerate(groups) for _ in range(size)]
        assert not set(piece) & set(event_ids)
        event_ids += piece
    assert event_ids == events


def test_a_file_of_no_rows_has_no_pieces_but_columns(tmp_path) -> None:
    path = tmp_path / "rows.parquet"
    _write(path, [])
    assert list(stream_rows(path)) == []
    assert list(stream_requests(path, ["score"])) == []
    assert captured_columns(path) == ("product",)


def test_another_file_is_refused(tmp_path) -> None:
    path = tmp_path / "rows.parquet"
    write_table(path, pa.table({"key": ["a"]}))
    with pytest.raises(InputError, match="lacks column `input`"):
        captured_columns(path)
    path.write_bytes(b"PAR1")
    with pytest.raises(InputError, match="not a whole Parquet file"):
        list(stream_rows(path))


HOUR = dt.timedelta(hours=1)


def read(folder, *, window=DAY, now=DAY.end, columns=COLUMNS):
    """The rows, and the summary."""
    out = folder / "rows.parquet"
    summary = read_captures(folder, out, window=window, now=now, columns=columns, has_texts=True)
    table = pq.read_table(out)
    assert table.schema == row_schema(columns)
    assert summary.rows == table.num_rows
    assert adds_up(summary)
    return table.to_pylist(), summary


def problems(summary) -> dict[str, int]:
    return {problem.kind: problem.count for problem in summary.problems}


def test_rows_are_typed_and_in_the_order_of_the_lines(tmp_path) -> None:
    ids = ["c-2", "c-1"]
    body = request([{"product": "Card", "complaint_text": None}, {"product": 1.5}], ids)
    write(tmp_path, [record("b", body, answer([0.25, 0.5], ids)), one("a")])
    rows, summary = read(tmp_path)
    assert rows[0] == {
        "event_id": event("b"),
        "position": 0,
        "time": NOON,
        "version": 7,
        "key": "c-2",
        "score": 0.25,
        "decision": "no",
        "text": None,
        "input": {"product": "Card", "complaint_text": None},
        "cluster": 0,
        "dominates": False,
    }
    assert rows[1]["input"] == {"product": "1.5", "complaint_text": None}
    assert [row["key"] for row in rows] == ["c-2", "c-1", "a"]
    (version,) = summary.versions
    assert (version.version, version.requests, version.rows) == (7, 2, 3)
    assert (version.first, version.last) == (NOON, NOON)
    assert problems(summary) == {"missing-column": 1}


def test_texts_have_no_columns_and_odd_letters_stay(tmp_path) -> None:
    texts = ["größer \U0001f600 日本", 'a "quoted" \\ line\n', "nul \0 inside"]
    write(tmp_path, [record("a", request(texts), answer([0.1, 0.2, 0.3]))])
    rows, summary = read(tmp_path)
    assert [row["text"] for row in rows] == texts
    assert {row["input"] for row in rows} == {None}
    assert problems(summary) == {"without-key": 3}


def test_what_the_local_server_writes_is_read(tmp_path) -> None:
    settings = CaptureSettings(
        folder=tmp_path, endpoint="desk", variant="primary", version=3, percent=100, retention=1
    )
    capture = Capture(settings, clock=lambda: NOON)
    for body, output in (("a", answer([0.5], ["c-1"])), ("b", None)):
        capture.record(request([body], ["c-1"]).encode(), "application/json", output)
    capture.close()
    rows, summary = read(tmp_path)
    assert [(row["version"], row["key"], row["text"]) for row in rows] == [(3, "c-1", "a")]
    assert problems(summary) == {"without-output": 1}


BAD = {
    "cut-line": json.dumps(one("x")).encode()[:-40],
    "not-a-record": b'{"captureData": {}, "eventVersion": "0"}',
    "future": one("x", time=DAY.end + HOUR),
    "outside-window": one("x", time=DAY.start - dt.timedelta(seconds=1)),
    "without-output": record("x", request(["a"]), None),
    "unreadable": record("x", "not JSON", answer([0.5])),
    "mismatched": record("x", request(["a", "b"]), answer([0.5])),
    "replay": one("a"),
    "repeated-key": one("x", key="a"),
}
UNREADABLE = {
    "no input": record("x", None, answer([0.5])),
    "another encoding": record("x", "a,b", "yes,0.5", encoding="CSV"),
    "broken base64": record("x", "!!", "eyI", encoding="broken BASE64"),
    "no list": record("x", '{"inputs": "a"}', answer([0.5])),
    "a number as input": record("x", '{"inputs": [1]}', answer([0.5])),
    "a score above 1": record("x", request(["a"]), answer([1.5])),
    "no score": record("x", request(["a"]), '[{"label": "yes"}]'),
    "no label": record("x", request(["a"]), '[{"score": 0.5}]'),
    "no answers": record("x", request(["a"]), "[]"),
    "an error": record("x", request(["a"]), '{"error": "internal"}'),
}  # fmt: skip
MISMATCHED = {
    "more answers": record("x", request(["a"]), answer([0.5, 0.5])),
    "other ids": record("x", request(["a"], ["1"]), answer([0.5], ["2"])),
    "no ids in the answer": record("x", request(["a"], ["1"]), answer([0.5])),
}


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        *(pytest.param(kind, bad, id=kind) for kind, bad in BAD.items()),
        *(pytest.param("unreadable", bad, id=name) for name, bad in UNREADABLE.items()),
        *(pytest.param("mismatched", bad, id=name) for name, bad in MISMATCHED.items()),
        pytest.param("cut-line", b"\xff\xfe", id="not UTF-8"),
        pytest.param("cut-line", b"[" * 100_000, id="deep"),
        pytest.param("not-a-record", b"[1, 2]", id="a list"),
        pytest.param("not-a-record", b'"text"', id="a text"),
    ],
)
def test_a_bad_line_is_counted_and_placed_and_its_neighbours_stay(tmp_path, kind, bad) -> None:
    write(tmp_path, [one("a"), bad, b"  ", one("b")])
    rows, summary = read(tmp_path, now=DAY.end)
    assert [row["key"] for row in rows] == ["a", "b"]
    assert summary.lines == 3
    problem_of = {problem.kind: problem for problem in summary.problems}
    for beside in {"wrong-hour", "base64"} - {kind}:  # of the line, whether or not it is answered
        problem_of.pop(beside, None)
    assert {name: problem.count for name, problem in problem_of.items()} == {kind: 1}
    assert problem_of[kind].first == "version=7/desk/primary/2026/03/09/12/00-00-000-a.jsonl:2"


def test_a_line_that_is_too_long_is_counted_and_the_next_one_is_read(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 2000)
    write(tmp_path, [b"x" * 7000, one("a"), b"x" * 2000])
    rows, summary = read(tmp_path)
    assert [row["key"] for row in rows] == ["a"]
    assert problems(summary) == {"cut-line": 2}


@pytest.mark.parametrize("cut", [True, False])
def test_a_file_may_end_without_a_newline_and_in_a_record(tmp_path, cut) -> None:
    path = write(tmp_path, [one("a"), one("b")])
    path.write_bytes(path.read_bytes()[: -20 if cut else -1])
    rows, summary = read(tmp_path)
    assert [row["key"] for row in rows] == (["a"] if cut else ["a", "b"])
    assert problems(summary) == ({"cut-line": 1} if cut else {})


def test_base64_is_decoded_and_counted(tmp_path) -> None:
    write(tmp_path, [one("a", encoding="BASE64"), one("b")])
    rows, summary = read(tmp_path)
    assert [row["key"] for row in rows] == ["a", "b"]
    assert rows[0]["input"] == {"product": "Card", "complaint_text": "text of a"}
    assert problems(summary) == {"base64": 1}


def test_a_key_of_another_version_or_request_is_no_repetition(tmp_path) -> None:
    write(tmp_path, [one("a", score=0.1), one("b", key="a", score=0.2)], version=1)
    write(tmp_path, [one("c", key="a", score=0.3)], version=2)
    rows, summary = read(tmp_path)
    assert [(row["version"], row["score"]) for row in rows] == [(1, 0.1), (2, 0.3)]
    assert problems(summary) == {"repeated-key": 1, "several-versions": 1}
    assert [version.version for version in summary.versions] == [1, 2]


def test_a_replay_in_another_file_is_left_out_with_all_its_rows(tmp_path) -> None:
    ids = ["1", "2"]
    twice = record("r", request(["a", "b"], ids), answer([0.5, 0.5], ids))
    write(tmp_path, [twice, one("z")])
    write(tmp_path, [one("y"), twice], file="10-00-000-b.jsonl")
    rows, summary = read(tmp_path)
    assert [row["key"] for row in rows] == ["1", "2", "z", "y"]
    assert problems(summary) == {"replay": 1}


def test_a_record_in_the_folder_of_another_hour_is_read_and_counted(tmp_path) -> None:
    write(tmp_path, [one("a"), one("b", time=NOON + 3 * HOUR), one("c", time=NOON - HOUR)])
    rows, summary = read(tmp_path)
    assert [row["key"] for row in rows] == ["a", "b", "c"]
    assert problems(summary) == {"wrong-hour": 1}


def test_the_window_is_by_inference_time_and_its_end_is_not_part_of_it(tmp_path) -> None:
    window = Window(NOON, NOON + HOUR)
    times = [
        NOON - dt.timedelta(seconds=1),
        NOON,
        NOON + HOUR - dt.timedelta(seconds=1),
        NOON + HOUR,
    ]
    write(tmp_path, [one(str(place), time=time) for place, time in enumerate(times)])
    write(tmp_path, [one("late")], hour=NOON + HOUR)
    write(tmp_path, [one("far")], hour=NOON + 5 * HOUR)
    rows, summary = read(tmp_path, window=window)
    assert [row["key"] for row in rows] == ["1", "2", "late"]
    assert summary.files == 2
    assert problems(summary) == {"outside-window": 2}


@pytest.mark.parametrize("records", [[], [b"{"]])
def test_an_empty_window_has_a_file_without_rows(tmp_path, records) -> None:
    write(tmp_path, records)
    rows, summary = read(tmp_path)
    assert (rows, summary.count("empty-window"), summary.versions) == ([], 1, ())


def test_a_file_below_no_version_is_read_and_counted(tmp_path) -> None:
    write(tmp_path, [one("a")], version=None)
    (tmp_path / "copied.jsonl").write_text(json.dumps(one("b")))
    rows, summary = read(tmp_path)
    assert [(row["key"], row["version"]) for row in rows] == [("b", None), ("a", None)]
    assert problems(summary) == {"without-version": 2}


def test_an_unknown_column_is_counted_and_not_kept(tmp_path) -> None:
    row = {"product": "Card", "complaint_text": "x", "customer_gender": "f"}
    write(tmp_path, [record("a", request([row], ["1"]), answer([0.5], ["1"])), one("b")])
    rows, summary = read(tmp_path)
    assert rows[0]["input"] == {"product": "Card", "complaint_text": "x"}
    assert problems(summary) == {"unknown-column": 1}
    assert "customer_gender" not in summary.model_dump_json()


def test_a_columns_name_is_no_sql(tmp_path) -> None:
    name = 'it\'s "$1" {x}; --'
    write(tmp_path, [record("a", request([{name: "v"}], ["1"]), answer([0.5], ["1"]))])
    rows, _ = read(tmp_path, columns=(name,))
    assert rows[0]["input"] == {name: "v"}


def test_the_same_files_give_the_same_bytes_in_blocks_of_any_size(tmp_path, monkeypatch) -> None:
    keys = [str(number % 17) for number in range(40)]
    write(tmp_path, [one(f"e{number % 31}", key=key) for number, key in enumerate(keys)])
    write(tmp_path, [one(f"f{number}") for number in range(9)] + [b"{"], version=8)
    results = []
    for block in (50_000, 50_000, 7, 1):
        monkeypatch.setattr(lines, "_BLOCK_LINES", block)
        _, summary = read_all(tmp_path)
        results.append(((tmp_path / "rows.parquet").read_bytes(), summary))
    assert all(result == results[0] for result in results)
    assert results[0][1].rows == 17 + 9


def read_all(folder):
    out = folder / "rows.parquet"
    return out, read_captures(folder, out, window=DAY, now=DAY.end, columns=COLUMNS, has_texts=True)
