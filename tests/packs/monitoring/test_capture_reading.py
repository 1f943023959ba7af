import datetime as dt
import json
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sashiko.base.parquet import write_table
from sashiko.errors import InputError
from sashiko.serving.local_capture import Capture, CaptureSettings
from sashiko_packs.monitoring.capture import record as captured_rows
from sashiko_packs.monitoring.capture.reading import read_captures
from sashiko_packs.monitoring.capture.record import (
    CaptureProblem,
    CaptureSummary,
    ProblemKind,
    VersionRows,
    captured_columns,
    row_schema,
    stream_requests,
    stream_rows,
)
from sashiko_packs.monitoring.capture.requests import delete_requests, find_requests
from sashiko_packs.monitoring.clusters import Clusters, effect_of_shares, least_dominant
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


@pytest.mark.slow
@settings(bounded, max_examples=60)
@given(
    bad=st.lists(
        st.binary(max_size=60).map(lambda line: line.replace(b"\n", b""))
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


def read(folder, *, window=DAY, columns=COLUMNS, has_texts=True):
    out = folder / "rows.parquet"
    options = {"now": DAY.end, "columns": columns, "has_texts": has_texts}
    summary = read_captures(folder, out, window=window, **options)
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
        "event_id": event("b"), "position": 0, "time": NOON, "version": 7, "key": "c-2",
        "score": 0.25, "decision": "no", "text": None,
        "input": {"product": "Card", "complaint_text": None}, "cluster": 0, "dominates": False,
    }  # fmt: skip
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
    rows, summary = read(tmp_path)
    assert [row["key"] for row in rows] == ["a", "b"]
    assert summary.lines == 3
    problem_of = {problem.kind: problem for problem in summary.problems}
    for beside in {"wrong-hour", "base64"} - {kind}:  # of the line, whether or not it is answered
        problem_of.pop(beside, None)
    assert {name: problem.count for name, problem in problem_of.items()} == {kind: 1}
    assert problem_of[kind].first == "version=7/desk/primary/2026/03/09/12/00-00-000-a.jsonl:2"


def test_a_line_that_is_too_long_is_counted_and_the_next_one_is_read(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(captured_rows, "LONGEST_LINE", 2000)
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


def test_a_key_of_another_version_or_request_is_no_repetition(tmp_path) -> None:
    write(tmp_path, [one("a", score=0.1), one("b", key="a", score=0.2)], version=1)
    write(tmp_path, [one("c", key="a", score=0.3)], version=2)
    rows, summary = read(tmp_path)
    assert [(row["version"], row["score"]) for row in rows] == [(1, 0.1), (2, 0.3)]
    assert problems(summary) == {"repeated-key": 1, "several-versions": 1}
    assert [version.version for version in summary.versions] == [1, 2]


TWICE = record("r", request(["a", "b"], ["1", "2"]), answer([0.5, 0.5], ["1", "2"]))


@pytest.mark.parametrize(
    ("files", "keys", "counts"),
    [
        ([[one("a", encoding="BASE64"), one("b")]], ["a", "b"], {"base64": 1}),
        ([[one("a"), one("b", time=NOON + 3 * HOUR)]], ["a", "b"], {"wrong-hour": 1}),
        ([[one("a"), one("b", time=NOON - HOUR)]], ["a", "b"], {}),
        ([[TWICE, one("z")], [one("y"), TWICE]], ["1", "2", "z", "y"], {"replay": 1}),
    ],
    ids=["base64", "another hour", "the hour before", "a replay in another file"],
)
def test_odd_records_are_read_and_counted(tmp_path, files, keys, counts) -> None:
    for number, records in enumerate(files):
        write(tmp_path, records, file=f"{number:02}-00-000-a.jsonl")
    rows, summary = read(tmp_path)
    assert [row["key"] for row in rows] == keys
    assert problems(summary) == counts


def test_the_window_is_by_inference_time_and_its_end_is_not_part_of_it(tmp_path) -> None:
    window = Window(NOON, NOON + HOUR)
    times = [
        NOON - dt.timedelta(seconds=1), NOON, NOON + HOUR - dt.timedelta(seconds=1), NOON + HOUR,
    ]  # fmt: skip
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
        monkeypatch.setattr(captured_rows, "_BLOCK_LINES", block)
        _, summary = read(tmp_path)
        results.append(((tmp_path / "rows.parquet").read_bytes(), summary))
    assert all(result == results[0] for result in results)
    assert results[0][1].rows == 17 + 9


def _record(name, texts, *, client=None):
    rows = [{"product": "Card", "complaint_text": text} for text in texts]
    return record(name, request(rows, client=client), answer([0.5] * len(rows)))


def _read(folder, records, *, has_texts=True, **changes):
    """The rows' clusters and whether they dominate, and the problems of this kind."""
    write(folder, records, **changes)
    rows, summary = read(folder, has_texts=has_texts)
    found = {p.kind: (p.count, p.first) for p in summary.problems if "dominant" in p.kind}
    return [row["cluster"] for row in rows], [row["dominates"] for row in rows], found


def test_rows_of_one_request_share_a_cluster(tmp_path) -> None:
    clusters, dominates, problems = _read(
        tmp_path, [_record("a", "12"), _record("b", "3"), _record("c", "456")]
    )
    assert clusters == [0, 0, 1, 2, 2, 2]
    assert (set(dominates), problems) == ({False}, {})


def test_rows_of_ten_clients_share_clusters_and_those_of_fewer_do_not(tmp_path) -> None:
    records = [_record(f"{n}", [f"text {n}"], client=f"c{n % 10}") for n in range(20)]
    assert _read(tmp_path, records)[0] == list(range(10)) * 2
    records = [_record(f"{n}", [f"text {n}"], client=f"c{n % 9}") for n in range(20)]
    assert _read(tmp_path, records)[0] == list(range(20))


def test_a_text_of_several_requests_is_one_cluster_if_it_is_free_text(tmp_path) -> None:
    records = [_record("a", ["x"]), _record("b", ["y"]), _record("c", ["x"]), _record("d", ["zz"])]
    assert _read(tmp_path, records)[0] == [0, 1, 0, 2]
    records = [_record(name, ["x"]) for name in "abc"]
    assert _read(tmp_path, records, has_texts=False)[0] == [0, 1, 2]


def _singles(number: int):
    return [_record(f"s{n}", [f"single {n}"]) for n in range(number)]


@pytest.mark.parametrize(
    ("records", "kind", "rows"),
    [
        ([_record("bulk", [f"row {n}" for n in range(300)])], "request", 300),
        ([_record(f"bulk {b}", [f"{b} {n}" for n in range(150)]) for b in "ab"], "request", 300),
        ([_record(f"bot {n}", ["again"]) for n in range(30)], "text", 30),
        ([_record(f"r{t} {n}", [f"retry {t}"]) for t in range(9) for n in range(20)], "text", 180),
    ],
    ids=["a bulk request", "two bulk requests", "a bot", "retries without ids"],
)
def test_what_dominates_a_window_is_named(tmp_path, records, kind, rows) -> None:
    _, dominates, problems = _read(tmp_path, [*_singles(300), *records])
    assert dominates == [False] * 300 + [True] * rows
    count, first = problems.pop(f"dominant-{kind}")
    assert (count, problems) == (rows, {})
    assert first.endswith(":301")


def test_a_client_that_dominates_is_named(tmp_path) -> None:
    few = [_record(f"f{n}", [f"few {n}"], client=f"c{n}") for n in range(120)]
    many = [_record(f"m{n}", [f"many {n}"], client="batch") for n in range(200)]
    clusters, dominates, problems = _read(tmp_path, [*few, *many])
    assert set(clusters[120:]) == {120}
    assert dominates == [False] * 120 + [True] * 200
    assert problems["dominant-client"][0] == 200


def test_versions_are_clustered_apart(tmp_path) -> None:
    write(tmp_path, [_record("old", ["x"])], version=6)
    clusters, _, _ = _read(tmp_path, [_record("new", ["x"])], version=7)
    assert clusters == [0, 1]


def _clusters(cells, numbers, *, pieces: int = 1, dominates=None) -> Clusters:
    clusters = Clusters(4)
    flags = np.zeros(len(cells), dtype=bool) if dominates is None else dominates
    for rows in np.array_split(np.arange(len(cells)), pieces):
        clusters.add(cells[rows], numbers[rows], flags[rows])
    return clusters


UNEVEN = np.random.default_rng(0).integers(0, 4, 2000)


def test_clusters_of_equal_rows_count_as_one_row_each() -> None:
    numbers = np.repeat(np.arange(200), 10)
    alike = _clusters(np.repeat(UNEVEN[:200], 10), numbers).summarise()
    assert alike.design_effect == pytest.approx(10, rel=0.05)
    assert alike.effective_rows == pytest.approx(200, rel=0.05)
    assert alike.freedom == 199
    other = _clusters(UNEVEN, numbers).summarise()
    assert other.design_effect == pytest.approx(1, abs=0.1)


def test_the_design_effect_of_many_of_few_of_dominating_and_of_no_clusters() -> None:
    values = np.random.default_rng(2).integers(0, 4, 20_000)
    alike = _clusters(np.repeat(values, 5), np.repeat(np.arange(20_000), 5)).summarise()
    assert alike.design_effect == pytest.approx(5, rel=0.1)
    numbers = np.repeat(np.arange(4), 500)
    assert not _clusters(UNEVEN, numbers).summarise().has_enough_clusters
    assert _clusters(UNEVEN, np.repeat(np.arange(5), 400)).summarise().has_enough_clusters

    # Ten nightly requests of 150 rows that are as different as rows of different requests.
    numbers = np.concatenate([np.arange(300), np.repeat(np.arange(300, 310), 150)])
    counted = _clusters(UNEVEN[:1800], numbers, dominates=numbers >= 300).summarise()
    assert (counted.counts.sum(), counted.set_aside, counted.note) == (1800, 0, "")
    empty = Clusters(4)
    empty.add(UNEVEN[:0], UNEVEN[:0], UNEVEN[:0] > 0)
    assert empty.summarise().effective_rows == 0


def test_the_variance_is_that_of_a_ratio_of_totals() -> None:
    """Computes it by cluster and cell (Cochran, Sampling techniques, 1977, section 3.12)."""
    generator = np.random.default_rng(1)
    numbers = np.repeat(np.arange(60), generator.integers(1, 9, 60))
    cells = (numbers + generator.integers(0, 2, len(numbers))) % 4
    totals = np.zeros((60, 4), dtype=np.int64)
    np.add.at(totals, (numbers, cells), 1)
    sizes, rows = totals.sum(axis=1), len(numbers)
    shares = totals.sum(axis=0) / rows
    variances = ((totals - shares * sizes[:, None]) ** 2).sum(axis=0) / rows**2
    expected = rows * (variances / shares).sum() / 3
    assert expected > 2
    assert effect_of_shares(totals) == pytest.approx(expected)
    order = generator.permutation(rows)  # the rows of a cluster need not be adjacent
    clusters = _clusters(cells[order], numbers[order], pieces=7)
    assert clusters.summarise().design_effect == pytest.approx(expected)


def test_clusters_that_dominate_are_left_out_where_the_others_tell_more() -> None:
    """300 rows of one request, all alike, beside 300 requests of a row."""
    cells = np.concatenate([UNEVEN[:300], np.zeros(300, dtype=int)])
    numbers = np.concatenate([np.arange(300), np.full(300, 300)])
    clusters = _clusters(cells, numbers, dominates=numbers == 300)
    counted = clusters.summarise()
    assert counted.counts.tolist() == np.bincount(UNEVEN[:300], minlength=4).tolist()
    assert (counted.effective_rows, counted.set_aside) == (pytest.approx(300, rel=0.01), 300)
    assert counted.note == "without 300 rows of clusters that dominate"
    assert clusters.counts.sum() == 600


@pytest.mark.parametrize(
    ("sizes", "clusters", "least"),
    [
        ([1, 300], [300, 1], 300),
        ([1, 25], [475, 1], 25),
        ([1, 15], [485, 1], None),
        ([1, 2], [480, 10], None),
        ([1, 300], [99, 1], None),
        ([25], [20], None),
    ],
)
def test_what_dominates_leaves_twice_as_many_rows_that_count(sizes, clusters, least) -> None:
    assert least_dominant(np.array(sizes), np.array(clusters)) == least


def line(name: str, answered: bool = True, **texts: str) -> dict[str, Any]:
    """A record of rows with an id and a text."""
    ids, body = [*texts], request([*texts.values()], [*texts])
    return record(name, body, answer([0.9] * len(ids), ids) if answered else None)


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    first = line("one", L1="they cut my heating", L2="no answer")
    write(tmp_path, [first, b'{"cut": ', line("two", L3="a letter")], file="a.jsonl")
    write(tmp_path, [line("three", L1="again", answered=False)], file="b.jsonl")
    return tmp_path


def test_a_row_is_found_by_its_key_in_every_file(captures: Path) -> None:
    first, second = find_requests(captures, {"L1"})
    assert (first.ids, second.ids) == (("L1", "L2"), ("L1",))
    assert not list(find_requests(captures, {"L"}))


def test_a_deleted_request_leaves_no_text_and_the_others_as_they_were(captures: Path) -> None:
    (path,) = captures.rglob("a.jsonl")
    before = path.read_bytes().splitlines(keepends=True)
    assert delete_requests(captures, {"L2"}) == 1
    after = path.read_bytes().splitlines(keepends=True)
    assert after[0].strip() == b""
    assert after[1:] == before[1:]
    assert not list(find_requests(captures, {"L1"}))[1:]  # only that of the other file
    assert delete_requests(captures, {"L2"}) == 0


def test_a_server_that_writes_at_the_same_time_loses_nothing(captures: Path) -> None:
    (path,) = captures.rglob("a.jsonl")
    with path.open("ab", buffering=0) as server:
        delete_requests(captures, {"L3"})
        server.write(json.dumps(line("nine", L9="new")).encode() + b"\n")
    [request] = find_requests(captures, {"L9"})
    assert request.ids == ("L9",)
