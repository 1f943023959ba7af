"""Score and Evaluate with more than two classes; files as the steps after them read them."""

import json
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn import metrics as oracle

from sashiko.base.files import read_json, sha256_file, write_json
from sashiko.evaluation.reference import read_reference
from sashiko.report.evidence import read_predictions
from tests.e2e.serving.tiny_artifact import build_artifact, expected_scores
from tests.unit import acme
from tests.unit.steps import evaluate_job
from tests.unit.steps.evaluate_job import evaluated, predictions, run

LABELS = ("Kredit, Darlehen", 'Karte "Gold"', "Überweisung")
GATES: list[dict[str, Any]] = [
    {"metric": "macro_f1", "minimum": 0.2, "reason": "of use"},
    {"metric": "worst_class_recall", "minimum": 0.5, "reason": "nobody is left out"},
    {"metric": "accuracy", "better_than": "majority", "reason": "more than the base rate"},
    {"metric": "log_loss", "better_than": "champion", "margin": -0.1, "reason": "not worse"},
]


def test_candidate_linear_baseline_and_majority_score_every_class(root) -> None:
    inputs = evaluate_job.lay_out(root, labels=LABELS, gates=GATES)
    evaluation, decision, _ = run(root)
    rows = predictions(root)
    texts = [
        text
        for split in ("validation", "test")
        for text in pq.read_table(inputs / split / "data.parquet")["text"].to_pylist()
    ]
    for row, text in zip(rows, texts, strict=True):
        expected = expected_scores(text, classes=3)
        assert row["scores"] == pytest.approx(expected, abs=1e-6)
        assert row["score"] == pytest.approx(expected[1] + expected[2], abs=1e-6)
        assert row["predicted"] == int(np.argmax(row["scores"]))
    assert {row["label"] for row in rows} == {0, 1, 2}
    assert (decision.policy, decision.threshold, decision.metric) == ("argmax", 0, None)
    file = root / "processing/output/predictions/predictions.parquet"
    read = read_predictions(file)
    assert read.by_class.tolist() == [row["scores"] for row in rows if row["split"] == "test"]

    # The majority knows the shares of the train split, so its log loss is their cross-entropy.
    train, test = (
        np.array(pq.read_table(inputs / name / "data.parquet")["label"].to_pylist())
        for name in ("train", "test")
    )
    shares = np.bincount(train) / len(train)
    majority = evaluation.others["majority"]
    assert majority["log_loss"].value == pytest.approx(-np.log(shares[test]).mean())
    assert majority["accuracy"].value == pytest.approx((test == shares.argmax()).mean())
    assert majority["balanced_accuracy"].value == pytest.approx(1 / 3)
    linear = evaluation.others["tfidf_logistic_regression"]
    assert linear["log_loss"].value < majority["log_loss"].value


