"""Runs a selection: reads the rows, scores each candidate, judges it, and applies the rule."""

import datetime as dt
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from sashiko.account.prices import Prices
from sashiko.evaluation.evaluation_record import Estimates
from sashiko.evaluation.gates.verdict import Check
from sashiko.evaluation.metrics.arrays import ModelScores
from sashiko.evaluation.metrics.calibration import error_by_chance, wilson_interval
from sashiko.pipeline.project import find_recipe, open_recipe
from sashiko.pipeline.runner.run_record import new_run_id
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.recipe_quality import INJECTION_FLIP_RATE
from sashiko.steps.comparators import MAJORITY, majority_baseline, model_lead, model_metrics
from sashiko_packs.selection.candidates import (
    Bench,
    Responder,
    Scored,
    bedrock_candidate,
    score_local,
)
from sashiko_packs.selection.file import BedrockCandidate, Selection, check_geographies
from sashiko_packs.selection.record import Answers, CandidateRecord, SelectionRecord, choose
from sashiko_packs.selection.rows import (
    JudgedRows,
    Runs,
    judge_bias,
    judge_quality,
    needed_runs,
    read_rows,
    refuse_other_text,
)

_OF_DECISIONS = ("accuracy", "balanced_accuracy", "f1")


def judge(
    scored: Scored, rows: JudgedRows, selection: Selection, *, licences: tuple[str, ...]
) -> CandidateRecord:
    """Computes a candidate's figures; intervals of all candidates use the same resamples."""
    record, model, recipe = scored.record, scored.model, rows.recipe
    travel = record.travel
    passed = not travel.geography or travel.geography in selection.musts.geographies
    names = ", ".join(selection.musts.geographies) or "none"
    reason = travel.where if passed else f"{travel.where}; allowed geographies: {names}"
    musts = [Check(name="geography", passed=passed, reason=reason), _licence(record, licences)]
    if model is None or (record.answers and record.answers.hand_made):
        return record.model_copy(update={"musts": tuple(musts)})
    section, has_scores = recipe.evaluate, record.kind != "bedrock"
    metrics, chance = model_metrics(section, rows.test.labels, model, {}), None
    if has_scores:
        chance = error_by_chance(
            model.scores[:, 1], replicates=section.bootstrap_replicates, seed=section.seed
        )
    else:
        metrics = {name: metrics[name] for name in _OF_DECISIONS}
    gateable = dict(metrics)
    if record.injection is not None:
        gateable[INJECTION_FLIP_RATE] = record.injection.overall.above_control
    if record.answers is not None:
        musts.append(_unanswered(record.answers, selection.musts.unanswered))
    musts += _quality(model, gateable, rows, selection)
    bias = []
    if rows.facets is not None:
        predicted = model.predicted == 1
        bias = [*rows.facets.bias_estimates(predicted, recipe.bias, every_ratio=True)]
    musts += judge_bias(recipe, recipe.bias.prediction_gates, bias)
    figures = {
        "threshold": model.threshold if has_scores else None,
        "metrics": metrics,
        "error_by_chance": chance,
        "bias": tuple(bias),
        # The advice is for the recipe of the rows.
        "musts": tuple(check.model_copy(update={"try_": ""}) for check in musts),
    }
    return record.model_copy(update=figures)


def _licence(record: CandidateRecord, licences: tuple[str, ...]) -> Check:
    if record.licence is None:
        return Check(name="licence", passed=True, reason="made from your rows only")
    passed = record.licence in licences
    reason = record.licence if passed else f"{record.licence} is not one of {', '.join(licences)}"
    return Check(name="licence", passed=passed, reason=reason)


def _unanswered(answers: Answers, most: float) -> Check:
    rows = answers.valid + answers.invalid + answers.refused
    share = (answers.invalid + answers.refused) / rows
    low, high = wilson_interval(share, rows)
    return Check(
        name="unanswered", value=share, low=low, high=high, threshold=most, comparison="<=",
        passed=share <= most,
        reason=f"{answers.invalid:,} invalid and {answers.refused:,} refused of {rows:,} answers",
    )  # fmt: skip


