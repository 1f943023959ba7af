"""Audited periods of a test, with the counts that it names."""

import math
from collections import Counter
from statistics import median

import numpy as np
import pytest
from scipy import stats

from sashiko.evaluation.metrics.quality import Confusion
from sashiko_packs.monitoring.audited import (
    MEASURES,
    AuditedMeasure,
    AuditedPeriod,
    LabelSummary,
    balance,
    count_held_out,
    draw_positions,
    estimate_measure,
    measure_quality,
    right_and_wrong,
)
from sashiko_packs.monitoring.e_detector import add_window, lowest_tolerated, start_test
from sashiko_packs.monitoring.settings import MonitorSection
from tests.packs.monitoring.label_stores import DAY, LABEL_DAYS, week
from tests.packs.monitoring.steps.window_job import make_reference


def confusion(right: int, wrong: int) -> Confusion:
    """Half of the rows of either kind are decided positive."""
    return Confusion(
        true_positives=right // 2, false_positives=wrong // 2, false_negatives=wrong - wrong // 2,
        true_negatives=right - right // 2,
    )  # fmt: skip


def period(number, right=0, wrong=0, *, labelled=None, unlabelled=0, is_open=False, answers=1000):
    """A week's period; half of its unlabelled rows are decided positive."""
    end = week(number).end
    return AuditedPeriod(
        start=week(number).start, end=end, answers=answers,
        labelled=labelled or confusion(right, wrong), unlabelled_positive=unlabelled // 2,
        unlabelled_negative=unlabelled - unlabelled // 2, late=0,
        state="open" if is_open else "overdue" if unlabelled else "complete",
        closed=None if is_open else end + LABEL_DAYS * DAY if unlabelled else end,
    )  # fmt: skip


REFERENCE = Confusion(true_positives=70, false_positives=20, false_negatives=30, true_negatives=180)


def test_all_rows_have_the_same_chance() -> None:
    times = Counter(
        position
        for seed in range(400)
        for position in draw_positions(20, rows=5, seed=seed).tolist()
    )
    assert len(times) == 20
    assert min(times.values()) > 60
    assert max(times.values()) < 140


def _estimate(*periods, measure="accuracy") -> AuditedMeasure:
    return estimate_measure(
        MEASURES[measure], periods, held_out=right_and_wrong(measure, REFERENCE)
    )


def test_accuracy_has_wilsons_interval_and_rows_without_a_label_bound_it() -> None:
    estimate = _estimate(period(0, 150, 50))
    assert (estimate.value, estimate.rows) == (0.75, 200)
    expected = stats.binomtest(150, 200).proportion_ci(method="wilson")
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=1e-6)

    rows = period(0, 72, 8, unlabelled=20)
    estimate = _estimate(rows, period(1, 100, 0, answers=1_000))
    assert estimate.value == pytest.approx(172 / 180)
    assert (estimate.worst, estimate.best) == pytest.approx((172 / 200, 192 / 200))


def test_each_measure_is_its_share_of_the_labelled_rows_beside_that_of_the_test_split() -> None:
    rows = period(
        0,
        labelled=Confusion(
            true_positives=30, false_positives=10, false_negatives=20, true_negatives=140
        ),
    )
    estimates = {name: _estimate(rows, measure=name) for name in MEASURES}
    shares = {name: (item.value, item.rows, item.reference) for name, item in estimates.items()}
    assert shares == {
        "accuracy": (170 / 200, 200, 250 / 300),
        "recall": (30 / 50, 50, 70 / 100),
        "specificity": (140 / 150, 150, 180 / 200),
        "precision": (30 / 40, 40, 70 / 90),
    }
    balanced = balance(estimates["recall"], estimates["specificity"])
    assert balanced.value == pytest.approx((30 / 50 + 140 / 150) / 2)
    assert balanced.reference == pytest.approx(0.8)
    assert balanced.low < balanced.value < balanced.high


def test_the_interval_of_the_balanced_accuracy_holds_the_true_one_as_often_as_it_says() -> None:
    generator, recall, specificity, held = np.random.default_rng(1), 0.7, 0.9, 0
    for _ in range(2_000):
        tp, tn = generator.binomial(40, recall), generator.binomial(160, specificity)
        rows = period(
            0,
            labelled=Confusion(
                true_positives=int(tp), false_negatives=int(40 - tp), true_negatives=int(tn),
                false_positives=int(160 - tn),
            ),
        )  # fmt: skip
        parts = [_estimate(rows, measure=name) for name in ("recall", "specificity")]
        estimate = balance(*parts)
        held += estimate.low <= (recall + specificity) / 2 <= estimate.high
    assert 0.93 < held / 2_000 < 0.97


