"""What Evaluate compares the candidate with: the baselines, with its weights, and the champion."""

import dataclasses

import numpy as np
import pytest

from sashiko.base.files import sha256_file
from sashiko.errors import InputError
from sashiko.evaluation.metrics.quality import choose_threshold
from sashiko.settings.recipe_quality import EvaluateSection
from sashiko.steps.comparators import LINEAR, LINEAR_UNMITIGATED, fit_linear, linear_baselines
from sashiko.steps.scored_splits import Split
from tests.e2e.serving.tiny_artifact import build_artifact
from tests.unit.steps import evaluate_job
from tests.unit.steps.evaluate_job import predictions, run


def test_the_figures_of_test_are_recorded_beside_both_baselines(root) -> None:
    evaluate_job.lay_out(root)
    evaluation, _, verdict = run(root)
    assert evaluation.candidate["accuracy"].value == pytest.approx(0.65)
    auc = evaluation.candidate["auc"]
    assert auc.low < auc.value < auc.high
    assert evaluation.others["majority"]["auc"].value == 0.5
    assert set(evaluation.others) == set(evaluation.leads) == {"majority", LINEAR}
    assert evaluation.leads["majority"]["auc"].low > 0
    assert evaluation.splits["test"].rows == 120
    assert evaluation.splits["train"].positives == 20
    counts = evaluation.confusion
    assert counts.true_positives + counts.false_negatives == evaluation.splits["test"].positives
    assert [line.step for line in evaluation.learning_curve] == [1]
    assert verdict.gate == "model-quality"
    assert verdict.passed
    assert [check.name for check in verdict.checks] == ["auc", "no champion yet"]
    assert any("No champion yet" in note for note in evaluation.notes)
    assert verdict.inputs["training-snapshot"] == "d" * 64
    assert "facets-snapshot" not in verdict.inputs


def test_the_linear_baseline_gets_the_candidates_weights(root) -> None:
    inputs = evaluate_job.lay_out(root)
    plain = run(root)[0].others[LINEAR]
    # Only what is labelled against its word counts, so that the baseline learns the opposite.
    evaluate_job.write_weights(inputs, flipped=1000)
    evaluation, _, verdict = run(root)
    assert plain["auc"].value > 0.9
    assert evaluation.others[LINEAR]["auc"].value < 0.5
    assert evaluation.others[LINEAR_UNMITIGATED] == plain
    assert set(evaluation.leads) == {"majority", LINEAR}
    lead = evaluation.candidate["auc"].value - evaluation.others[LINEAR]["auc"].value
    assert evaluation.leads[LINEAR]["auc"].value == pytest.approx(lead)
    assert "weights" in verdict.inputs
    assert any("logistic regression, reweighed alike): +" in note for note in evaluation.notes)


def test_weights_that_are_all_alike_leave_one_linear_baseline(root) -> None:
    inputs = evaluate_job.lay_out(root)
    plain = run(root)[0]
    evaluate_job.write_weights(inputs, flipped=1)
    evaluation = run(root)[0]
    assert evaluation == plain
    assert not any("reweighed" in note for note in evaluation.notes)


def test_weights_of_other_rows_are_refused(root) -> None:
    evaluate_job.write_weights(evaluate_job.lay_out(root), flipped=2, first=1)
    with pytest.raises(InputError, match="1 of 40 train keys have no weight"):
        evaluate_job.run_evaluate()


def test_no_output_holds_a_weight(root) -> None:
    evaluate_job.write_weights(evaluate_job.lay_out(root), flipped=2)
    run(root)
    files = [path for path in (root / "processing" / "output").rglob("*") if path.is_file()]
    assert not any(b"train-0" in path.read_bytes() for path in files)
    assert set(predictions(root)[0]) == {"key", "split", "label", "score", "predicted"}


def record_of(archive, **changes):
    return {"version": 3, "sha256": sha256_file(archive), "threshold": 0.5} | changes


def test_a_better_champion_closes_the_gate(root, tmp_path) -> None:
    weak = build_artifact(tmp_path / "weak", words={"awful": 1.0})
    evaluate_job.lay_out(root, artifact=weak)
    strong = build_artifact(tmp_path / "strong")
    evaluate_job.champion(root, record_of(strong), strong)
    evaluation, _, verdict = run(root)
    assert evaluation.champion.version == 3
    assert evaluation.leads["champion"]["auc"].high < 0
    assert "auc lead over champion" in verdict.summary
    said = "On AUC the fine-tuned model is worse than the champion"
    assert any(said in note for note in evaluation.notes)


