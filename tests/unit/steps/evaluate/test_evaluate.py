"""Evaluate: the scores, the threshold, the reference and the calibration that it writes."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_file
from sashiko.errors import InputError
from sashiko.evaluation.metrics.quality import evaluate_scores
from sashiko.evaluation.reference import read_reference
from sashiko.steps.evaluate import seen_in_train
from tests.e2e.serving.tiny_artifact import build_artifact, expected_score
from tests.unit import acme
from tests.unit.steps import evaluate_job
from tests.unit.steps.evaluate_job import predictions, run


def test_predictions_are_the_artifacts_scores_at_the_validation_threshold(root) -> None:
    inputs = evaluate_job.lay_out(root)
    _, decision, _ = run(root)
    rows = predictions(root)
    assert [row["split"] for row in rows] == ["validation"] * 80 + ["test"] * 120
    texts = pq.read_table(inputs / "test" / "data.parquet")["text"].to_pylist()
    assert [row["score"] for row in rows[80:]] == pytest.approx(
        [expected_score(text) for text in texts], abs=1e-6
    )
    assert all(row["predicted"] == (row["score"] >= decision.threshold) for row in rows)
    assert expected_score("bad") < decision.threshold < expected_score("awful")
    assert (decision.policy, decision.metric) == ("maximize", "balanced_accuracy")
    validation = [row for row in rows if row["split"] == "validation"]
    evaluation = [np.mean([r["predicted"] == r["label"] for r in validation if r["label"] == label])
             for label in (0, 1)]  # fmt: skip
    assert decision.validation_value == pytest.approx(np.mean(evaluation))


def test_the_reference_describes_the_columns_that_the_model_reads(root) -> None:
    inputs = evaluate_job.lay_out(root)
    tones = (["bad"] * 70 + ["fine"] * 30 + [None] * 11 + ["rare"] * 9)[:120]
    notes = [f"note {'x' * (n % 60)} of {n}" for n in range(120)]
    evaluate_job.write_slices(
        inputs / "slices" / "data.parquet", desk=["north", "south"] * 60, tone=tones, note=notes
    )
    evaluation, decision, _ = run(root)
    path = root / "processing" / "output" / "metrics" / "reference.json"
    reference = read_reference(path)
    tone, note = reference.columns
    assert (tone.column, tone.kind, tone.values) == ("tone", "category", ("bad", "fine"))
    assert tone.counts == (70, 30, 9, 11)
    assert (note.column, note.kind, note.values) == ("note", "text", ())
    assert sum(note.counts[:-2]) == 120
    scores = [row["score"] for row in predictions(root) if row["split"] == "test"]
    below = sum(score <= reference.scores.edges[0] for score in scores)
    assert (reference.scores.counts[0], sum(reference.scores.counts)) == (below, 120)
    assert (reference.rows, reference.threshold) == (120, decision.threshold)
    assert (reference.template, reference.missing) == ("{tone} {note}", "unknown")
    assert reference.calibration == evaluation.calibration.curve
    assert reference.artifact_sha256 == sha256_file(inputs / "artifact" / "model.tar.gz")
    assert not any(word in path.read_text() for word in ("note x", "test-0", "north", "rare"))


def test_a_fixed_threshold_is_taken_as_it_is(root) -> None:
    evaluate_job.lay_out(root, threshold={"policy": "fixed", "value": 0.9})
    _, decision, _ = run(root)
    assert (decision.threshold, decision.policy) == (0.9, "fixed")
    assert {row["predicted"] for row in predictions(root) if row["score"] < 0.9} == {0}


def test_a_score_at_the_threshold_is_positive(root, tmp_path_factory, monkeypatch) -> None:
    evaluate_job.lay_out(root)
    run(root)
    score = predictions(root)[0]["score"]
    other = tmp_path_factory.mktemp("again")
    monkeypatch.setenv("OPT_ML", str(other))
    evaluate_job.lay_out(other, threshold={"policy": "fixed", "value": score})
    run(other)
    assert {row["predicted"] for row in predictions(other) if row["score"] == score} == {1}


def test_a_temperature_is_reported_with_the_calibration_before_and_after(root) -> None:
    fit = {"temperature": 3.0, "validation_loss_before": 0.9, "validation_loss_after": 0.6}
    evaluate_job.lay_out(root, temperature=fit)
    evaluation, _, _ = run(root)
    before, after = evaluation.calibration.before, evaluation.candidate
    assert evaluation.calibration.temperature.temperature == 3
    # The artifact's scores are the scaled ones: without it they are three times as sure.
    test = [row for row in predictions(root) if row["split"] == "test"]
    labels, scores = (np.array([row[name] for row in test]) for name in ("label", "score"))
    odds = (scores / (1 - scores)) ** 3
    error = "expected_calibration_error"
    unscaled = evaluate_scores(labels, odds / (1 + odds), threshold=0.5, replicates=100, seed=0)
    assert before[error].value == pytest.approx(unscaled[error].value)
    assert before["brier_score"].value == pytest.approx(unscaled["brier_score"].value)
    assert before[error].value != pytest.approx(after[error].value)
    (note,) = (n for n in evaluation.notes if n.startswith("Logits are divided by 3.000"))
    assert f"was {before[error].value:.3f} before and is {after[error].value:.3f} after" in note


def test_without_a_temperature_there_is_no_before(root) -> None:
    evaluate_job.lay_out(root)
    evaluation, _, _ = run(root)
    assert evaluation.calibration.temperature is None
    assert evaluation.calibration.before == {}
    assert evaluation.calibration.error_by_chance.value > 0
    assert sum(item.rows for item in evaluation.calibration.curve) == 120


def test_a_text_that_the_artifact_refuses_is_named_by_its_key(root, tmp_path) -> None:
    short = build_artifact(tmp_path / "short", lengths=(3,))
    evaluate_job.lay_out(root, artifact=short)
    with pytest.raises(InputError, match=r"key validation-0000: .*compile\.sequence_lengths"):
        evaluate_job.run_evaluate()
    assert not list((root / "processing" / "output").rglob("*.json"))


def test_an_output_archive_without_metrics_is_named(root) -> None:
    inputs = evaluate_job.lay_out(root)
    (inputs / "training-output" / "output.tar.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"output\.tar\.gz holds no readable metrics\.jsonl"):
        evaluate_job.run_evaluate()


def test_a_weak_model_fails_the_gate_and_its_figures_are_still_written(root, tmp_path) -> None:
    upside_down = dict.fromkeys(("awful", "bad"), -1.0) | {"fine": 1.0, "good": 1.0}
    archive = build_artifact(tmp_path / "weak", words=upside_down)
    evaluate_job.lay_out(root, artifact=archive)
    evaluation, _, verdict = run(root)
    assert not verdict.passed
    assert verdict.summary.startswith("model-quality: 1 of 2 checks failed")
    assert evaluation.candidate["auc"].value < 0.3
    note = next(note for note in evaluation.notes if note.startswith("On AUC"))
    assert "is worse than always answering with the more frequent label" in note


def test_a_gate_on_the_projects_own_metric_blocks_with_its_interval(root, tmp_path, monkeypatch):
    acme.make(tmp_path / "src", monkeypatch)
    cost, top = "acme.metrics:Cost", "acme.metrics:Top"
    evaluate_job.lay_out(
        root,
        gates=[
            {"metric": cost, "maximum": 0.2, "reason": "the desk's budget"},
            {"metric": top, "minimum": 0.5, "reason": "the first ten are worth it"},
            {"metric": cost, "better_than": "majority", "reason": "cheaper than no model"},
        ],
    )
    evaluation, _, verdict = run(root)
    rows = [row for row in predictions(root) if row["split"] == "test"]
    errors = [row["label"] - row["predicted"] for row in rows]
    costs = [5 if error == 1 else -error for error in errors]
    assert evaluation.candidate[cost].value == pytest.approx(np.mean(costs))
    # The mean of independent rows: its interval is known.
    half = 1.96 * np.std(costs) / np.sqrt(len(costs))
    assert evaluation.candidate[cost].low == pytest.approx(np.mean(costs) - half, rel=0.15)
    assert evaluation.candidate[cost].high == pytest.approx(np.mean(costs) + half, rel=0.15)
    bounded, best, lead = verdict.checks
    assert not verdict.passed
    assert (bounded.name, bounded.passed, bounded.threshold) == (cost, False, 0.2)
    assert bounded.try_
    assert (best.name, best.passed) == (top, evaluation.candidate[top].value >= 0.5)
    # Lower is better, so that a lead is what the other one costs more.
    other = evaluation.others["majority"][cost].value - evaluation.candidate[cost].value
    assert lead.value == pytest.approx(other)
    assert evaluation.leads["majority"][top].value == pytest.approx(
        evaluation.candidate[top].value - evaluation.others["majority"][top].value
    )
    path = root / "processing" / "input" / "config" / "quality.json"
    path.write_text(json.dumps({"gates": evaluate_job.GATES}))
    assert evaluation.candidate["auc"] == run(root)[0].candidate["auc"]


def test_a_metric_that_is_undefined_on_the_test_split_closes_the_gate(root, tmp_path, monkeypatch):
    package = acme.make(tmp_path / "src", monkeypatch)
    (package / "metrics.py").write_text(
        "import math\nclass Never:\n    higher_is_better = True\n"
        "    def __call__(self, labels, scores, *, threshold):\n        return math.inf\n"
    )
    gate = {"metric": "acme.metrics:Never", "minimum": 0, "reason": "why"}
    evaluate_job.lay_out(root, gates=[gate])
    _, _, verdict = run(root)
    assert not verdict.passed
    assert verdict.checks[0].reason.startswith("undefined on the test split; ")


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
    start = "67 % of the test rows have a word, or a"
    (note,) = (note for note in evaluation.notes if note.startswith(start))
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
