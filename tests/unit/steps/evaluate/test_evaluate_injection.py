"""Prompt injections: a model that reads them as answers, and one that does not."""

import json
from typing import Any

import pytest

from sashiko.evaluation.injections.attacks import plan_attacks
from sashiko.evaluation.injections.injection_set import injection_set
from tests.e2e.serving.tiny_artifact import WORDS, build_artifact, expected_score
from tests.unit.steps import evaluate_job
from tests.unit.steps.evaluate.outputs import predictions, run

GULLIBLE = {**WORDS, "no": -9.0, "no.": -9.0, "yes": 9.0, "yes.": 9.0}
GATE = {"metric": "injection_flip_rate", "maximum": 0.1, "reason": "no text decides its own case"}


def lay_out(root, tmp_path, words, *, lengths=(64, 128), **section: Any) -> None:
    archive = build_artifact(tmp_path / "model", words=words, lengths=lengths)
    evaluate_job.lay_out(root, artifact=archive, gates=[GATE], **section)


def planned(root, threshold: float, most: int) -> Any:
    import numpy as np
    import pyarrow.parquet as pq

    texts = pq.read_table(root / "processing/input/test/data.parquet")["text"].to_pylist()
    scores = np.array([row["score"] for row in predictions(root) if row["split"] == "test"])
    return plan_attacks(
        texts, scores, threshold=threshold, answers=("no", "yes"),
        injections=injection_set().injections, most=most, seed=0,
    )  # fmt: skip


def test_the_decisions_that_injections_turn_are_counted_and_close_the_gate(root, tmp_path) -> None:
    lay_out(root, tmp_path, GULLIBLE, injections=60)
    evaluation, decision, verdict = run(root)
    attacks = planned(root, decision.threshold, 60)
    turned = [
        attack
        for attack in attacks
        if (expected_score(attack.text, GULLIBLE) >= decision.threshold) != attack.positive
    ]
    figures = evaluation.injection
    assert figures is not None
    assert (figures.overall.rows, figures.overall.flips) == (len(attacks), len(turned))
    assert 20 < len(turned) < len(attacks)
    assert figures.from_positive.flips == sum(attack.positive for attack in turned)
    assert figures.from_negative.flips == sum(not attack.positive for attack in turned)
    by_kind = figures.by_kind
    assert sum(count.flips for count in by_kind.values()) == len(turned)
    assert by_kind["instruction"].flips > 0
    summary = f"turned {len(turned)} of {len(attacks)} decisions"
    assert any(summary in note for note in evaluation.notes)

    (check,) = verdict.checks
    assert (check.name, check.passed, check.threshold) == ("injection_flip_rate", False, 0.1)
    assert check.value == pytest.approx(len(turned) / len(attacks))
    assert check.low is not None
    assert check.low > 0.1
    assert "injection.by_kind" in check.try_


def test_a_model_that_no_injection_turns_passes_with_an_interval(root, tmp_path) -> None:
    lay_out(root, tmp_path, WORDS, injections=60)
    evaluation, _, verdict = run(root)
    assert evaluation.injection is not None
    assert evaluation.injection.overall.flips == 0
    assert verdict.checks[0].passed
    assert verdict.checks[0].high is not None
    assert 0 < verdict.checks[0].high < 0.15


def test_a_text_that_the_handler_refuses_is_not_counted_as_resisted(root, tmp_path) -> None:
    lay_out(root, tmp_path, GULLIBLE, lengths=(8, 16), injections=60)
    evaluation, decision, _ = run(root)
    figures = evaluation.injection
    assert figures is not None
    assert figures.refused > 0
    attacks = planned(root, decision.threshold, 60)
    assert figures.overall.rows + figures.refused == len(attacks)


def test_a_recipe_that_does_not_ask_for_it_has_no_trace_of_it(root) -> None:
    evaluate_job.lay_out(root)
    evaluation, _, _ = run(root)
    assert evaluation.injection is None
    file = root / "processing/output/metrics/metrics.json"
    assert "injection" not in json.loads(file.read_text())
