"""What reweighing costs: the run against the newest one of the same data without weights."""

from collections.abc import Iterator
from typing import Any

from sashiko.data.splits import SPLITS
from sashiko.evaluation import evaluation_record as record
from sashiko.evaluation.metrics.arrays import ModelScores
from sashiko.evaluation.metrics.quality import difference
from sashiko.report import words
from sashiko.report.evidence import Evidence, Missing, Predictions, runs_beside
from sashiko.report.views import Table, row
from sashiko.settings.recipe import Recipe
from sashiko.steps.evaluation_notes import METRIC_NAMES

# One run's model on the test split.
_Judged = tuple[record.Evaluation, Predictions]


def price_table(evidence: Evidence) -> Iterator[Table]:
    """Yields a table of what reweighing costs in two metrics, on the same test rows.

    It is held against the newest run of the same splits that trained the same model without
    weights; where there is none, the row says how to get one. Nothing is shown of a run that did
    not reweigh, or judged no model.
    """
    recipe, ours = evidence.recipe, _judged(evidence)
    if isinstance(recipe, Missing) or not recipe.reweighing.strength or ours is None:
        return
    without = _unmitigated(evidence, recipe)
    if without is None:
        command = f"{evidence.run.command} --set reweighing.strength=0"
        yield Table(
            "Price of reweighing",
            absent="Not known: there is no run of the same data and settings without it. Run "
            f"{command}, then sashiko runs report {evidence.run.id}.",
        )
        return
    run, (their_evaluation, their_predictions) = without
    evaluation, predictions = ours
    changes = difference(
        predictions.truth,
        ModelScores(predictions.by_class, evaluation.threshold),
        ModelScores(their_predictions.by_class, their_evaluation.threshold),
        replicates=evaluation.bootstrap_replicates,
        seed=0,
    )
    rows = []
    for metric in evaluation.compared:
        both = (each.candidate[metric] for each in (their_evaluation, evaluation))
        cells = (words.estimate_cell(estimate) for estimate in (*both, changes[metric]))
        rows.append(row(METRIC_NAMES[metric], *cells))
    heads = ("metric", f"without it (run {run})", "with it", "change, on the same rows")
    yield Table("Price of reweighing", heads, tuple(rows))


def _unmitigated(evidence: Evidence, recipe: Recipe) -> tuple[str, _Judged] | None:
    """Finds the newest run that differs only in the weights, and its id."""
    splits, settings = _splits(evidence), _model_settings(recipe)
    for other in runs_beside(evidence):
        if isinstance(other.recipe, Missing) or other.recipe.reweighing.strength:
            continue
        alike = _splits(other) == splits and _model_settings(other.recipe) == settings
        if alike and (judged := _judged(other)):
            return other.run.id, judged
    return None


def _splits(evidence: Evidence) -> dict[str, str]:
    step = evidence.step("Evaluate")
    inputs = step.inputs if step else {}
    return {name: inputs[name].sha256 for name in SPLITS if name in inputs}


def _judged(evidence: Evidence) -> _Judged | None:
    evaluation, predictions = evidence.evaluation, evidence.predictions
    if isinstance(evaluation, Missing) or isinstance(predictions, Missing):
        return None
    return evaluation, predictions


def _model_settings(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(
        mode="json",
        include={"model": True, "text": True, "train": True, "compile": True,
                 "evaluate": {"threshold"}},
    )  # fmt: skip
