"""Evaluate: the scores, the threshold, the reference and the calibration that it writes."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_file
from sashiko.errors import InputError
from sashiko.evaluation.metrics.quality import evaluate_scores
from sashiko.evaluation.reference import read_reference
from tests.e2e.serving.tiny_artifact import build_artifact, expected_score
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


def test_a_score_at_the_threshold_is_predicted_positive(
    root, tmp_path_factory, monkeypatch
) -> None:
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
