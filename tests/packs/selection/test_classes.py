"""Selections and sweeps of more than two classes, and of a number."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss, recall_score

from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats, Ints, ModelScores, class_members
from sashiko.report.html import write_page
from sashiko.settings.recipe import Recipe
from sashiko.steps.scored_splits import Split
from sashiko_packs.selection import candidates, rows
from sashiko_packs.selection.file import Selection
from sashiko_packs.selection.record import CandidateRecord, Choice, SelectionRecord, choose
from sashiko_packs.selection.record import lead_over as lead
from sashiko_packs.selection.report.page import next_commands, selection_view, terminal_rows
from sashiko_packs.selection.report.sweep_page import headline, sweep_view
from sashiko_packs.selection.rows import JudgedRows, cached_scores, refuse_other_label
from sashiko_packs.selection.run import judge
from sashiko_packs.selection.sweep import Sweep
from sashiko_packs.selection.sweep import judge as judge_point
from tests.packs.selection.converse_service import answered
from tests.packs.selection.selections import (
    is_old,
    recipe,
    rows_of,
    scored,
    selection,
    selection_value,
    sweep_of,
    validation_of,
    with_bedrock,
)
from tests.packs.selection.test_candidates import bedrock_service, named, outcomes, score
from tests.unit.contract.documents import column_of, contract_of, custom, document, number

ROWS = 600
NAMES = ("lost", "late, but back", "in time")  # the last one is favourable
LABELS: Ints = np.arange(ROWS) % 7 % 3
BOUND = 40.0
VALUES: Floats = np.random.default_rng(1).normal(50, 20, ROWS)
DI = {"metric": "DI", "facet": "age", "minimum": 0.8, "maximum": 1.25, "reason": "four fifths"}
COVERED = {"metric": "interval_coverage", "facet": "age", "minimum": 0.75, "reason": "promised"}


@pytest.fixture(scope="module")
def classes(tmp_path_factory) -> Contract:
    value = document()
    column_of(value, "late")["enum"] = [{"value": name} for name in NAMES]
    favourable = {"column": "late", "kind": "classes", "favourable": [NAMES[2]]}
    custom(value, "label")["value"] = favourable
    return contract_of(value, tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def numbers(tmp_path_factory) -> Contract:
    return contract_of(number(above=BOUND), tmp_path_factory.mktemp("numbers"))


def gated(*quality: dict[str, Any], **changes: Any) -> Recipe:
    gates = [gate | {"reason": "of use"} for gate in quality]
    return recipe(**{"quality": {"gates": gates}} | changes)


def decided(share: float, *, seed: int = 0) -> Floats:
    """Scores of a model that is wrong on a share of the rows, for the next class."""
    wrong = np.random.default_rng(seed).random(ROWS) < share
    return class_members((LABELS + wrong) % 3, 3) * 0.7 + 0.1


def predicted(error: float, *, seed: int = 0) -> Floats:
    return (VALUES + np.random.default_rng(seed).normal(0, error, ROWS))[:, None]


def judged_classes(contract: Contract) -> JudgedRows:
    validation = validation_of(contract, ModelScores(decided(0.02), 0.0), LABELS)
    return rows_of(validation, gated({"metric": "macro_f1", "minimum": 0.5}))


def judged_numbers(contract: Contract) -> JudgedRows:
    labels, model = (VALUES > BOUND).astype(np.int64), ModelScores(predicted(5.0), BOUND, 10.0)
    bias = {"gates": [DI, COVERED], "bootstrap_replicates": 1000}
    config = gated({"metric": "rmse", "better_than": "mean"}, bias=bias)
    return rows_of(validation_of(contract, model, labels, values=VALUES), config)


def record_of(judged: JudgedRows, file: Selection, *items: candidates.Scored) -> SelectionRecord:
    contract, scale = judged.contract, None if judged.test.values is None else VALUES.std()
    licences = ("Apache-2.0",)
    choice: Choice = choose(
        [judge(item, judged, file, licences=licences) for item in items],
        {item.record.name: item.model for item in items},
        judged.test.truth, selection=file, section=judged.recipe.evaluate, scale=scale,
    )  # fmt: skip
    return SelectionRecord(
        id="1", selection=file, day="2026-01-02", rows=ROWS, positives=int(sum(LABELS == 2)),
        favourable=contract.outcomes[1], scale=scale, bootstrap_replicates=100, inputs={},
        command="sashiko select", **dict(choice),
    )  # fmt: skip


def musts(*gates: dict[str, Any]) -> dict[str, Any]:
    return selection_value()["musts"] | {"quality": [gate | {"reason": "of use"} for gate in gates]}


def page(record: SelectionRecord, folder: Path) -> str:
    return write_page(selection_view(record), folder / "page.html").read_text()


def impact(favourable: np.ndarray) -> float:
    old = is_old(ROWS)
    return float(favourable[old].mean() / favourable[~old].mean())


def test_classes_are_compared_by_macro_f1_and_shown_by_class(classes, tmp_path) -> None:
    gates = musts(
        {"metric": "worst_class_recall", "minimum": 0.5},
        {"metric": "macro_f1", "better_than": "majority"},
    )
    file = selection(metric="macro_f1", musts=gates)
    other = scored("other", decided(0.1), usd=9.0, threshold=0.0)
    linear = scored("linear", decided(0.1), usd=5.0, threshold=0.0, kind="linear")
    poor = scored("poor", decided(0.3, seed=1), usd=1.0, threshold=0.0)
    awful = scored("awful", decided(0.8), usd=0.1, threshold=0.0)
    record = record_of(judged_classes(classes), file, other, linear, poor, awful)

    assert outcomes(record) == {
        "other": "as good", "linear": "chosen", "poor": "worse", "awful": "dropped",
    }  # fmt: skip
    item = named(record, "poor")
    answer = poor.model.scores.argmax(axis=1)
    expected = {
        "macro_f1": f1_score(LABELS, answer, average="macro"),
        "balanced_accuracy": balanced_accuracy_score(LABELS, answer),
        "worst_class_recall": recall_score(LABELS, answer, average=None).min(),
        "log_loss": log_loss(LABELS, poor.model.scores),
    }
    assert {name: item.metrics[name].value for name in expected} == pytest.approx(expected)
    recalls = recall_score(LABELS, answer, average=None).tolist()
    shown = {part.name: part.figure.value for part in item.parts}
    assert shown == pytest.approx(dict(zip(NAMES, recalls, strict=True)))
    (ratio,) = [entry for entry in item.bias if entry.metric == "DI"]
    assert ratio.value == pytest.approx(impact(answer == 2))
    lost = {check.name for check in named(record, "awful").failed}
    assert {"worst_class_recall", "macro_f1 lead over majority"} <= lost
    assert next_commands(record) == ("sashiko run --recipe loans --set model.family=linear",)
    html = page(record, tmp_path)
    for text in ("Recall by class", "highest macro F1", "of in time", NAMES[1]):
        assert text in html
    assert "AUC" not in html
    assert "threshold" not in html
    assert "injections" not in html


def test_a_number_is_compared_by_its_error_in_standard_deviations(numbers, tmp_path) -> None:
    gates = musts(
        {"metric": "interval_coverage", "minimum": 0.85}, {"metric": "rmse", "better_than": "mean"}
    )
    file = selection(metric="rmse", minimum_effect=0.05, musts=gates)  # one day

    def candidate(name: str, error: float, usd: float, width: float = 10.0, **more: Any) -> Any:
        more |= {"threshold": BOUND, "half_width": width}
        return scored(name, predicted(error), usd=usd, **more)

    items = (
        candidate("best", 5.0, 9.0), candidate("linear", 5.2, 5.0, kind="linear"),
        candidate("poor", 8.0, 1.0, 20.0), candidate("narrow", 5.0, 0.1, 1.0),
        candidate("mean", 40.0, 0.1, 90.0),
    )  # fmt: skip
    record = record_of(judged_numbers(numbers), file, *items)
    assert outcomes(record) == {
        "best": "as good", "linear": "chosen", "poor": "worse", "narrow": "dropped",
        "mean": "dropped",
    }  # fmt: skip
    assert record.reason.startswith("best has the lowest RMSE of those that fail no must")
    best, poor = named(record, "best"), named(record, "poor")
    errors = {item.record.name: item.model.scores[:, 0] - VALUES for item in items}
    rmse = {name: float(np.sqrt(np.mean(error**2))) for name, error in errors.items()}
    assert best.metrics["rmse"].value == pytest.approx(rmse["best"])
    assert poor.lead_of_best.value == pytest.approx(rmse["poor"] - rmse["best"])
    order = np.argsort(VALUES)
    fifths = [float(np.abs(errors["best"])[part].mean()) for part in np.array_split(order, 5)]
    assert [part.figure.value for part in best.parts] == pytest.approx(fifths)
    bias = {entry.metric: entry.value for entry in best.bias}
    assert bias["DI"] == pytest.approx(impact(items[0].model.scores[:, 0] > BOUND))
    held = np.abs(errors["best"]) <= 10
    assert bias["interval_coverage"] == pytest.approx(float(held[is_old(ROWS)].mean()))
    failed = {check.name for check in named(record, "narrow").failed}
    assert failed == {"interval_coverage", "interval_coverage age=old"}
    assert "rmse lead over mean" in {check.name for check in named(record, "mean").failed}
    html = page(record, tmp_path)
    effect = f"ends below {0.05 * VALUES.std():.3g} (0.05 standard deviations"
    for text in (
        "Mean absolute error by observed value",
        "the lower RMSE decides",
        effect,
        "above 40",
    ):
        assert text in html
    assert terminal_rows(record)[0][:3] == ["candidate", "RMSE", "interval coverage"]
    assert next_commands(record) == ("sashiko run --recipe loans --set model.family=linear",)


def test_models_of_classes_that_agree_on_a_few_rows_are_not_shown_to_be_as_good() -> None:
    labels = np.arange(24) % 3
    same = ModelScores(class_members(labels, 3), 0.0)
    few = lead(same, same, labels, "macro_f1", section=recipe().evaluate)
    assert few.value == 0
    assert few.high > 0.05


@pytest.mark.parametrize(
    ("label", "changes", "message"),
    [
        ("classes", {"metric": "f1"}, "`metric`: f1 does not fit .* macro_f1, balanced_accuracy"),
        ("numbers", {}, "`metric`: balanced_accuracy .*: choose one of rmse, mae, r2"),
        ("classes", {"metric": "macro_f1", "injections": 9}, "`injections`: .* has 3 classes"),
        ("numbers", {"metric": "rmse", "injections": 9}, "`injections`: .* is a number"),
        ("classes", {"metric": "macro_f1", "musts": musts({"metric": "auc", "minimum": 0.5})},
         r"`musts.quality.0.metric`: auc does not fit .* has 3 classes"),
        ("numbers", {"metric": "mae", "musts": musts({"metric": "mae", "better_than": "majority"})},
         r"`musts.quality.0.better_than`: majority does not fit .* is a number"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_label_is_refused_by_name(label, changes, message, request) -> None:
    contract = request.getfixturevalue(label)
    with pytest.raises(InputError, match=message):
        refuse_other_label(selection(**changes), contract, recipe=recipe())


def test_a_recipe_that_abstains_is_refused(classes) -> None:
    config = gated({"metric": "macro_f1", "minimum": 0.5}, evaluate={"abstain": {"below": 0.5}})
    with pytest.raises(InputError, match=r"key `evaluate.abstain`: .* on every row"):
        refuse_other_label(selection(metric="macro_f1"), classes, recipe=config)


def test_a_model_of_bedrock_is_refused_for_a_number(numbers) -> None:
    with pytest.raises(InputError, match=r"`candidates.nova`: .* is a number, .* no interval"):
        refuse_other_label(with_bedrock(metric="rmse"), numbers, recipe=recipe())


WORDS = {"lost": "lost", "late, but back": "late, but back", "in time": "late"}


def test_answers_of_several_classes_are_read_by_name_and_the_rest_is_counted(
    classes, monkeypatch, tmp_path
) -> None:
    judged = judged_classes(classes)
    few = replace(
        judged, facets=None, recipe=judged.recipe.model_copy(update={"bias": recipe(bias={
            "judged": False, "reason": "few rows"}).bias}),
        test=replace(judged.test, keys=judged.test.keys[:40], texts=judged.test.texts[:40],
                     labels=judged.test.labels[:40]),
    )  # fmt: skip
    said = ("Late, but back. It came in May.", "LATE", '"lost"', "lost or late", "late - or lost")
    prompt = {"template": "{text}\nHow?", "answers": WORDS}
    model = {"prompt": prompt, "unanswered": "lost", "examples": 3}
    nova = with_bedrock().candidates["nova"].model_copy(update={})
    nova = type(nova).model_validate(nova.model_dump() | model)
    with bedrock_service(monkeypatch, lambda _, number: answered(said[number % 5])) as service:
        result = score(nova, tmp_path, rows=few, selection=with_bedrock(metric="macro_f1"))
    assert (result.record.answers.valid, result.record.answers.invalid) == (24, 16)
    counts = np.bincount(result.model.predicted, minlength=3).tolist()
    assert counts == [8 + 16, 8, 8]  # what cannot be read is decided `lost`
    assert service.texts[0].count("How?") == 4  # three examples and the row
    record: CandidateRecord = judge(result, few, with_bedrock(), licences=())
    assert set(record.metrics) == {
        "accuracy", "balanced_accuracy", "macro_f1", "worst_class_recall"
    }  # fmt: skip
    for answers in (WORDS | {"lost": "Late"}, {"lost": "lost", "in time": "late"}):
        wrong = type(nova).model_validate(
            nova.model_dump() | model | {"prompt": prompt | {"answers": answers}, "examples": 0}
        )
        with pytest.raises(InputError, match=r"candidate nova: key `prompt\.answers`"):
            score(wrong, tmp_path, rows=few, record=False)


@pytest.mark.parametrize("shape", [1, 2, 3])
def test_scores_come_back_from_the_cache_as_they_were(shape, monkeypatch, tmp_path) -> None:
    scores = np.random.default_rng(0).dirichlet([1.0] * 3, 4)[:, :shape]
    if shape == 2:
        scores = np.stack([1 - scores[:, 1], scores[:, 1]], axis=1)
    width = 2.5 if shape == 1 else None
    split = Split(("a", "b", "c", "d"), ("",) * 4, np.zeros(4, dtype=np.int64))
    (tmp_path / "model").write_bytes(b"model")

    class Opened:
        template, missing, half_width = "", "", width

        def __enter__(self) -> "Opened":
            return self

        def __exit__(self, *_: object) -> None:
            monkeypatch.setattr(rows, "open_artifact", None)  # once

    monkeypatch.setattr(rows, "open_artifact", lambda *_, **__: Opened())
    monkeypatch.setattr(rows, "score_split", lambda *_, **__: scores)
    for _ in range(2):
        model = cached_scores(
            tmp_path / "model", split, split_sha256="0", name="model", home=tmp_path
        )
        assert model.scores.tolist() == scores.tolist()
        assert model.half_width == width


def swept(config: Recipe, *models: rows.Validation) -> Sweep:
    points = [
        judge_point(model, config, strength=float(index), run=f"run-{index}")
        for index, model in enumerate(models)
    ]
    metric = "rmse" if models[0].values is not None else "macro_f1"
    return sweep_of(config, points, metric=metric, rows=ROWS)


@pytest.mark.parametrize("label", ["classes", "numbers"])
def test_a_sweep_has_a_point_for_each_strength_and_takes_the_best(label, request, tmp_path) -> None:
    judged = {"classes": judged_classes, "numbers": judged_numbers}[label](
        request.getfixturevalue(label)
    )
    fair: Any = judged.facets
    old = is_old(ROWS)
    if label == "classes":
        poor, unfair = decided(0.3), fair.scored.scores.copy()
        unfair[old] = [0.8, 0.1, 0.1]
        said = "the highest macro F1"
    else:
        poor, unfair = predicted(7.0), fair.scored.scores - 30 * old[:, None]
        said = "the lowest RMSE"
    models = [replace(fair, scored=replace(fair.scored, scores=each)) for each in (unfair, poor)]
    result = swept(judged.recipe, *models, fair)
    assert "DI age=old" in result.points[0].failed
    assert result.chosen.strength == 2
    assert said in headline(result)
    assert "threshold" not in headline(result)
    html = write_page(sweep_view(result), tmp_path / "page.html").read_text()
    assert "A mark for each strength, which stands beside it" in html
    assert html.count("<svg") >= len(result.checks)
