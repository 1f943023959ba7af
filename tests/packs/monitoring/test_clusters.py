import numpy as np
import pyarrow.parquet as pq
import pytest

from sashiko_packs.monitoring.capture.reading import read_captures
from sashiko_packs.monitoring.clusters import Clusters, effect_of_shares, least_dominant
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


def _clusters(cells, numbers, *, pieces: int = 1, dominates=None) -> Clusters:
    clusters = Clusters(4)
    flags = np.zeros(len(cells), dtype=bool) if dominates is None else dominates
    for rows in np.array_split(np.arange(len(cells)), pieces):
        clusters.add(cells[rows], numbers[rows], flags[rows])
    return clusters


VALUES = np.random.default_rng(0).integers(0, 4, 2000)


def test_clusters_of_equal_rows_count_as_one_row_each() -> None:
    numbers = np.repeat(np.arange(200), 10)
    alike = _clusters(np.repeat(VALUES[:200], 10), numbers).summarise()
    assert alike.design_effect == pytest.approx(10, rel=0.05)
    assert alike.effective_rows == pytest.approx(200, rel=0.05)
    assert alike.freedom == 199
    other = _clusters(VALUES, numbers).summarise()
    assert other.design_effect == pytest.approx(1, abs=0.1)


def test_the_rows_of_a_cluster_need_not_be_adjacent() -> None:
    numbers = np.tile(np.arange(200), 10)
    alike = _clusters(np.tile(VALUES[:200], 10), numbers, pieces=7).summarise()
    assert alike.design_effect == pytest.approx(10, rel=0.05)


def test_more_clusters_than_groups_have_the_same_variance() -> None:
    values = np.random.default_rng(2).integers(0, 4, 20_000)
    alike = _clusters(np.repeat(values, 5), np.repeat(np.arange(20_000), 5)).summarise()
    assert alike.design_effect == pytest.approx(5, rel=0.1)


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
    assert _clusters(cells, numbers).summarise().design_effect == pytest.approx(expected)


def test_a_few_large_clusters_cannot_tell_how_much_they_differ() -> None:
    numbers = np.repeat(np.arange(4), 500)
    assert not _clusters(VALUES, numbers).summarise().has_enough_clusters
    assert _clusters(VALUES, np.repeat(np.arange(5), 400)).summarise().has_enough_clusters


def test_clusters_that_dominate_are_left_out_where_the_others_tell_more() -> None:
    """300 rows of one request, all alike, beside 300 requests of a row."""
    cells = np.concatenate([VALUES[:300], np.zeros(300, dtype=int)])
    numbers = np.concatenate([np.arange(300), np.full(300, 300)])
    clusters = _clusters(cells, numbers, dominates=numbers == 300)
    counted = clusters.summarise()
    assert counted.counts.tolist() == np.bincount(VALUES[:300], minlength=4).tolist()
    assert (counted.effective_rows, counted.set_aside) == (pytest.approx(300, rel=0.01), 300)
    assert counted.note == "without 300 rows of clusters that dominate"
    assert clusters.counts.sum() == 600


def test_clusters_that_dominate_count_where_they_tell_more() -> None:
    """Ten nightly requests of 150 rows that are as different as rows of different requests."""
    numbers = np.concatenate([np.arange(300), np.repeat(np.arange(300, 310), 150)])
    counted = _clusters(VALUES[:1800], numbers, dominates=numbers >= 300).summarise()
    assert (counted.counts.sum(), counted.set_aside, counted.note) == (1800, 0, "")


def test_no_rows_have_no_design_effect() -> None:
    empty = Clusters(4)
    empty.add(VALUES[:0], VALUES[:0], VALUES[:0] > 0)
    assert empty.summarise().effective_rows == 0


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
