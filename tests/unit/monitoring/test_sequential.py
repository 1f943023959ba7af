import math
from statistics import median

import numpy as np
import pytest

from sashiko.monitoring.sequential import AuditTest, add_window, judge_test, start_test

REFERENCE, TOLERANCE, ERROR = 0.774, 0.02, 0.05
TOLERATED = REFERENCE - TOLERANCE


def _week_of_alarm(accuracies, *, labels: int, generator) -> float:
    """Returns the first week with an alarm; infinite if there is none."""
    test = start_test(reference=REFERENCE, tolerance=TOLERANCE)
    for week, accuracy in enumerate(accuracies, start=1):
        right = int(generator.binomial(labels, accuracy))
        test = add_window(test, right=right, wrong=labels - right)
        if test.passed(ERROR):
            return week
    return math.inf


def _weeks(accuracies, *, labels: int = 100, years: int = 200) -> list[float]:
    generator = np.random.default_rng(3)
    return [_week_of_alarm(accuracies, labels=labels, generator=generator) for _ in range(years)]


@pytest.mark.parametrize(("labels", "weeks"), [(100, 8), (200, 5)])
def test_a_fall_by_seven_points_is_detected_in_weeks(labels: int, weeks: int) -> None:
    assert median(_weeks([0.706] * 30, labels=labels)) <= weeks


def test_a_fall_after_half_a_year_of_quiet_is_detected_in_the_same_year() -> None:
    delays = [week - 26 for week in _weeks([REFERENCE] * 26 + [0.706] * 40) if week > 26]
    assert median(delays) <= 16


def test_an_accuracy_at_the_tolerance_raises_an_alarm_in_a_twentieth_of_the_years_at_most() -> None:
    assert np.mean(np.isfinite(_weeks([TOLERATED] * 52))) <= ERROR


def test_the_stake_cannot_be_expected_to_grow_at_any_accuracy_that_is_tolerated() -> None:
    """Sums a window's stake over all outcomes, for bets that an earlier window has moved."""
    started = start_test(reference=REFERENCE, tolerance=TOLERANCE)
    labels = 12
    for test in (started, add_window(started, right=50, wrong=50)):
        for accuracy in (TOLERATED, 0.8, 0.9):
            expected = sum(
                math.comb(labels, right)
                * accuracy**right
                * (1 - accuracy) ** (labels - right)
                * math.exp(
                    add_window(test, right=right, wrong=labels - right).log_stake - test.log_stake
                )
                for right in range(labels + 1)
            )
            assert expected <= 1 + 1e-9
            if accuracy == TOLERATED:
                assert expected == pytest.approx(1)


def test_an_alarm_stays_when_the_accuracy_recovers() -> None:
    test = start_test(reference=REFERENCE, tolerance=TOLERANCE)
    test = add_window(test, right=100, wrong=100)
    recovered = add_window(test, right=1000, wrong=0)
    for state in (test, recovered):
        check = judge_test(state, name="accuracy", labels_needed=100, false_alarms=ERROR)
        assert check.outcome == "alarm"
        assert check.reason == "accuracy is below 0.754"
    assert recovered.log_stake < recovered.highest_log_stake


def test_few_labels_are_not_judged_and_say_how_many_are_needed() -> None:
    test = add_window(start_test(reference=0.9, tolerance=0.02), right=40, wrong=5)
    check = judge_test(test, name="accuracy", labels_needed=100, false_alarms=ERROR)
    assert (check.outcome, check.rows, check.rows_needed) == ("not judged", 45, 100)
    assert check.reason == "45 audited labels, 100 are needed"
    quiet = judge_test(
        add_window(test, right=52, wrong=6), name="accuracy", labels_needed=100, false_alarms=ERROR
    )
    assert quiet.outcome == "ok"
    assert quiet.value == pytest.approx(92 / 103)


def test_a_window_without_labels_costs_no_stake() -> None:
    test = add_window(start_test(reference=0.9, tolerance=0.02), right=0, wrong=0)
    assert test.log_stake == pytest.approx(0)


def test_the_state_survives_a_file() -> None:
    test = add_window(start_test(reference=REFERENCE, tolerance=TOLERANCE), right=70, wrong=30)
    assert AuditTest.model_validate_json(test.model_dump_json()) == test


@pytest.mark.parametrize("reference", [0.01, 0.5, 1.0])
def test_any_reference_can_be_bet_on(reference: float) -> None:
    test = start_test(reference=reference, tolerance=0.02)
    for right, wrong in ((100, 0), (0, 100), (50, 50)):
        assert math.isfinite(add_window(test, right=right, wrong=wrong).log_stake)