def test_rows_of_a_larger_period_count_for_more_and_make_fewer_effective_rows() -> None:
    """Of weights 2 and 10: 1,200 squared by 10,400 makes 138 effective rows of 200."""
    estimate = _estimate(period(0, 100, 0, answers=200), period(1, 0, 100, answers=1_000))
    assert estimate.value == pytest.approx(200 / 1200)
    # Wilson's interval of 23 of 138.
    expected = stats.binomtest(23, 138).proportion_ci(method="wilson")
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=1e-4)


@pytest.mark.parametrize(("measure", "needed"), [("accuracy", 100), ("recall", 30)])
def test_too_few_labels_give_no_estimate(measure: str, needed: int) -> None:
    few, enough = (
        period(0, labelled=Confusion(true_positives=count, false_positives=0, false_negatives=0,
                                     true_negatives=0))
        for count in (needed - 1, needed)
    )  # fmt: skip
    assert _estimate(few, measure=measure).value is None
    assert _estimate(enough, measure=measure).value == 1.0


ROWS = 10_000
SETTINGS = MonitorSection(accuracy_tolerance=0.02, accuracy_false_alarms=0.05)


def reference(accuracy):
    right = round(ROWS * accuracy)
    return make_reference(
        rows=ROWS, positives=ROWS // 2, true_positives=right // 2, right=(right, 0, 0, 0, 0, 0)
    )


def quality(*periods, held_out=None, accuracy=0.8):
    summary = LabelSummary(
        version=7, periods=periods, waiting=0, known=0, duplicated=0, corrected=0, unknown=0,
    )  # fmt: skip
    counts = count_held_out(held_out or reference(accuracy))
    return measure_quality(summary, held_out=counts, settings=SETTINGS)


def test_a_fall_that_lasts_raises_an_alarm_though_a_row_is_still_waited_for() -> None:
    fallen = quality(*[period(number, 65, 35) for number in range(4)])
    assert (fallen.check.name, fallen.check.outcome) == ("accuracy of audited rows", "alarm")
    assert fallen.check.rows == 400
    assert fallen.check.tolerance == pytest.approx(0.78)
    assert fallen.check.reason == "accuracy is below 0.780"
    assert quality(*[period(number, 80, 20) for number in range(4)]).check.outcome == "ok"
    periods = [period(0, 60, 39, unlabelled=1, is_open=True)]
    periods += [period(number, 60, 40) for number in range(1, 5)]
    assert quality(*periods).check.outcome == "alarm"


def test_of_few_labels_no_accuracy_is_shown_and_how_many_are_needed_is() -> None:
    result = quality(period(0, 50, 3, unlabelled=47, is_open=True))
    assert result.check.outcome == "not judged"
    assert result.check.reason == "53 audited labels, 100 are needed"
    assert result.since_deploy.value is None


def test_a_period_that_closed_without_its_labels_is_named_with_what_to_do() -> None:
    result = quality(period(0, 0, 0, unlabelled=100), period(1, 30, 4, unlabelled=66))
    assert result.check.outcome == "not judged"
    assert result.check.reason == (
        "34 audited labels, 100 are needed; the period up to 2026-03-16 closed on 2026-04-13 with "
        "34 of 100 labels, as did 1 before it: label the others, which still count, and raise "
        "`monitor.label_days` if labels take longer"
    )


@pytest.mark.parametrize("fall", [0.07, 0.1])
def test_a_fall_in_the_rows_that_nobody_labels_is_never_ok(fall: float) -> None:
    """The labelled nine tenths look as before or better; the hard tenth has all new errors."""
    generator, right = np.random.default_rng(1), 0.85 - fall
    counts = generator.binomial(90, right / 0.9, size=20).tolist()
    periods = [
        period(number, count, 90 - count, unlabelled=10) for number, count in enumerate(counts)
    ]
    result = quality(*periods, accuracy=0.85)
    assert result.check.outcome == "not judged"
    assert "rows without a label could hide a fall below 0.830" in result.check.reason
    assert f"closed on {periods[-1].closed:%Y-%m-%d} with 90 of 100 labels" in result.check.reason
    assert result.since_deploy.worst < 0.83 < result.since_deploy.best
    # With the labels of the hard rows the fall is an alarm.
    late = [period(number, count, 100 - count) for number, count in enumerate(counts)]
    assert quality(*late, accuracy=0.85).check.outcome == "alarm"