def _quality(
    model: ModelScores, gateable: Estimates, rows: JudgedRows, selection: Selection
) -> Iterator[Check]:
    leads: Mapping[str, Estimates] = {}
    if any(gate.better_than for gate in selection.musts.quality):
        majority = majority_baseline(
            rows.train.labels, rows=len(rows.test.keys), classes=len(rows.labels)
        )
        section = rows.recipe.evaluate
        leads = {MAJORITY: model_lead(section, rows.test.labels, model, majority, {})}
    for gate in selection.musts.quality:
        if gate.metric in gateable:
            yield from judge_quality(rows.recipe, [gate], gateable, leads)
        else:
            reason = f"no scores: {gate.metric} needs one for each row, and Converse returns none"
            yield Check(name=gate.metric, passed=False, reason=reason)


def run_selection(
    selection: Selection,
    settings: Settings,
    prices: Prices,
    *,
    responder: Responder | None,
    home: Path,
    command: str,
) -> SelectionRecord:
    """Compares the candidates of a selection on the same test rows.

    Raises:
        IncompleteRunError: if a run was blocked, failed or interrupted.
        InputError: if a candidate cannot be compared.
    """
    check_geographies(selection.musts.geographies)
    limit = selection.rows.test_rows
    overrides = () if limit is None else (f"data.test_rows={limit}",)
    rows_recipe = open_recipe(find_recipe(selection.rows.recipe), overrides=overrides)
    recipes = {
        name: open_recipe(find_recipe(item.recipe))
        for name, item in selection.candidates.items()
        if not isinstance(item, BedrockCandidate)
    }
    needs = needed_runs(selection, recipes, rows_recipe)
    runs = Runs(settings, needs, home=home, command=command)
    print(f"the test rows of {rows_recipe.name}", file=sys.stderr)
    rows = read_rows(rows_recipe, runs, home=home)
    for name, recipe in recipes.items():
        refuse_other_text(recipe, rows, name=name)
    bench = Bench(
        selection=selection, settings=settings, prices=prices, rows=rows, runs=runs, home=home
    )
    licences = selection.musts.licences or settings.licences
    models: dict[str, ModelScores] = {}
    records: dict[str, CandidateRecord] = {}
    # Those of Bedrock first: an answer that is missing shows before anything is trained.
    order = sorted(selection.candidates, key=lambda name: name in recipes)
    for number, name in enumerate(order, start=1):
        print(f"candidate {name} ({number} of {len(order)})", file=sys.stderr)
        candidate = selection.candidates[name]
        if not isinstance(candidate, BedrockCandidate):
            scored = score_local(name, recipes[name], bench)
        elif responder is not None:
            scored = bedrock_candidate(name, candidate, bench, responder)
        else:
            raise RuntimeError("a candidate of Bedrock needs a recording")
        if scored.model is not None:
            models[name] = scored.model
        records[name] = judge(scored, rows, selection, licences=licences)
    choice = choose(
        [records[name] for name in selection.candidates],
        models,
        rows.test.labels,
        selection=selection,
        section=rows_recipe.evaluate,
    )
    unjudged = [] if rows_recipe.bias.judged else [f"bias: {rows_recipe.bias.reason}"]
    return SelectionRecord(
        id=new_run_id(home), selection=selection, day=dt.datetime.now(dt.UTC).date(),
        rows=len(rows.test.keys), positives=int(rows.test.labels.sum()),
        bootstrap_replicates=rows_recipe.evaluate.bootstrap_replicates, inputs=rows.inputs,
        command=command, **(dict(choice) | {"unjudged": (*choice.unjudged, *unjudged)}),
    )  # fmt: skip


def chosen_recipe(record: SelectionRecord) -> Recipe | None:
    """Returns the recipe whose model is chosen; None for another kind of candidate, or none."""
    candidate = record.selection.candidates.get(record.chosen or "")
    if candidate is None or candidate.kind not in ("recipe", "version"):
        return None
    return open_recipe(find_recipe(candidate.recipe))
