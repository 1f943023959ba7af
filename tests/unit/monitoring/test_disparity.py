import numpy as np
import pytest

from sashiko.evaluation.metrics.counts import Counts
from sashiko.monitoring.disparity import measure_disparity_bound, measure_disparity_change

OPTIONS = {"minimum_group_size": 100, "replicates": 1000, "seed": 0}


def _counts(chosen: int, rows: int, chosen_rest: int, rest: int) -> Counts:
    """Returns counts of decisions; the labels play no part."""
    cells = np.zeros((1, 2, 2, 2), dtype=np.int64)
    cells[0, 1, 0] = rows - chosen, chosen
    cells[0, 0, 0] = rest - chosen_rest, chosen_rest
    return Counts(cells, np.array([False, True]))


REFERENCE = _counts(700, 1750, 700, 1750)


def _change(window: Counts, reference: Counts = REFERENCE):
    return measure_disparity_change("DI of group 1", reference, window, tolerance=0.1, **OPTIONS)


def _bound(window: Counts):
    return measure_disparity_bound("DI of group 1", window, minimum=0.8, maximum=1.25, **OPTIONS)


def test_the_value_is_the_windows_disparate_impact_with_its_interval() -> None:
    measured = _change(_counts(750, 2500, 1000, 2500))
    assert measured.value == pytest.approx(0.75)
    # Katz's interval: 0.75 * exp(-+ 1.96 * 0.0397).
    assert (measured.low, measured.high) == pytest.approx((0.694, 0.811), abs=0.01)
    assert measured.tolerance == pytest.approx(0.9)


def test_a_fall_from_1_to_075_in_5000_rows_is_more_than_chance_and_than_the_tolerance() -> None:
    measured = _change(_counts(750, 2500, 1000, 2500))
    assert measured.p_unchanged < 1e-5
    assert measured.p_tolerated < 0.001


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
def test_a_bound_counts_only_when_the_window_is_shown_to_lie_beyond_it(
    chosen: int, is_outside: bool
) -> None:
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
            "DI", reference, _counts(int(chosen), 250, int(rest), 250), tolerance=0.1,
            minimum_group_size=100, replicates=10, seed=0,
        )  # fmt: skip
        p_values.append(measured.p_unchanged)
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.03)


def test_small_groups_are_not_judged_and_show_no_number() -> None:
    measured = _change(_counts(30, 99, 1000, 2500))
    assert not measured.is_judged
    assert measured.value is None
    assert (measured.rows, measured.rows_needed) == (99, 100)


def test_decisions_of_one_kind_are_not_judged() -> None:
    assert "decisions of a kind" in _change(_counts(0, 250, 100, 250)).reason
    assert "reference" in _change(_counts(75, 250, 100, 250), _counts(0, 250, 100, 250)).reason
