import numpy as np
import pytest

from sashiko.monitoring.clusters import Clusters


def _clusters(cells, requests, *, pieces: int = 1) -> Clusters:
    """Adds rows in pieces of whole requests, whose numbers start at 0 in each."""
    clusters = Clusters(4)
    for numbers in np.array_split(np.unique(requests), pieces):
        mask = np.isin(requests, numbers)
        clusters.add(cells[mask], requests[mask] - numbers[0])
    return clusters


VALUES = np.random.default_rng(0).integers(0, 4, 2000)


def test_requests_of_equal_rows_count_as_one_row_each() -> None:
    requests = np.repeat(np.arange(200), 10)
    alike = _clusters(np.repeat(VALUES[:200], 10), requests)
    assert alike.design_effect() == pytest.approx(10, rel=0.05)
    assert (alike.requests, alike.counts.sum()) == (200, 2000)
    assert _clusters(VALUES, np.arange(2000)).design_effect() == 1
    assert _clusters(VALUES, requests).design_effect() == pytest.approx(1, abs=0.1)


def test_the_variance_is_that_of_a_ratio_of_totals() -> None:
    """Computes it by request and cell (Cochran, Sampling techniques, 1977, section 3.12)."""
    generator = np.random.default_rng(1)
    requests = np.repeat(np.arange(60), generator.integers(1, 9, 60))
    cells = (requests + generator.integers(0, 2, len(requests))) % 4
    totals = np.zeros((60, 4))
    np.add.at(totals, (requests, cells), 1)
    sizes, rows = totals.sum(axis=1), len(requests)
    shares = totals.sum(axis=0) / rows
    deviations = ((totals - shares * sizes[:, None]) ** 2).sum(axis=0)
    variances = 60 / 59 * deviations / rows**2
    expected = rows * (variances / shares).sum() / 3
    assert expected > 2
    assert _clusters(cells, requests).design_effect() == pytest.approx(expected)


@pytest.mark.parametrize("pieces", [2, 7, 60])
def test_pieces_are_the_same_as_the_whole(pieces: int) -> None:
    requests = np.repeat(np.arange(100), 20)
    cells = np.sort(VALUES)
    whole, parts = _clusters(cells, requests), _clusters(cells, requests, pieces=pieces)
    assert parts.counts.tolist() == whole.counts.tolist()
    assert parts.requests == whole.requests
    assert parts.design_effect() == pytest.approx(whole.design_effect())


def test_a_request_without_rows_of_the_piece_is_none() -> None:
    gaps = _clusters(VALUES[:100], np.arange(100) * 3)
    assert (gaps.requests, gaps.design_effect()) == (100, 1)


def test_a_few_large_requests_cannot_tell_their_design_effect() -> None:
    requests = np.repeat(np.arange(2), 1000)
    assert _clusters(np.zeros(2000, dtype=int), requests).design_effect() is None


def test_no_rows_have_no_design_effect() -> None:
    assert Clusters(4).design_effect() == 1
    empty = Clusters(4)
    empty.add(VALUES[:0], VALUES[:0])
    assert (empty.requests, empty.design_effect()) == (0, 1)
