import math
from statistics import median

import numpy as np
import pytest

from sashiko_packs.monitoring.audited import add_window, lowest_tolerated, start_test

ERROR, TOLERATED, REFERENCE = 0.05, 0.754, 0.774


def _week_of_alarm(accuracies, *, labels: int, generator) -> float:
    """Returns the first week with an alarm; infinite if there is none."""
    test = start_test(tolerated=TOLERATED)
    for week, accuracy in enumerate(accuracies, start=1):
        right = int(generator.binomial(labels, accuracy))
        test = add_window(test, right=right, wrong=labels - right, days=7)
        if test.passed(ERROR):
            return week
    return math.inf


def _weeks(accuracies, *, labels: int = 100, years: int = 300) -> list[float]:
    generator = np.random.default_rng(3)
    return [_week_of_alarm(accuracies, labels=labels, generator=generator) for _ in range(years)]


@pytest.mark.parametrize(("labels", "weeks"), [(100, 8), (200, 5)])
def test_a_fall_by_seven_points_is_detected_in_weeks(labels: int, weeks: int) -> None:
    assert median(_weeks([0.706] * 30, labels=labels)) <= weeks


@pytest.mark.parametrize("quiet", [26, 104])
def test_a_fall_after_a_long_quiet_is_detected_as_soon_however_long_it_was(quiet: int) -> None:
    delays = [week - quiet for week in _weeks([REFERENCE] * quiet + [0.706] * 40) if week > quiet]
    assert median(delays) <= 10


@pytest.mark.parametrize("tolerated", [0.6, TOLERATED, 0.97])
def test_a_share_at_the_tolerance_raises_an_alarm_in_a_twentieth_of_the_years_at_most(
    tolerated: float,
) -> None:
    """So many rows a week that the stake jumps little over its limit: the worst case."""
    generator, alarms, years = np.random.default_rng(1), 0, 1_000
    for _ in range(years):
        test = start_test(tolerated=tolerated)
        for right in generator.binomial(30, tolerated, size=52).tolist():
            test = add_window(test, right=right, wrong=30 - right, days=7)
        alarms += test.passed(ERROR)
    assert alarms / years <= ERROR


def test_a_year_of_periods_of_any_length_bets_one_stake_in_all() -> None:
    """Sums the stake over all outcomes of two periods at the tolerated share: what was put in."""
    labels, days = 6, 365.25 / 2
    expected = 0.0
    for first in range(labels + 1):
        for second in range(labels + 1):
            test = start_test(tolerated=TOLERATED)
            probability = 1.0
            for right in (first, second):
                probability *= math.comb(labels, right) * TOLERATED**right
                probability *= (1 - TOLERATED) ** (labels - right)
                test = add_window(test, right=right, wrong=labels - right, days=days)
            expected += probability * float(np.exp(test.log_stakes).sum())
    assert expected == pytest.approx(1.0)


def test_an_alarm_is_at_half_of_the_inverse_of_its_probability() -> None:
    """The least number of wrong labels that is an alarm stakes more than the limit, one less not.

    The limit is 0.5 / false_alarms; a period of no days bets the quarter of the deploy alone.
    """
    wrong = 0
    while not _wrong_only(wrong).passed(ERROR):
        wrong += 1
    stakes = [float(np.exp(_wrong_only(count).log_stakes).sum()) for count in (wrong - 1, wrong)]
    assert stakes[0] < 10 <= stakes[1]


def _wrong_only(count: int):
    return add_window(start_test(tolerated=TOLERATED), right=0, wrong=count, days=1e-9)


def test_more_labels_that_agree_never_raise_the_stake() -> None:
    """An alarm that counts unlabelled rows as right is one whatever their labels will be."""
    before = add_window(start_test(tolerated=TOLERATED), right=50, wrong=50, days=7)
    for right in range(0, 100, 7):
        fewer, more = (
            add_window(before, right=right + add, wrong=100 - right - add, days=7) for add in (0, 1)
        )
        assert more.highest <= fewer.highest


def test_an_alarm_stays_when_the_share_recovers_and_the_stake_of_now_falls() -> None:
    test = add_window(start_test(tolerated=TOLERATED), right=100, wrong=100, days=7)
    recovered = add_window(test, right=1000, wrong=0, days=7)
    assert test.passed(ERROR)
    assert recovered.passed(ERROR)
    assert recovered.p_value == test.p_value == pytest.approx(test.p_now)
    assert recovered.p_now > ERROR


def test_the_reference_of_few_rows_is_not_known_better_than_its_interval() -> None:
    many = lowest_tolerated(right=77_400, rows=100_000, tolerance=0.02)
    assert many == pytest.approx(0.754)
    few = lowest_tolerated(right=70, rows=100, tolerance=0.02)
    assert few == pytest.approx(0.6042, abs=1e-4)  # Wilson's interval of 70 of 100


@pytest.mark.parametrize("right", [0, 50, 100])
def test_any_reference_can_be_bet_on(right: int) -> None:
    test = start_test(tolerated=lowest_tolerated(right=right, rows=100, tolerance=0.02))
    for agree, wrong in ((100, 0), (0, 10_000), (50, 50)):
        test = add_window(test, right=agree, wrong=wrong, days=7)
        assert 0 <= test.p_value <= 1
        assert math.isfinite(test.highest)
