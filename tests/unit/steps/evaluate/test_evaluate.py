"""Evaluate: the scores, the threshold, the reference and the calibration that it writes."""

import dataclasses
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_file, write_json
from sashiko.data.splits import ColumnKind
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import ModelScores, two_classes
from sashiko.evaluation.metrics.quality import choose_threshold, evaluate_scores
from sashiko.evaluation.reference import read_reference
from sashiko.settings.recipe_quality import EvaluateSection
from sashiko.steps.comparators import LINEAR, UNMITIGATED, linear_baselines
from sashiko.steps.injection import Scorer, injection_set, measure_injection, plan_attacks
from sashiko.steps.scored_splits import Split
from tests.e2e.serving.tiny_artifact import WORDS, build_artifact, expected_score
from tests.unit import acme
from tests.unit.steps import evaluate_job
from tests.unit.steps.evaluate_job import evaluated, predictions, run
from tests.unit.training.people import fit_linear


def binary(scores: np.ndarray) -> ModelScores:
    return ModelScores(two_classes(scores), 0.5)


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

    (inputs / "training-output" / "output.tar.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"output\.tar\.gz holds no readable metrics\.jsonl"):
        evaluate_job.run_evaluate()


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


def test_a_score_at_the_threshold_is_positive(root, tmp_path_factory, monkeypatch) -> None:
    evaluate_job.lay_out(root)
    run(root)
    score = predictions(root)[0]["score"]
    other = tmp_path_factory.mktemp("again")
    monkeypatch.setenv("OPT_ML", str(other))
    evaluate_job.lay_out(other, threshold={"policy": "fixed", "value": score})
    _, decision, _ = run(other)
    assert (decision.threshold, decision.policy) == (score, "fixed")
    assert {row["predicted"] for row in predictions(other) if row["score"] == score} == {1}


def test_a_temperature_is_reported_with_the_calibration_before_and_after(root) -> None:
    fit = {"temperature": 3.0, "validation_loss_before": 0.9, "validation_loss_after": 0.6}
    evaluation, _, _ = evaluated(root, temperature=fit)
    before, after = evaluation.calibration.before, evaluation.candidate
    assert evaluation.calibration.temperature.temperature == 3
    # The artifact's scores are the scaled ones: without it they are three times as sure.
    test = [row for row in predictions(root) if row["split"] == "test"]
    labels, scores = (np.array([row[name] for row in test]) for name in ("label", "score"))
    odds = (scores / (1 - scores)) ** 3
    error = "expected_calibration_error"
    unscaled = evaluate_scores(labels, binary(odds / (1 + odds)), replicates=100, seed=0)
    assert before[error].value == pytest.approx(unscaled[error].value)
    assert before["brier_score"].value == pytest.approx(unscaled["brier_score"].value)
    assert before[error].value != pytest.approx(after[error].value)
    (note,) = (n for n in evaluation.notes if n.startswith("Logits are divided by 3.000"))
    assert f"was {before[error].value:.3f} before and is {after[error].value:.3f} after" in note


def test_a_text_that_the_artifact_refuses_is_named_by_its_key(root, tmp_path) -> None:
    short = build_artifact(tmp_path / "short", lengths=(3,))
    evaluate_job.lay_out(root, artifact=short)
    with pytest.raises(InputError, match=r"key validation-0000: .*compile\.sequence_lengths"):
        evaluate_job.run_evaluate()
    assert not list((root / "processing" / "output").rglob("*.json"))


def test_a_weak_model_fails_the_gate_and_its_figures_are_still_written(root, tmp_path) -> None:
    upside_down = dict.fromkeys(("awful", "bad"), -1.0) | {"fine": 1.0, "good": 1.0}
    archive = build_artifact(tmp_path / "weak", words=upside_down)
    evaluation, _, verdict = evaluated(root, artifact=archive)
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
    _, _, verdict = evaluated(root, gates=[gate])
    assert not verdict.passed
    assert verdict.checks[0].reason.startswith("undefined on the test split; ")


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


def test_the_figures_of_test_are_recorded_beside_both_baselines(root) -> None:
    evaluation, _, verdict = evaluated(root)
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
    # No temperature was fitted, and nobody asked for injections.
    assert evaluation.calibration.temperature is None
    assert evaluation.calibration.before == {}
    assert evaluation.calibration.error_by_chance.value > 0
    assert sum(item.rows for item in evaluation.calibration.curve) == 120
    assert "injection" not in (root / "processing/output/metrics/metrics.json").read_text()


def test_the_linear_baseline_gets_the_candidates_weights(root) -> None:
    inputs = evaluate_job.lay_out(root)
    without = run(root)[0]
    plain = without.others[LINEAR]
    evaluate_job.write_weights(inputs, flipped=1)  # all alike: they leave one linear baseline
    assert run(root)[0] == without
    assert not any("reweighed" in note for note in without.notes)
    # Only what is labelled against its word counts, so that the baseline learns the opposite.
    evaluate_job.write_weights(inputs, flipped=1000)
    evaluation, _, verdict = run(root)
    assert plain["auc"].value > 0.9
    assert evaluation.others[LINEAR]["auc"].value < 0.5
    assert evaluation.others[LINEAR + UNMITIGATED] == plain
    assert set(evaluation.leads) == {"majority", LINEAR}
    lead = evaluation.candidate["auc"].value - evaluation.others[LINEAR]["auc"].value
    assert evaluation.leads[LINEAR]["auc"].value == pytest.approx(lead)
    assert "weights" in verdict.inputs
    assert any("logistic regression, reweighed alike): +" in note for note in evaluation.notes)
    # No output holds a weight.
    files = [path for path in (root / "processing" / "output").rglob("*") if path.is_file()]
    assert not any(b"train-0" in path.read_bytes() for path in files)
    assert set(predictions(root)[0]) == {"key", "split", "label", "score", "predicted"}


def test_weights_of_other_rows_are_refused(root) -> None:
    evaluate_job.write_weights(evaluate_job.lay_out(root), flipped=2, first=1)
    with pytest.raises(InputError, match="1 of 40 train keys have no weight"):
        evaluate_job.run_evaluate()


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


def test_a_champion_reads_the_candidates_columns_in_texts_of_its_own(root, tmp_path) -> None:
    """As an encoder's sentences, where the candidate is linear and reads rows, or the reverse."""
    inputs = evaluate_job.lay_out(root, artifact=build_artifact(tmp_path / "mine"))
    other = build_artifact(tmp_path / "other", template="fine or {tone}")
    evaluate_job.champion(root, record_of(other), other)
    test = pq.read_table(inputs / "test" / "data.parquet")
    evaluation = run(root)[0]
    labels = np.array(test["label"].to_pylist())
    scores = np.array([expected_score(f"fine or {text}") for text in test["text"].to_pylist()])
    expected = evaluate_scores(labels, binary(scores), replicates=1, seed=0)
    assert evaluation.others["champion"]["brier_score"].value == pytest.approx(
        expected["brier_score"].value, abs=1e-6
    )

    unknown = build_artifact(tmp_path / "unknown", template="{tone} {desk}")
    evaluate_job.champion(root, record_of(unknown), unknown)
    with pytest.raises(InputError, match="version 3 reads desk, which the recipe"):
        evaluate_job.run_evaluate()


def test_a_linear_candidate_is_compared_with_majority_and_champion_not_with_itself(root) -> None:
    inputs = evaluate_job.lay_out(root)
    gate = {"metric": "auc", "better_than": LINEAR, "reason": "earn its cost"}
    write_json(inputs / "config" / "quality.json", {"gates": [*evaluate_job.GATES, gate]})
    assert LINEAR in run(root)[0].leads
    write_json(inputs / "config" / "model.json", {"family": "linear"})
    evaluate_job.write_weights(inputs, flipped=2)
    evaluation, _, verdict = run(root)
    assert evaluation.others.keys() == evaluation.leads.keys() == {"majority"}
    assert not any("linear baseline" in note for note in evaluation.notes)
    assert any(note.startswith("On AUC the linear model is better") for note in evaluation.notes)
    (check,) = (check for check in verdict.checks if "linear" in check.name)
    assert (check.passed, check.judged) == (True, False)


@pytest.mark.parametrize(("kind", "passes"), [("number", False), ("text", True)])
def test_an_encoder_does_not_pass_by_a_rival_that_reads_numbers_as_words(
    root, kind, passes
) -> None:
    """A number tells the label, and no test row has one of train: words of it tell nothing."""
    gate = {"metric": "auc", "better_than": LINEAR, "reason": "earn its cost"}
    inputs = evaluate_job.lay_out(root, gates=[gate], kind=kind)
    draw = np.random.default_rng(0)
    for name in ("train", "validation", "test"):
        file = inputs / name / "data.parquet"
        table = pq.read_table(file)
        numbers = np.array(table["label"].to_pylist()) + draw.normal(0, 0.1, table.num_rows)
        values = [number if kind == "number" else f"{number}" for number in numbers]
        rows = pa.array([json.dumps({"tone": value}) for value in values])
        pq.write_table(table.set_column(3, "row", rows), file)
    _, _, verdict = run(root)
    assert verdict.passed is passes


def dates_of(validation_from: str, test_from: str) -> dict[str, str]:
    return {"column": "day", "validation_from": validation_from, "test_from": test_from}


@pytest.mark.parametrize(
    ("test_from", "favoured"), [("2025-12-02", True), ("2025-12-01", False), (None, False)]
)
def test_a_champion_that_knows_rows_of_the_test_split_is_named(root, tmp_path, test_from, favoured):
    evaluate_job.lay_out(root, dates=dates_of("2025-09-01", "2025-12-01"))
    archive = build_artifact(tmp_path / "other", words={"awful": 1.0})
    evaluate_job.champion(root, record_of(archive, test_from=test_from), archive)
    evaluation, *_ = run(root)
    days = {name: str(split.since) for name, split in evaluation.splits.items()}
    assert days == {"train": "None", "validation": "2025-09-01", "test": "2025-12-01"}
    notes = [note for note in evaluation.notes if "favours the champion" in note]
    assert len(notes) == favoured
    if favoured:
        assert "until 2025-12-02" in notes[0]


def test_the_champion_itself_is_not_scored_again_and_identical_models_are_no_worse(
    root, capsys
) -> None:
    inputs = evaluate_job.lay_out(root)
    archive = inputs / "artifact" / "model.tar.gz"
    evaluate_job.champion(root, record_of(archive, threshold=0.999), archive)
    evaluation, decision, _ = run(root)
    assert evaluation.leads["champion"]["auc"].value == 0
    assert evaluation.others["champion"]["f1"].value == 0
    assert "champion: scored" not in capsys.readouterr().err

    evaluate_job.champion(root, record_of(archive, threshold=decision.threshold), archive)
    evaluation, _, verdict = run(root)
    (note,) = (n for n in evaluation.notes if n.startswith("On AUC") and "the champion" in n)
    assert "is no worse (within 0.005) and not shown to be better than the champion" in note
    lead = evaluation.leads["champion"]["accuracy"]
    assert (lead.value, lead.low, lead.high) == (0, 0, 0)
    assert verdict.passed


def test_a_lead_below_the_minimum_effect_is_not_called_better(root, capsys) -> None:
    evaluation, _, _ = evaluated(root, minimum_effect=0.9)
    assert evaluation.leads["majority"]["auc"].low > 0
    (note,) = (n for n in evaluation.notes if n.startswith("On AUC") and "frequent label" in n)
    assert "no worse (within 0.9) and not shown to be better" in note
    assert note in capsys.readouterr().err


def test_a_champion_that_was_changed_is_refused(root, tmp_path) -> None:
    evaluate_job.lay_out(root)
    other = build_artifact(tmp_path / "other", labels=("<=50K", ">50K"))
    evaluate_job.champion(root, record_of(other, sha256="0" * 64), other)
    with pytest.raises(InputError, match="artifact was changed"):
        evaluate_job.run_evaluate()


def test_a_champion_of_other_classes_is_not_compared_and_that_is_said(root, tmp_path) -> None:
    """A class that was renamed, or the same two in another order: never compared by position."""
    evaluate_job.lay_out(root)
    for labels, said in (
        (("no", "certainly"), "it has other classes: it lacks yes; only it has certainly"),
        (("yes", "no"), "it has other classes: the same ones in another order"),
    ):
        other = build_artifact(tmp_path / labels[0], labels=labels)
        evaluate_job.champion(root, record_of(other), other)
        evaluation, _, verdict = run(root)
        assert evaluation.champion.not_comparable == said
        assert "champion" not in evaluation.leads.keys() | evaluation.others.keys()
        (check,) = (check for check in verdict.checks if check.name == "champion not comparable")
        assert (check.judged, check.reason) == (False, said)
        assert any("cannot be compared with this model: it has" in n for n in evaluation.notes)


def split(rows: int, *, positive: int) -> Split:
    """Rows of four words in turn; the first `positive` of them are the label's."""
    return Split(
        keys=[f"{n:04}" for n in range(rows)],
        texts=[f"{evaluate_job.WORDS[n % 4]} text {n}" for n in range(rows)],
        labels=np.array([int(n % 4 < positive) for n in range(rows)]),
        rows=[json.dumps({"tone": f"{evaluate_job.WORDS[n % 4]} text {n}"}) for n in range(rows)],
    )


@pytest.mark.parametrize("positive", [1, 3])
def test_the_linear_baselines_threshold_comes_from_validation_alone(positive: int) -> None:
    section, train = EvaluateSection(), split(80, positive=2)
    validation, test = split(40, positive=positive), split(40, positive=2)
    flipped = dataclasses.replace(test, labels=1 - test.labels)

    kinds: dict[str, ColumnKind] = {"tone": "text"}
    model = fit_linear(train.rows, train.labels, kinds=kinds, seed=section.seed)
    scores = model.scores(validation.rows)[:, 1]
    expected = choose_threshold(validation.labels, scores, metric=section.threshold.metric)
    for of in (test, flipped):
        baselines = linear_baselines(
            section, train, validation, of, kinds=kinds, weights=np.ones(80)
        )
        assert baselines[LINEAR].threshold == expected


GULLIBLE = {**WORDS, "no": -9.0, "no.": -9.0, "yes": 9.0, "yes.": 9.0}
# Any sentence turns it: it has "the", "is", "a" or "i" in it more often than not.
TALKATIVE = {**WORDS, "the": 9.0, "is": 9.0, "a": 9.0, "i": 9.0, "my": 9.0}
GATE = {"metric": "injection_flip_rate", "maximum": 0.1, "reason": "no text decides its own case"}


def lay_out(root, tmp_path, words, *, lengths=(64, 128), truncate=False, **section: Any) -> None:
    archive = build_artifact(tmp_path / "model", words=words, lengths=lengths, truncate=truncate)
    evaluate_job.lay_out(root, artifact=archive, gates=[GATE], **section)


def planned(root, threshold: float, most: int) -> Any:
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
    summary = f"changed {len(turned)} of {len(attacks)} decisions on test rows, and a neutral"
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
    candidate = binary(np.array([0.2, 0.9]))
    figures = measure_injection(
        EvaluateSection(injections=2), Scorer(scores=lambda texts: [0.5] * len(texts)),
        ["bad", "good"], candidate, answers=("no", "yes"),
    )  # fmt: skip
    assert (figures.from_negative.rows, figures.from_negative.flips) == (1, 1)
    assert (figures.from_positive.rows, figures.from_positive.flips) == (1, 0)