def test_the_record_has_the_figures_of_each_class(root) -> None:
    evaluation, _, verdict = evaluated(
        root, labels=LABELS, gates=GATES, slices={"minimum_rows": 30}
    )
    test = [row for row in predictions(root) if row["split"] == "test"]
    labels, predicted = ([row[name] for row in test] for name in ("label", "predicted"))
    assert evaluation.labels == LABELS
    assert evaluation.first_favourable == 1
    count = evaluation.splits["test"]
    assert count.class_rows == tuple(np.bincount(labels))
    assert count.positives == sum(label > 0 for label in labels)
    matrix = oracle.confusion_matrix(labels, predicted)
    assert [list(counts) for counts in evaluation.matrix] == matrix.tolist()
    precisions, recalls, f1, _ = oracle.precision_recall_fscore_support(
        labels, predicted, zero_division=np.nan
    )
    assert [rate.recall.value for rate in evaluation.classes] == pytest.approx(list(recalls))
    assert [rate.f1 for rate in evaluation.classes] == pytest.approx(list(f1))
    assert evaluation.classes[1].precision.value is None
    assert np.isnan(precisions[1])
    assert evaluation.candidate["macro_f1"].value == pytest.approx(
        oracle.f1_score(labels, predicted, average="macro")
    )
    file = root / "processing/output/metrics/statistics.json"
    statistics = json.loads(file.read_text())["multiclass_classification_metrics"]
    assert statistics["confusion_matrix"][LABELS[0]] == dict(
        zip(LABELS, matrix[0].tolist(), strict=True)
    )
    assert statistics["weighted_f1"]["value"] == pytest.approx(
        oracle.f1_score(labels, predicted, average="weighted")
    )
    assert sum(item.rows for item in evaluation.calibration.curve) == 120
    right = sum(item.rows * item.positive_rate for item in evaluation.calibration.curve)
    assert right == pytest.approx(sum(np.equal(labels, predicted)))
    sure = sum(item.rows * item.mean_score for item in evaluation.calibration.curve)
    assert sure == pytest.approx(sum(max(row["scores"]) for row in test))
    assert evaluation.slices.judged[0].metrics.keys() >= {"macro_f1", "log_loss"}
    assert {"majority", "tfidf_logistic_regression"} <= evaluation.leads.keys()
    # Class 1 is never predicted, but has too few rows to be the worst one.
    assert evaluation.classes[1].rows == 24
    worst = min(evaluation.classes[at].recall.value for at in (0, 2))
    assert evaluation.candidate["worst_class_recall"].value == worst
    named = {check.name: check for check in verdict.checks}
    assert not named[f"recall of {LABELS[1]}"].judged
    assert "24 test rows of this class, fewer than 30" in verdict.summary
    assert named["worst_class_recall"].reason.startswith("that of `")
    assert any("On macro F1 the fine-tuned model is" in note for note in evaluation.notes)


def test_a_policy_that_abstains_is_measured_judged_and_named_in_the_predictions(root) -> None:
    """Everything else is as without it: each row counts by its most probable class."""
    plain, before = evaluated(root, labels=LABELS, gates=GATES)[0], predictions(root)
    gates = [
        {"metric": "coverage", "minimum": 0.3, "reason": "worth it"},
        {"metric": "selective_accuracy", "minimum": 0.99, "reason": "trusted"},
        {"metric": "recall", "class": LABELS[2], "minimum": 0.5, "reason": "not lost"},
    ]
    config = root / "processing" / "input" / "config"
    section = read_json(config / "evaluate.json")
    write_json(config / "evaluate.json", section | {"abstain": {"below": 0.8}})
    write_json(config / "quality.json", {"gates": gates})
    evaluation, decision, verdict = run(root)
    rows, shares = predictions(root), {}
    for name in ("validation", "test"):
        split = [row for row in rows if row["split"] == name]
        right = [row["label"] == row["predicted"] for row in split if row["answered"]]
        shares[name] = len(right) / len(split), sum(right) / len(right)
    assert all(row["answered"] == (max(row["scores"]) >= decision.threshold) for row in rows)
    assert (decision.policy, decision.validation_value) == ("abstain", shares["validation"][1])
    assert decision.threshold == 0.8
    assert 0.3 < shares["validation"][0] < 1
    reference = read_reference(root / "processing/output/metrics/reference.json")
    given = [row for row in rows if row["split"] == "test" and row["answered"]]
    labels, answers = ([row[name] for row in given] for name in ("label", "predicted"))
    matrix = oracle.confusion_matrix(labels, answers, labels=range(3))
    assert [(one.rows, one.predicted, one.right) for one in reference.classes] == list(
        zip(matrix.sum(axis=1), matrix.sum(axis=0), matrix.diagonal(), strict=True)
    )
    figures = evaluation.selective.metrics
    assert (figures["coverage"].value, figures["selective_accuracy"].value) == shares["test"]
    named = {check.name: check for check in verdict.checks}
    assert (named["coverage"].passed, named["selective_accuracy"].passed) == (True, False)
    assert "raise what `evaluate.abstain` asks for" in verdict.summary
    assert named[f"recall of {LABELS[2]}"].value == evaluation.classes[2].recall.value
    assert any("are not answered" in note for note in evaluation.notes)
    apart = {"selective", "threshold", "notes"}
    assert evaluation.model_dump(exclude=apart) == plain.model_dump(exclude=apart)
    assert "answered" not in before[0]
    assert [{name: row[name] for name in before[0]} for row in rows] == before


