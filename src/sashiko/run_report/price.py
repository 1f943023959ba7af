"""The cost of mitigation: this model against one of the same recipe without reweighing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sashiko.errors import InputError
from sashiko.evaluation.metrics.quality import difference
from sashiko.evaluation.record import Estimates, Evaluation
from sashiko.pipeline.runner.record import read_run
from sashiko.report.evidence import Evidence, Missing, read_evidence
from sashiko.report.predictions import Predictions
from sashiko.report.views import Row, numeric
from sashiko.report.words import estimate, estimate_cell, reported_row
from sashiko.settings.recipe import Recipe
from sashiko.steps.evaluation_notes import METRIC_NAMES

_METRICS = ("auc", "accuracy")
_SPLITS = ("train", "validation", "test")


# One run's model on the test split.
_Judged = tuple[Evaluation, Predictions]


def price_rows(evidence: Evidence) -> Iterator[Row]:
    """Yields the loss of AUC and accuracy by reweighing, on the same test rows.

    It is held against the newest run of the same splits that trained the same model without
    weights; where there is none, the row says how to get one. Nothing is shown of a run that did
    not reweigh, or judged no model.
    """
    recipe = evidence.recipe
    if isinstance(recipe, Missing) or not recipe.reweighing.strength:
        return
    ours = _judged(evidence)
    if ours is None:
        return
    without = _unmitigated(evidence, recipe)
    if without is None:
        command = f"{evidence.run.command} --set reweighing.strength=0"
        meaning = (
            "no run of the same data and settings without it: "
            f"run `{command}`, then `sashiko runs report {evidence.run.id}`"
        )
        yield reported_row("price of reweighing", meaning, numeric("not known"))
        return
    run, theirs = without
    for metric, change in _changes(ours, theirs).items():
        if change.value is None:
            continue
        before, now = (item.candidate[metric].value or 0.0 for item, _ in (theirs, ours))
        meaning = (
            f"{estimate(before)} without (run {run}), {estimate(now)} with it, on the same rows"
        )
        name = f"price of reweighing, {METRIC_NAMES[metric]}"
        yield reported_row(name, meaning, estimate_cell(change))


def _changes(ours: _Judged, theirs: _Judged) -> Estimates:
    (evaluation, predictions), (other_evaluation, other_predictions) = ours, theirs
    changes = difference(
        predictions.labels,
        predictions.scores,
        other_predictions.scores,
        threshold=evaluation.threshold,
        other_threshold=other_evaluation.threshold,
        replicates=evaluation.bootstrap_replicates,
        seed=0,
    )
    return {metric: changes[metric] for metric in _METRICS}


def _unmitigated(evidence: Evidence, recipe: Recipe) -> tuple[str, _Judged] | None:
    """Finds the newest run that differs only in the weights, and its id."""
    splits, home = _splits(evidence), evidence.folder.parents[1]
    for folder in sorted(evidence.folder.parent.glob("*/run.json"), reverse=True):
        other = _same_splits(folder.parent, splits, home=home)
        if other is None or isinstance(other.recipe, Missing) or other.recipe.reweighing.strength:
            continue
        if _model_settings(other.recipe) == _model_settings(recipe):
            judged = _judged(other)
            if judged is not None:
                return other.run.id, judged
    return None


def _same_splits(folder: Path, splits: dict[str, str], *, home: Path) -> Evidence | None:
    try:
        # The record alone is quickly read, and rules most runs out.
        inputs = read_run(folder).step("Evaluate").inputs
        if {name: inputs[name].sha256 for name in _SPLITS if name in inputs} != splits:
            return None
        return read_evidence(folder, home)
    except InputError:  # another version's, or of another pipeline
        return None


def _splits(evidence: Evidence) -> dict[str, str]:
    inputs = evidence.run.step("Evaluate").inputs
    return {name: inputs[name].sha256 for name in _SPLITS if name in inputs}


def _judged(evidence: Evidence) -> _Judged | None:
    evaluation, predictions = evidence.evaluation, evidence.predictions
    if isinstance(evaluation, Missing) or isinstance(predictions, Missing):
        return None
    return evaluation, predictions


def _model_settings(recipe: Recipe) -> dict[str, Any]:
    """Returns the settings of a model and its threshold, besides data and weights."""
    return recipe.model_dump(
        mode="json",
        include={"model": True, "text": True, "train": True, "compile": True,
                 "evaluate": {"threshold"}},
    )  # fmt: skip