def dates_of(validation_from: str, test_from: str) -> dict[str, str]:
    return {"column": "day", "validation_from": validation_from, "test_from": test_from}


def test_the_first_days_of_a_split_by_time_are_recorded(root) -> None:
    evaluate_job.lay_out(root, dates=dates_of("2025-09-01", "2025-12-01"))
    evaluation, *_ = run(root)
    days = {name: str(split.since) for name, split in evaluation.splits.items()}
    assert days == {"train": "None", "validation": "2025-09-01", "test": "2025-12-01"}


@pytest.mark.parametrize(
    ("test_from", "favoured"), [("2025-12-02", True), ("2025-12-01", False), (None, False)]
)
def test_a_champion_that_knows_rows_of_the_test_split_is_named(root, tmp_path, test_from, favoured):
    evaluate_job.lay_out(root, dates=dates_of("2025-09-01", "2025-12-01"))
    archive = build_artifact(tmp_path / "other", words={"awful": 1.0})
    evaluate_job.champion(root, record_of(archive, test_from=test_from), archive)
    evaluation, *_ = run(root)
    notes = [note for note in evaluation.notes if "favours the champion" in note]
    assert len(notes) == favoured
    if favoured:
        assert "until 2025-12-02" in notes[0]


def test_the_champion_itself_is_not_scored_again_but_keeps_its_threshold(root, capsys) -> None:
    inputs = evaluate_job.lay_out(root)
    archive = inputs / "artifact" / "model.tar.gz"
    evaluate_job.champion(root, record_of(archive, threshold=0.999), archive)
    evaluation, _, _ = run(root)
    assert evaluation.leads["champion"]["auc"].value == 0
    assert evaluation.others["champion"]["f1"].value == 0
    assert "champion: scored" not in capsys.readouterr().err


def test_identical_models_are_not_shown_to_be_better_and_no_worse(root) -> None:
    inputs = evaluate_job.lay_out(root)
    archive = inputs / "artifact" / "model.tar.gz"
    evaluate_job.champion(root, record_of(archive), archive)
    _, decision, _ = run(root)
    evaluate_job.champion(root, record_of(archive, threshold=decision.threshold), archive)
    evaluation, _, verdict = run(root)
    (note,) = (n for n in evaluation.notes if n.startswith("On AUC") and "the champion" in n)
    assert "is no worse (within 0.005) and not shown to be better than the champion" in note
    lead = evaluation.leads["champion"]["accuracy"]
    assert (lead.value, lead.low, lead.high) == (0, 0, 0)
    assert verdict.passed


def test_a_lead_below_the_minimum_effect_is_not_called_better(root, capsys) -> None:
    evaluate_job.lay_out(root, minimum_effect=0.9)
    evaluation, _, _ = run(root)
    assert evaluation.leads["majority"]["auc"].low > 0
    (note,) = (n for n in evaluation.notes if n.startswith("On AUC") and "frequent label" in n)
    assert "no worse (within 0.9) and not shown to be better" in note
    assert note in capsys.readouterr().err


def test_a_champion_that_was_changed_or_answers_otherwise_is_refused(root, tmp_path) -> None:
    evaluate_job.lay_out(root)
    other = build_artifact(tmp_path / "other", labels=("<=50K", ">50K"))
    evaluate_job.champion(root, record_of(other, sha256="0" * 64), other)
    with pytest.raises(InputError, match="artifact was changed"):
        evaluate_job.run_evaluate()
    evaluate_job.champion(root, record_of(other), other)
    with pytest.raises(InputError, match="model_package_group"):
        evaluate_job.run_evaluate()


WORDS = ("awful", "bad", "fine", "good")


def split(rows: int, *, positive: int) -> Split:
    """Rows of four words in turn; the first `positive` of them are the label's."""
    return Split(
        keys=[f"{n:04}" for n in range(rows)],
        texts=[f"{WORDS[n % 4]} text {n}" for n in range(rows)],
        labels=np.array([int(n % 4 < positive) for n in range(rows)]),
    )


@pytest.mark.parametrize("positive", [1, 3])
def test_the_linear_baselines_threshold_comes_from_validation_alone(positive: int) -> None:
    section, train = EvaluateSection(), split(80, positive=2)
    validation, test = split(40, positive=positive), split(40, positive=2)
    flipped = dataclasses.replace(test, labels=1 - test.labels)

    scores = fit_linear(train.texts, train.labels, seed=section.seed).scores(validation.texts)
    expected = choose_threshold(validation.labels, scores, metric=section.threshold.metric)
    for of in (test, flipped):
        baselines = linear_baselines(section, train, validation, of, weights=np.ones(80))
        assert baselines[LINEAR].threshold == expected