def test_a_champion_of_the_same_classes_is_compared_and_one_that_lacks_a_class_is_not(
    root, tmp_path
) -> None:
    inputs = evaluate_job.lay_out(root, labels=LABELS, gates=GATES)
    same = inputs / "artifact" / "model.tar.gz"
    record = {"version": 3, "sha256": sha256_file(same), "threshold": 0.0}
    evaluate_job.champion(root, record, same)
    evaluation = run(root)[0]
    lead = evaluation.leads["champion"]["macro_f1"]
    assert (lead.value, lead.low, lead.high) == (0, 0, 0)
    other = build_artifact(tmp_path / "two", labels=LABELS[:2])
    record = {"version": 4, "sha256": sha256_file(other), "threshold": 0.5}
    evaluate_job.champion(root, record, other)
    evaluation, _, verdict = run(root)
    assert "champion" not in evaluation.leads
    reason = "it has other classes: it lacks Überweisung"
    assert evaluation.champion.not_comparable == reason
    (check,) = (item for item in verdict.checks if item.name == "champion not comparable")
    assert check.reason == reason


def test_two_classes_have_no_new_key_in_any_file(root) -> None:
    """Files of two classes are those of older versions, byte for byte; a gate may name one."""
    gate = {"metric": "recall", "class": "no", "minimum": 0.5, "reason": "not lost"}
    evaluation, _, verdict = evaluated(root, gates=[gate])
    (check,), confusion = verdict.checks, evaluation.confusion
    negatives = confusion.true_negatives + confusion.false_positives
    assert (check.name, check.value) == ("recall of no", confusion.true_negatives / negatives)
    metrics = read_json(root / "processing/output/metrics/metrics.json")
    assert isinstance(metrics, dict)
    assert not {"classes", "first_favourable"} & metrics.keys()
    assert metrics["splits"]["test"].keys() == {"rows", "positives", "since"}
    assert metrics["confusion"].keys() == {
        "true_positives", "false_positives", "false_negatives", "true_negatives"
    }  # fmt: skip
    assert "not_comparable" not in json.dumps(metrics)
    assert not (root / "processing/output/metrics/statistics.json").exists()
    assert "scores" not in predictions(root)[0]
    reference = read_json(root / "processing/output/metrics/reference.json")
    assert isinstance(reference, dict)
    assert not {"classes", "confidence", "first_favourable"} & reference.keys()


def test_the_reference_counts_the_rows_that_were_decided_right(root) -> None:
    evaluated(root, labels=LABELS, gates=GATES)
    reference = read_reference(root / "processing/output/metrics/reference.json")
    test = [row for row in predictions(root) if row["split"] == "test"]
    assert reference.labels == LABELS
    assert reference.accuracy == np.mean([row["label"] == row["predicted"] for row in test])
    assert sum(reference.scores.counts) == 120
    assert reference.confusion is None
    matrix = oracle.confusion_matrix(
        *([row[name] for row in test] for name in ("label", "predicted"))
    )
    assert [(one.rows, one.predicted, one.right) for one in reference.classes] == list(
        zip(matrix.sum(axis=1), matrix.sum(axis=0), matrix.diagonal(), strict=True)
    )
    for index, one in enumerate(reference.classes):
        low = one.scores.edges[0]
        assert one.scores.counts[0] == sum(row["scores"][index] <= low for row in test)
    sure = [row for row in test if max(row["scores"]) <= reference.confidence.edges[0]]
    assert reference.confidence.counts[0] == len(sure)
    assert reference.right[0] == sum(row["label"] == row["predicted"] for row in sure)


def test_a_projects_own_metric_and_gate_get_the_scores_of_all_classes(root, monkeypatch) -> None:
    seen: dict[str, Any] = {}

    def metric(labels, scores, *, threshold):
        seen["metric"] = scores.shape[1:], threshold
        return float((scores.argmax(axis=1) == labels).mean())

    metric.higher_is_better = True  # type: ignore[attr-defined]
    monkeypatch.setattr(acme, "hits", metric, raising=False)
    gate = {"metric": f"{acme.__name__}:hits", "minimum": 0.1, "reason": "our own"}
    evaluation = evaluated(root, labels=LABELS, gates=[*GATES, gate])[0]
    assert seen["metric"] == ((3,), 0.0)
    assert evaluation.candidate[gate["metric"]].value == evaluation.candidate["accuracy"].value
