"""Evaluate's figures of parts of the test split: seen and unseen text, and slices."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.evaluation.metrics.quality import evaluate_scores
from sashiko.steps.evaluate import seen_in_train
from tests.unit.steps import evaluate_job
from tests.unit.steps.evaluate_job import predictions, run


def test_seen_and_unseen_text_are_measured_apart_beside_the_linear_baseline(root) -> None:
    inputs = evaluate_job.lay_out(root, slices={"minimum_rows": 30})
    # Train has the words and pairs of the first 40 rows of test; the others' second word is new.
    seen = pq.read_table(inputs / "test" / "data.parquet")["text"].to_pylist()[:40]
    train = pq.read_table(inputs / "train" / "data.parquet")
    train = train.set_column(1, "text", pa.array([text.upper() for text in seen]))
    pq.write_table(train, inputs / "train" / "data.parquet")
    evaluation = run(root)[0]
    seen_rows, new = evaluation.seen_text
    assert [(item.seen, item.rows) for item in evaluation.seen_text] == [(True, 40), (False, 80)]
    assert seen_rows.positives + new.positives == evaluation.splits["test"].positives
    labels = np.array([row["label"] for row in predictions(root) if row["split"] == "test"])
    scores = np.array([row["score"] for row in predictions(root) if row["split"] == "test"])
    expected = evaluate_scores(labels[40:], scores[40:], threshold=0.5, replicates=1, seed=0)
    assert new.candidate["auc"].value == expected["auc"].value
    lead = new.candidate["auc"].value - new.linear["auc"].value
    assert new.lead["auc"].value == pytest.approx(lead)
    (note,) = (
        n for n in evaluation.notes if n.startswith("67 % of the test rows have a word, or a")
    )
    assert f"AUC {expected['auc'].value:.3f} there, {new.linear['auc'].value:.3f}" in note


def test_a_word_that_is_known_in_another_place_only_is_an_unseen_pair() -> None:
    seen = seen_in_train(["no help came", "it came late"], ["no help", "help no", "It came late!"])
    assert seen.tolist() == [True, False, True]


def test_too_few_seen_rows_are_counted_and_not_judged(root) -> None:
    evaluate_job.lay_out(root, slices={"minimum_rows": 200})
    evaluation = run(root)[0]
    assert sum(item.rows for item in evaluation.seen_text) == 120
    assert all(not item.candidate and not item.lead for item in evaluation.seen_text)
    assert not any("of the test rows have" in note for note in evaluation.notes)


def test_slices_come_with_their_support_the_worst_first(root) -> None:
    inputs = evaluate_job.lay_out(root, slices={"metric": "accuracy", "minimum_rows": 30})
    desks = ["north" if n % 4 in (0, 3) else "south" for n in range(120)]
    rare = ["a" if n < 20 else "b" for n in range(120)]
    evaluate_job.write_slices(inputs / "slices" / "data.parquet", desk=desks, rare=rare)
    slices = run(root)[0].slices
    assert [(item.column, item.value) for item in slices.figures] == [
        ("desk", "south"), ("rare", "b"), ("desk", "north"), ("rare", "a"),
    ]  # fmt: skip
    worst, _, best, few = slices.figures
    south = [n for n in range(120) if n % 4 in (1, 2)]
    assert (worst.rows, worst.positives) == (60, sum(label_of(n) for n in south))
    assert worst.differences["accuracy"].high < 0 < best.differences["accuracy"].low
    assert few.rows == 20
    assert not few.metrics
    assert [item.value for item in slices.worse] == ["south"]
    (note,) = (n for n in run(root)[0].notes if n.startswith("Worst of 3 slices by accuracy"))
    assert "desk = south" in note
    assert "60 rows" in note
    assert "by chance" in note


def label_of(row: int) -> int:
    return int(row % 4 < 2) ^ int(row % 10 == 0)
