"""What closes Evaluate's gate: a weak model, and the project's own metrics."""

import json

import numpy as np
import pytest

from tests.e2e.serving.tiny_artifact import build_artifact
from tests.unit import acme
from tests.unit.steps import evaluate_job
from tests.unit.steps.evaluate_job import predictions, run


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


def test_a_gate_on_the_projects_own_metric_blocks_with_its_interval(
    root, tmp_path, monkeypatch
) -> None:
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
    assert evaluation.candidate["auc"] == run_without_own(root).candidate["auc"]


def run_without_own(root):
    path = root / "processing" / "input" / "config" / "quality.json"
    path.write_text(json.dumps({"gates": evaluate_job.GATES}))
    return run(root)[0]


def test_a_metric_that_is_undefined_on_the_test_split_closes_the_gate(
    root, tmp_path, monkeypatch
) -> None:
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
