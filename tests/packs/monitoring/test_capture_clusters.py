"""Rows of a client, of a text sent again and of a request share a cluster; some dominate."""

import pyarrow.parquet as pq
import pytest

from sashiko_packs.monitoring.capture.reading import read_captures
from tests.packs.monitoring.captures import COLUMNS, DAY, answer, record, request, write


def _record(name, texts, *, client=None):
    rows = [{"product": "Card", "complaint_text": text} for text in texts]
    return record(name, request(rows, client=client), answer([0.5] * len(rows)))


def _read(folder, records, *, has_texts=True, **changes):
    """The rows' clusters and whether they dominate, and the problems of this kind."""
    write(folder, records, **changes)
    out = folder / "rows.parquet"
    summary = read_captures(
        folder, out, window=DAY, now=DAY.end, columns=COLUMNS, has_texts=has_texts
    )
    table = pq.read_table(out)
    problems = {p.kind: (p.count, p.first) for p in summary.problems if "dominant" in p.kind}
    return table["cluster"].to_pylist(), table["dominates"].to_pylist(), problems


def test_rows_of_one_request_share_a_cluster(tmp_path) -> None:
    clusters, dominates, problems = _read(
        tmp_path, [_record("a", "12"), _record("b", "3"), _record("c", "456")]
    )
    assert clusters == [0, 0, 1, 2, 2, 2]
    assert (set(dominates), problems) == ({False}, {})


def test_rows_of_ten_clients_share_clusters_across_requests(tmp_path) -> None:
    records = [_record(f"{n}", [f"text {n}"], client=f"c{n % 10}") for n in range(20)]
    assert _read(tmp_path, records)[0] == list(range(10)) * 2


def test_fewer_than_ten_clients_tell_nothing_so_requests_count(tmp_path) -> None:
    records = [_record(f"{n}", [f"text {n}"], client=f"c{n % 9}") for n in range(20)]
    assert _read(tmp_path, records)[0] == list(range(20))


def test_a_text_that_several_requests_sent_is_one_cluster(tmp_path) -> None:
    records = [_record("a", ["x"]), _record("b", ["y"]), _record("c", ["x"]), _record("d", ["zz"])]
    assert _read(tmp_path, records)[0] == [0, 1, 0, 2]


def test_equal_rows_without_a_free_text_are_ordinary(tmp_path) -> None:
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


def test_nothing_dominates_where_too_few_rows_would_be_left(tmp_path) -> None:
    bulk = _record("bulk", [f"row {n}" for n in range(300)])
    _, dominates, problems = _read(tmp_path, [*_singles(99), bulk])
    assert (set(dominates), problems) == ({False}, {})


def test_twenty_clients_of_uneven_volumes_do_not_dominate(tmp_path) -> None:
    volumes = [40, 30, 25, 20, 20, 18, 17, 15, 15, 12, 12, 10, 10, 8, 8, 7, 6, 5, 4, 3]
    records = [
        _record(f"{client} {n}", [f"{client} {n}"], client=f"{client}")
        for client, volume in enumerate(volumes)
        for n in range(volume)
    ]
    assert set(_read(tmp_path, records)[1]) == {False}


def test_versions_are_clustered_apart(tmp_path) -> None:
    write(tmp_path, [_record("old", ["x"])], version=6)
    clusters, _, _ = _read(tmp_path, [_record("new", ["x"])], version=7)
    assert clusters == [0, 1]
