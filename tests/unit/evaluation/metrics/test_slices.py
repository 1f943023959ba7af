import numpy as np
import pytest

from sashiko.evaluation.metrics.quality import SLICE_METRICS, evaluate_scores, slice_estimates
from sashiko.evaluation.metrics.uncertainty import Estimate, standing

OPTIONS = {"threshold": 0.5, "replicates": 400, "seed": 0}


def rows_with_a_bad_part(rows: int = 1200):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, rows)
    bad = np.arange(rows) % 6 == 0
    right = generator.random(rows) < np.where(bad, 0.55, 0.85)
    scores = np.where((labels == 1) == right, 0.7, 0.3) + generator.uniform(-0.1, 0.1, rows)
    return labels, scores, bad


def test_a_slice_has_the_metrics_of_its_rows_alone() -> None:
    labels, scores, bad = rows_with_a_bad_part()
    (estimates,) = slice_estimates(labels, scores, [bad], **OPTIONS)
    alone = evaluate_scores(labels[bad], scores[bad], **OPTIONS)
    whole = evaluate_scores(labels, scores, **OPTIONS)
    for name in SLICE_METRICS:
        assert estimates.metrics[name].value == pytest.approx(alone[name].value)
        apart = alone[name].value - whole[name].value
        expected = -apart if name == "brier_score" else apart
        assert estimates.differences[name].value == pytest.approx(expected)


def test_a_planted_bad_slice_lies_below_all_rows_and_an_equal_one_does_not() -> None:
    labels, scores, bad = rows_with_a_bad_part()
    even = np.arange(1200) % 2 == 0  # holds bad rows: half of it, as many as it should by 1 in 6
    like_all = (np.arange(1200) // 6) % 2 == 0
    worse, _, same = slice_estimates(labels, scores, [bad, even, like_all], **OPTIONS)
    for name in SLICE_METRICS:
        assert worse.differences[name].high < 0, name
        assert same.differences[name].low < 0 < same.differences[name].high, name


def test_the_interval_of_a_difference_counts_that_the_whole_holds_the_slice() -> None:
    labels, scores, bad = rows_with_a_bad_part()
    most = ~bad
    (estimates,) = slice_estimates(labels, scores, [most], **OPTIONS)
    apart, own = estimates.differences["accuracy"], estimates.metrics["accuracy"]
    assert apart.high - apart.low < 0.7 * (own.high - own.low)


def test_a_slice_of_one_label_has_no_auc_and_still_an_accuracy() -> None:
    labels, scores, _ = rows_with_a_bad_part()
    (estimates,) = slice_estimates(labels, scores, [labels == 1], **OPTIONS)
    assert estimates.metrics["auc"].value is None
    assert estimates.differences["auc"].value is None
    assert estimates.metrics["accuracy"].value is not None


@pytest.mark.parametrize(
    ("low", "high", "minimum", "word"),
    [
        (0.02, 0.04, 0.01, "better"),
        (0.005, 0.04, 0.01, "no worse"),  # surely a lead, and not surely one that matters
        (-0.004, 0.04, 0.01, "no worse"),
        (-0.004, -0.001, 0.01, "no worse"),
        (-0.02, 0.04, 0.01, "not shown to be better"),
        (-0.02, -0.001, 0.01, "worse"),
        (0.0, 0.0, 0.0, "not shown to be better"),
        (None, None, 0.0, "undefined"),
    ],
)
def test_a_lead_is_described_in_words_that_its_interval_bears_out(low, high, minimum, word) -> None:
    assert standing(Estimate(value=0.01, low=low, high=high), minimum_effect=minimum) == word
