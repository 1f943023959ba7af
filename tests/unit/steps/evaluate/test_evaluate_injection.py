"""Prompt injections: a model that reads them as answers, and one that does not."""

import json
from typing import Any

import numpy as np
import pytest

from sashiko.evaluation.injections.injection_set import injection_set, plan_attacks
from sashiko.evaluation.metrics.arrays import ModelScores
from sashiko.settings.recipe_quality import EvaluateSection
from sashiko.steps.injection import Scorer, measure_injection
from tests.e2e.serving.tiny_artifact import WORDS, build_artifact, expected_score
from tests.unit.steps import evaluate_job
from tests.unit.steps.evaluate_job import predictions, run

GULLIBLE = {**WORDS, "no": -9.0, "no.": -9.0, "yes": 9.0, "yes.": 9.0}
# Any sentence turns it: it has "the", "is", "a" or "i" in it more often than not.
TALKATIVE = {**WORDS, "the": 9.0, "is": 9.0, "a": 9.0, "i": 9.0, "my": 9.0}
GATE = {"metric": "injection_flip_rate", "maximum": 0.1, "reason": "no text decides its own case"}


def lay_out(root, tmp_path, words, *, lengths=(64, 128), truncate=False, **section: Any) -> None:
    archive = build_artifact(tmp_path / "model", words=words, lengths=lengths, truncate=truncate)
    evaluate_job.lay_out(root, artifact=archive, gates=[GATE], **section)


def planned(root, threshold: float, most: int) -> Any:
    import pyarrow.parquet as pq

    texts = pq.read_table(root / "processing/input/test/data.parquet")["text"].to_pylist()
    scores = np.array([row["score"] for row in predictions(root) if row["split"] == "test"])
    return plan_attacks(
        texts, scores, threshold=threshold, answers=("no", "yes"),
        injections=injection_set(), most=most, seed=0,
    )  # fmt: skip


def turns(attack, text: str, threshold: float, words=GULLIBLE) -> bool:
    return (expected_score(text, words) >= threshold) != attack.positive


def test_the_decisions_that_injections_turn_are_counted_and_close_the_gate(root, tmp_path) -> None:
    lay_out(root, tmp_path, GULLIBLE, injections=60)
    evaluation, decision, verdict = run(root)
    attacks = planned(root, decision.threshold, 60)
    turned = [attack for attack in attacks if turns(attack, attack.text, decision.threshold)]
    by_control = sum(turns(attack, attack.control, decision.threshold) for attack in attacks)
    assert by_control == 0
    figures = evaluation.injection
    assert figures is not None
    assert (figures.overall.rows, figures.overall.flips) == (len(attacks), len(turned))
    assert 20 < len(turned) < len(attacks)
    assert figures.from_positive.flips == sum(attack.positive for attack in turned)
    assert figures.from_negative.flips == sum(not attack.positive for attack in turned)
    by_kind = figures.by_kind
    assert sum(count.flips for count in by_kind.values()) == len(turned)
    assert by_kind["instruction"].flips > 0
    summary = f"turned {len(turned)} of {len(attacks)} decisions on test rows, and a neutral"
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


def test_a_model_that_any_sentence_turns_is_not_counted_as_obeying(root, tmp_path) -> None:
    lay_out(root, tmp_path, TALKATIVE, injections=60)
    evaluation, decision, verdict = run(root)
    attacks = planned(root, decision.threshold, 60)
    flips, control_flips = (
        sum(turns(item, text(item), decision.threshold, TALKATIVE) for item in attacks)
        for text in (lambda item: item.text, lambda item: item.control)
    )
    overall = evaluation.injection.overall
    assert (overall.flips, overall.control_flips) == (flips, control_flips)
    assert min(flips, control_flips) > 10
    (check,) = verdict.checks
    assert check.value == pytest.approx((flips - control_flips) / overall.rows)
    assert check.low < check.value < check.high
    assert check.passed
    # A model that any sentence makes positive obeys nobody who asks for the negative answer.
    assert evaluation.injection.from_positive.above_control.value <= 0


def test_a_text_that_is_cut_off_counts_neither_as_turned_nor_as_resisted(root, tmp_path) -> None:
    lay_out(root, tmp_path, GULLIBLE, lengths=(8, 16), truncate=True, injections=60)
    evaluation, decision, _ = run(root)
    longest = 16 - 2  # the two special tokens
    attacks = planned(root, decision.threshold, 60)
    whole = [item for item in attacks
             if max(len(item.text.split()), len(item.control.split())) <= longest]  # fmt: skip
    figures = evaluation.injection
    assert 0 < figures.cut_off == len(attacks) - len(whole)
    assert (figures.overall.rows, figures.refused) == (len(whole), 0)
    assert figures.overall.flips == sum(
        turns(item, item.text, decision.threshold) for item in whole
    )
    assert any(f"{figures.cut_off} rows do not count" in note for note in evaluation.notes)


def test_a_score_at_the_threshold_is_a_positive_decision() -> None:
    """As the handler decides it: a negative row that reaches the threshold has turned."""
    candidate = ModelScores(np.array([0.2, 0.9]), 0.5)
    figures = measure_injection(
        EvaluateSection(injections=2), Scorer(scores=lambda texts: [0.5] * len(texts)),
        ["bad", "good"], candidate, answers=("no", "yes"),
    )  # fmt: skip
    assert (figures.from_negative.rows, figures.from_negative.flips) == (1, 1)
    assert (figures.from_positive.rows, figures.from_positive.flips) == (1, 0)
