import numpy as np
import pytest

from sashiko.evaluation.metrics.counts import Counts
from sashiko_packs.monitoring.clusters import ClusteredCounts, Clusters
from sashiko_packs.monitoring.steps.bias import (
    effect_of_ratio,
    measure_disparity_bound,
    measure_disparity_change,
)

OPTIONS = {"minimum_group_size": 100}


def _counts(chosen: int, rows: int, chosen_rest: int, rest: int) -> Counts:
    """Returns counts of decisions; the labels play no part."""
    cells = np.zeros((1, 2, 2, 2), dtype=np.int64)
    cells[0, 1, 0] = rows - chosen, chosen
    cells[0, 0, 0] = rest - chosen_rest, chosen_rest
    return Counts(cells, np.array([False, True]))


REFERENCE = _counts(700, 1750, 700, 1750)


def _change(window: Counts, reference: Counts = REFERENCE, **clustering):
    return measure_disparity_change(
        "DI of group 1", reference, _clustered(window, **clustering), tolerance=0.1, **OPTIONS
    )


def _bound(window: Counts):
    return measure_disparity_bound(
        "DI of group 1", _clustered(window), minimum=0.8, maximum=1.25, **OPTIONS
    )


def _clustered(counts: Counts, **clustering) -> ClusteredCounts:
    return ClusteredCounts(counts.cells[0, :, 0].ravel(), **clustering)


def test_the_value_is_the_windows_disparate_impact_with_its_interval() -> None:
    measured = _change(_counts(750, 2500, 1000, 2500))
    assert measured.value == pytest.approx(0.75)
    # Katz's interval: 0.75 * exp(-+ 1.96 * 0.0397).
    assert (measured.low, measured.high) == pytest.approx((0.694, 0.811), abs=0.01)
    assert measured.tolerance == pytest.approx(0.9)


def test_no_change_gives_no_small_probability_and_a_tolerated_one_none_beyond_the_tolerance() -> (
    None
):
    assert _change(_counts(1000, 2500, 1000, 2500)).p_unchanged == pytest.approx(1)
    tolerated = _change(_counts(94_000, 250_000, 100_000, 250_000))
    assert tolerated.p_tolerated > 0.5


def test_a_rise_counts_as_a_fall_does() -> None:
    fall, rise = _change(_counts(750, 2500, 1000, 2500)), _change(_counts(1000, 2500, 750, 2500))
    assert rise.p_unchanged == pytest.approx(fall.p_unchanged, rel=0.01)


def test_an_uncertain_reference_makes_a_change_less_certain() -> None:
    window, small = _counts(750, 2500, 1000, 2500), _counts(70, 175, 70, 175)
    assert _change(window, small).p_unchanged > _change(window).p_unchanged


@pytest.mark.parametrize(
    ("chosen", "is_outside"), [(700, True), (850, False), (1000, False), (1400, True)]
)
def test_a_bound_counts_only_when_the_window_is_shown_to_lie_beyond_it(chosen, is_outside) -> None:
    measured = _bound(_counts(chosen, 2500, 1000, 2500))
    assert (measured.p_unchanged < 0.01) == is_outside
    assert measured.tolerance == 0.8


def test_p_values_of_quiet_windows_are_even() -> None:
    generator = np.random.default_rng(0)
    p_values = []
    for _ in range(300):
        chosen, rest = generator.binomial(250, 0.4, 2)
        before, before_rest = generator.binomial(1750, 0.4, 2)
        reference = _counts(int(before), 1750, int(before_rest), 1750)
        measured = measure_disparity_change(
            "DI", reference, _clustered(_counts(int(chosen), 250, int(rest), 250)), tolerance=0.1,
            minimum_group_size=100,
        )  # fmt: skip
        p_values.append(measured.p_unchanged)
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.03)


def test_rows_of_clusters_make_a_change_less_certain() -> None:
    window = _counts(750, 2500, 1000, 2500)
    alone, alike = _change(window), _change(window, design_effect=10.0, freedom=500)
    assert alone.p_unchanged < 0.001
    assert alike.p_unchanged > 0.02
    assert alike.high - alike.low > 2 * (alone.high - alone.low)
    assert (alone.rows, alike.rows) == (2500, 250)
    few = _change(window, design_effect=30.0, freedom=500)
    assert (few.is_judged, few.value, few.rows) == (False, None, 83)


def _requests(generator, *, size: int, alike: float) -> Clusters:
    """Counts 2,000 rows in requests of one group each, whose decisions are alike."""
    number = 2000 // size
    group = generator.random(number) < 0.5
    chance = generator.beta(0.4 * (1 / alike - 1), 0.6 * (1 / alike - 1), number)
    numbers = np.repeat(np.arange(number), size)
    positive = generator.random(len(numbers)) < chance[numbers]
    clusters = Clusters(4, effect=effect_of_ratio)
    cells = 2 * group[numbers] + positive
    clusters.add(cells, numbers, np.zeros(len(numbers), dtype=bool))
    return clusters


@pytest.mark.parametrize(("size", "alike"), [(20, 0.2), (50, 0.3)])
def test_requests_of_a_group_raise_few_alarms_where_nothing_changed(size, alike) -> None:
    """As independent rows many such windows have a p-value below 0.0005."""
    generator = np.random.default_rng(0)
    p_values: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(400):
        clusters = _requests(generator, size=size, alike=alike)
        for by_cluster in (False, True):
            counted = clusters.summarise() if by_cluster else ClusteredCounts(clusters.counts)
            measured = measure_disparity_change(
                "DI", REFERENCE, counted, tolerance=0.1, minimum_group_size=10
            )
            p_values[by_cluster].append(measured.p_unchanged or 1.0)
    assert np.mean(np.array(p_values[False]) < 0.0005) > 0.03
    assert np.mean(np.array(p_values[True]) < 0.05) < 0.09
    assert np.mean(np.array(p_values[True]) < 0.0005) < 0.01


def test_the_design_effect_of_independent_rows_is_1() -> None:
    generator = np.random.default_rng(1)
    totals = np.zeros((1024, 4), dtype=np.int64)
    np.add.at(totals, (generator.integers(0, 1024, 50_000), generator.integers(0, 4, 50_000)), 1)
    assert effect_of_ratio(totals) == pytest.approx(1, abs=0.15)
    assert effect_of_ratio(7 * totals) == pytest.approx(7, rel=0.15)
