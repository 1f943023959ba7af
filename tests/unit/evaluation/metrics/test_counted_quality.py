import numpy as np
import pytest

from sashiko.evaluation.metrics.quality import (
    Confusion,
    confusion,
    counted_quality,
    difference,
    evaluate_scores,
)
from tests.unit.evaluation.metrics.test_quality import scored_rows

SAMPLING = {"replicates": 4000, "seed": 1}


@pytest.mark.parametrize("always_positive", [False, True])
def test_counts_give_what_rows_give(always_positive: bool) -> None:
    labels, scores = scored_rows(3, rows=900)
    quality = counted_quality(
        confusion(labels, scores, threshold=0.5), always_positive=always_positive, **SAMPLING
    )
    rows = evaluate_scores(labels, scores, threshold=0.5, **SAMPLING)
    alike = np.full(len(labels), float(always_positive))
    leads = difference(labels, scores, alike, threshold=0.5, other_threshold=0.5, **SAMPLING)
    for ours, theirs in ((quality.metrics, rows), (quality.leads, leads)):
        assert set(ours) == {"accuracy", "balanced_accuracy", "precision", "recall", "f1"}
        for name, item in ours.items():
            assert item.value == pytest.approx(theirs[name].value, abs=1e-12)
            assert item.low == pytest.approx(theirs[name].low, abs=0.006)
            assert item.high == pytest.approx(theirs[name].high, abs=0.006)


def test_what_one_label_leaves_undefined_has_no_value() -> None:
    counted = Confusion(true_positives=0, false_positives=3, false_negatives=0, true_negatives=5)
    quality = counted_quality(counted, always_positive=False, **SAMPLING)
    assert quality.metrics["accuracy"].value == 5 / 8
    assert quality.metrics["balanced_accuracy"].value is None
