from collections import Counter

import numpy as np
import pytest
from scipy import stats

from sashiko.evaluation.metrics.quality import Confusion
from sashiko_packs.monitoring.audited import (
    MEASURES,
    AuditedMeasure,
    balance,
    draw_positions,
    estimate_measure,
    right_and_wrong,
)
from tests.packs.monitoring.audited import period

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
    return estimate_measure(measure, periods, held_out=right_and_wrong(measure, REFERENCE))


def test_accuracy_is_the_share_of_right_decisions_with_wilsons_interval() -> None:
    estimate = _estimate(period(0, 150, 50))
    assert (estimate.value, estimate.rows) == (0.75, 200)
    expected = stats.binomtest(150, 200).proportion_ci(method="wilson")
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=1e-6)


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


def test_rows_without_a_label_bound_the_value() -> None:
    rows = period(0, 72, 8, unlabelled=20)
    estimate = _estimate(rows, period(1, 100, 0, answers=1_000))
    assert estimate.value == pytest.approx(172 / 180)
    assert (estimate.worst, estimate.best) == pytest.approx((172 / 200, 192 / 200))


@pytest.mark.parametrize(("measure", "needed"), [("accuracy", 100), ("recall", 30)])
def test_too_few_labels_give_no_estimate(measure: str, needed: int) -> None:
    few, enough = (
        period(0, labelled=Confusion(true_positives=count, false_positives=0, false_negatives=0,
                                     true_negatives=0))
        for count in (needed - 1, needed)
    )  # fmt: skip
    assert _estimate(few, measure=measure).value is None
    assert _estimate(enough, measure=measure).value == 1.0


@pytest.mark.parametrize("accuracy", [0.706, 0.774, 0.9])
def test_the_interval_holds_the_true_accuracy_as_often_as_it_says(accuracy: float) -> None:
    ends = [_estimate(period(0, count, 100 - count)) for count in range(101)]
    held = sum(
        stats.binom.pmf(count, 100, accuracy)
        for count, end in enumerate(ends)
        if end.low <= accuracy <= end.high
    )
    assert 0.92 < held < 0.97