def test_few_missing_labels_keep_the_outcome_and_many_alone_raise_no_alarm() -> None:
    assert quality(
        *[period(number, 83, 15, unlabelled=2) for number in range(20)]
    ).check.outcome == ("ok")
    bad = quality(*[period(number, 65, 33, unlabelled=2) for number in range(20)])
    assert bad.check.outcome == "alarm"

    # Half of the wrong decisions are labelled first: the labelled rows look worse than all are.
    easy_missing = [period(number, 64, 20, unlabelled=16) for number in range(20)]
    result = quality(*easy_missing, accuracy=0.8)
    assert result.since_deploy.value < 0.78
    assert result.check.outcome == "not judged"


def test_the_size_that_is_shown_is_of_the_newest_labels() -> None:
    """A year of quiet does not hide in the figure what raised the alarm."""
    quiet = [period(number, 80, 20) for number in range(30)]
    fallen = [period(number, 60, 40) for number in range(30, 34)]
    result = quality(*quiet, *fallen)
    assert result.check.outcome == "alarm"
    assert result.check.value == pytest.approx(0.6)
    assert result.check.low < 0.6 < result.check.high
    assert result.since_deploy.value == pytest.approx(2640 / 3400)


def _rare(share: float):
    """A test split of 3,500 rows with recall .7 and specificity .985 at few positives."""
    positives = round(3_500 * share)
    true_positives = round(0.7 * positives)
    true_negatives = round(0.985 * (3_500 - positives))
    return make_reference(
        rows=3_500, positives=positives, true_positives=true_positives,
        right=(true_negatives + true_positives, 0, 0, 0, 0, 0),
    )  # fmt: skip


def _rows(generator, share: float, recall: float):
    shares = [share * recall, share * (1 - recall), (1 - share) * 0.015, (1 - share) * 0.985]
    tp, fn, fp, tn = (int(count) for count in generator.multinomial(100, shares))
    return Confusion(true_positives=tp, false_negatives=fn, false_positives=fp, true_negatives=tn)


@pytest.mark.parametrize("share", [0.03, 0.05, 0.1])
def test_a_fall_of_recall_is_found_where_positives_are_few(share: float) -> None:
    """The accuracy hardly moves: recall .70 to .20 at 3 % positives takes 1.5 points of it."""
    found = 0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        periods = [period(number, labelled=_rows(generator, share, 0.2)) for number in range(26)]
        checks = {c.effect: c for c in quality(*periods, held_out=_rare(share)).checks}
        found += checks["recall"].outcome == "alarm"
    assert found >= 18
    assert checks["recall"].name == "recall of audited rows"


def test_few_positive_labels_or_decisions_are_not_judged() -> None:
    generator = np.random.default_rng(1)
    result = quality(period(0, labelled=_rows(generator, 0.03, 0.7)), held_out=_rare(0.03))
    recall = {check.effect: check for check in result.checks}["recall"]
    assert recall.outcome == "not judged"
    assert recall.reason == f"{recall.rows} audited rows labelled positive, 30 are needed"

    none = make_reference(positives=300, true_positives=0, right=(700, 0, 0, 0, 0, 0))
    result = quality(period(0, 80, 20), held_out=none)
    precision = {check.effect: check for check in result.checks}["precision"]
    assert precision.outcome == "not judged"
    assert precision.reason == "the version's test split has no rows decided positive"


ERROR, TOLERATED, BEFORE = 0.05, 0.754, 0.774


def _week_of_alarm(accuracies, generator) -> float:
    """Returns the first week with an alarm; infinite if there is none."""
    test = start_test(tolerated=TOLERATED)
    for number, accuracy in enumerate(accuracies, start=1):
        right = int(generator.binomial(100, accuracy))
        test = add_window(test, right=right, wrong=100 - right, days=7)
        if test.passed(ERROR):
            return number
    return math.inf


@pytest.mark.parametrize("quiet", [0, 104])
def test_a_fall_by_seven_points_is_detected_in_weeks_however_long_it_was_quiet(quiet: int) -> None:
    generator, accuracies = np.random.default_rng(3), [BEFORE] * quiet + [0.706] * 40
    weeks = [_week_of_alarm(accuracies, generator) for _ in range(300)]
    delays = [week - quiet for week in weeks if week > quiet]
    assert median(delays) <= 10


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


def test_labels_that_agree_never_raise_the_stake_and_an_alarm_stays_when_it_falls() -> None:
    """An alarm that counts unlabelled rows as right is one whatever their labels will be."""
    before = add_window(start_test(tolerated=TOLERATED), right=50, wrong=50, days=7)
    for right in range(0, 100, 7):
        fewer, more = (
            add_window(before, right=right + add, wrong=100 - right - add, days=7) for add in (0, 1)
        )
        assert more.highest <= fewer.highest

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
