import numpy as np
import pytest

from sashiko_packs.monitoring.clusters import Clusters, effect_of_shares, least_dominant


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
