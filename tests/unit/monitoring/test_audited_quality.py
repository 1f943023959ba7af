"""Audited labels judge; ordinary ones cannot, however many there are."""

import pytest

from sashiko.monitoring.audited_quality import CHECK_NAME, measure_quality
from sashiko.monitoring.quality import AuditedPeriod, LabelSummary
from sashiko.monitoring.sequential import add_window, start_test
from sashiko.settings.monitor import MonitorSection
from tests.unit.monitoring.label_stores import week

REFERENCE = 0.8
SETTINGS = MonitorSection(accuracy_tolerance=0.02, accuracy_false_alarms=0.05)


def period(number, right, wrong, *, state="complete", drawn=None, answers=1_000):
    return AuditedPeriod(
        start=week(number).start,
        end=week(number).end,
        answers=answers,
        drawn=right + wrong if drawn is None else drawn,
        right=right,
        wrong=wrong,
        state=state,
        closed=None if state == "open" else week(number).end,
    )


def quality(*periods, right=0, wrong=0):
    summary = LabelSummary(
        version=7,
        periods=periods,
        ordinary_right=right,
        ordinary_wrong=wrong,
        waiting=0,
        known=0,
        duplicated=0,
        late=0,
        unknown=0,
    )
    return measure_quality(summary, reference_accuracy=REFERENCE, settings=SETTINGS)


def test_a_fall_that_lasts_raises_an_alarm_and_the_reference_accuracy_does_not() -> None:
    fallen = quality(*[period(number, 65, 35) for number in range(4)])
    assert (fallen.check.name, fallen.check.outcome) == (CHECK_NAME, "alarm")
    assert fallen.check.rows == 400
    assert fallen.check.tolerance == pytest.approx(REFERENCE - 0.02)
    assert quality(*[period(number, 80, 20) for number in range(4)]).check.outcome == "ok"


def test_each_period_is_a_window_of_the_bet_in_the_order_of_time() -> None:
    counts = [(60, 40), (95, 5), (70, 30)]
    test = start_test(reference=REFERENCE, tolerance=0.02)
    for right, wrong in counts:
        test = add_window(test, right=right, wrong=wrong)
    check = quality(*[period(number, *count) for number, count in enumerate(counts)]).check
    assert check.p_value == pytest.approx(min(2.718281828459045**-test.highest_log_stake, 1))


def test_ordinary_labels_are_shown_and_judge_nothing() -> None:
    audited = [period(number, 80, 20) for number in range(4)]
    good, bad = quality(*audited, right=9_000), quality(*audited, wrong=9_000)
    assert (good.ordinary_accuracy, bad.ordinary_accuracy) == (1.0, 0.0)
    assert good.ordinary_rows == 9_000
    assert good.check == bad.check
    assert (good.latest, good.since_deploy) == (bad.latest, bad.since_deploy)
    assert quality(wrong=9_000).check.outcome == "not judged"


def test_of_fewer_than_ten_ordinary_labels_no_accuracy_is_shown() -> None:
    assert quality(right=9).ordinary_accuracy is None
    assert quality(right=9, wrong=1).ordinary_accuracy == 0.9


def test_without_a_complete_period_nothing_is_judged_and_it_says_what_is_needed() -> None:
    result = quality(period(0, 50, 3, state="open", drawn=100), period(1, 1, 2, state="expired"))
    assert result.check.outcome == "not judged"
    assert "0 audited labels, 100 are needed" in result.check.reason
    assert result.latest is None
    assert result.since_deploy.value is None
    assert len(result.periods) == 2


def test_a_period_after_an_open_one_waits_for_the_bet_and_is_shown() -> None:
    result = quality(period(0, 90, 10), period(1, 3, 2, state="open", drawn=100), period(2, 0, 100))
    assert (result.check.rows, result.check.outcome) == (100, "ok")
    assert result.latest.value == 0.0
    assert result.since_deploy.labelled == 200


def test_an_expired_period_is_bet_on_by_nobody() -> None:
    result = quality(period(0, 0, 80, state="expired", drawn=100), period(1, 90, 10))
    assert (result.check.rows, result.check.outcome) == (100, "ok")
    assert result.since_deploy.labelled == 100


def test_a_period_of_more_answers_counts_for_more_since_the_deploy() -> None:
    result = quality(period(0, 100, 0, answers=200), period(1, 0, 100, answers=1_000))
    assert result.since_deploy.value == pytest.approx(200 / 1_200)
    assert result.latest.value == 0.0
    assert result.check.value == 0.5
