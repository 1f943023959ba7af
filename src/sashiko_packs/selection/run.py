"""Runs a selection: reads the rows, scores each candidate, judges it, and applies the rule."""

import datetime as dt
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sashiko.account.prices import Prices
from sashiko.bias.gates.bias_gate import Mitigation, bias_checks
from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.evaluation.evaluation_record import Estimates
from sashiko.evaluation.gates.quality_checks import Training, quality_checks
from sashiko.evaluation.gates.verdict import Check
from sashiko.evaluation.metrics.arrays import ModelScores
from sashiko.evaluation.metrics.calibration import error_by_chance, wilson_interval
from sashiko.pipeline.project import find_recipe, open_recipe
from sashiko.pipeline.runner.run_record import new_run_id
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.recipe_quality import INJECTION_FLIP_RATE, QualitySection
from sashiko.steps.comparators import MAJORITY, majority_baseline, model_lead, model_metrics
from sashiko_packs.selection.bedrock import Responder, bedrock_candidate
from sashiko_packs.selection.file import (
    BedrockCandidate,
    Selection,
    VersionCandidate,
    check_geographies,
)
from sashiko_packs.selection.local import (
    Bench,
    linear_candidate,
    recipe_candidate,
    version_candidate,
)
from sashiko_packs.selection.record import Answers, CandidateRecord, SelectionRecord
from sashiko_packs.selection.rows import (
    CandidateScores,
    JudgedRows,
    Runs,
    needed_runs,
    read_rows,
    refuse_other_text,
)
from sashiko_packs.selection.rule import choose

_OF_DECISIONS = ("accuracy", "balanced_accuracy", "f1")


def judge(
    scored: CandidateScores, rows: JudgedRows, selection: Selection, *, licences: tuple[str, ...]
) -> CandidateRecord:
    """Computes a candidate's figures; intervals of all candidates use the same resamples.

    Args:
        scored: the candidate.
        rows: the test rows.
        selection: the file.
        licences: those that are allowed.
    """
    section = rows.recipe.evaluate
    record = CandidateRecord(
        name=scored.name,
        kind=scored.kind,
        what=scored.what,
        sha256=scored.sha256,
        run=scored.run,
        licence=scored.licence,
        travel=scored.travel,
        answers=scored.answers,
        cost=scored.cost,
        musts=(_geography(scored, selection), _licence(scored, licences)),
    )
    model = scored.model
    if model is None or (scored.answers and scored.answers.hand_made):
        return record
    metrics = model_metrics(section, rows.test.labels, model, {})
    chance = None
    if scored.has_scores:
        chance = error_by_chance(
            model.scores, replicates=section.bootstrap_replicates, seed=section.seed
        )
    else:
        metrics = {name: metrics[name] for name in _OF_DECISIONS}
    bias: tuple[BiasEstimate, ...] = ()
    if rows.facets is not None:
        predicted = model.scores >= model.threshold
        bias = tuple(rows.facets.bias_estimates(predicted, rows.recipe.bias, every_ratio=True))
    gateable = dict(metrics)
    if scored.injection is not None:
        gateable[INJECTION_FLIP_RATE] = scored.injection.overall.above_control
    figures = {
        "threshold": model.threshold if scored.has_scores else None,
        "metrics": metrics,
        "error_by_chance": chance,
        "bias": bias,
        "injection": scored.injection,
        "latency": scored.latency,
        "musts": (
            *record.musts,
            *_unanswered(scored.answers, selection),
            *_quality(model, gateable, rows, selection),
            *_bias(bias, rows.recipe),
        ),
    }
    return record.model_copy(update=figures)


def _bias(bias: Sequence[BiasEstimate], recipe: Recipe) -> Iterator[Check]:
    mitigation = Mitigation(reweighing=recipe.reweighing, threshold=recipe.evaluate.threshold)
    for check in bias_checks(recipe.bias, bias, mitigation):
        yield check.model_copy(update={"try_": ""})  # the advice is for the recipe of the rows


def _geography(scored: CandidateScores, selection: Selection) -> Check:
    allowed, travel = selection.musts.geographies, scored.travel
    passed = not travel.geography or travel.geography in allowed
    names = ", ".join(allowed) or "none"
    reason = travel.where if passed else f"{travel.where}; allowed geographies: {names}"
    return Check(name="geography", passed=passed, reason=reason)


def _licence(scored: CandidateScores, licences: tuple[str, ...]) -> Check:
    if scored.licence is None:
        return Check(name="licence", passed=True, reason="made of your rows alone")
    passed = scored.licence in licences
    reason = scored.licence if passed else f"{scored.licence} is not one of {', '.join(licences)}"
    return Check(name="licence", passed=passed, reason=reason)


def _unanswered(answers: Answers | None, selection: Selection) -> Iterator[Check]:
    """Judges the share of test rows without a valid answer; a model of one's own answers all."""
    if answers is None:
        return
    rows, most = answers.valid + answers.invalid + answers.refused, selection.musts.unanswered
    share = (answers.invalid + answers.refused) / rows
    low, high = wilson_interval(share, rows)
    yield Check(
        name="unanswered",
        value=share,
        low=low,
        high=high,
        threshold=most,
        comparison="<=",
        passed=share <= most,
        reason=f"{answers.invalid:,} invalid and {answers.refused:,} refused of {rows:,} answers",
    )


def _quality(
    model: ModelScores, gateable: Estimates, rows: JudgedRows, selection: Selection
) -> Iterator[Check]:
    leads: Mapping[str, Estimates] = {}
    if any(gate.better_than for gate in selection.musts.quality):
        majority = majority_baseline(rows.train, rows.test)
        section = rows.recipe.evaluate
        leads = {MAJORITY: model_lead(section, rows.test.labels, model, majority, {})}
    recipe = rows.recipe
    training = Training(
        train=recipe.train, reweighing=recipe.reweighing, train_rows=recipe.data.train_rows
    )
    for gate in selection.musts.quality:
        if gate.metric not in gateable:
            yield Check(
                name=gate.metric,
                passed=False,
                reason=f"no scores: {gate.metric} needs one of each row, and Converse returns none",
            )
            continue
        one = QualitySection.model_construct(gates=(gate,))
        for check in quality_checks(one, gateable, leads, training):
            yield check.model_copy(update={"try_": ""})  # the advice is for the recipe of the rows


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

    Args:
        selection: the file.
        settings: the environment, of tier `local`.
        prices: of its region.
        responder: answers for the candidates of Bedrock; None if there are none.
        home: the folder of all local state.
        command: the command line that repeats it.

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
        scored = _score(name, recipes, bench, responder)
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
    return SelectionRecord(
        id=new_run_id(home),
        selection=selection,
        day=dt.datetime.now(dt.UTC).date(),
        rows=len(rows.test.keys),
        positives=int(rows.test.labels.sum()),
        bootstrap_replicates=rows_recipe.evaluate.bootstrap_replicates,
        inputs=rows.inputs,
        candidates=choice.candidates,
        best=choice.best,
        chosen=choice.chosen,
        reason=choice.reason,
        unjudged=(
            *choice.unjudged,
            *([] if rows_recipe.bias.judged else [f"bias: {rows_recipe.bias.reason}"]),
        ),
        command=command,
    )


def _score(
    name: str, recipes: Mapping[str, Recipe], bench: Bench, responder: Responder | None
) -> CandidateScores:
    candidate = bench.selection.candidates[name]
    if isinstance(candidate, BedrockCandidate):
        if responder is None:
            raise RuntimeError("a candidate of Bedrock needs a recording")
        return bedrock_candidate(name, candidate, bench, responder)
    if isinstance(candidate, VersionCandidate):
        return version_candidate(name, candidate, recipes[name], bench)
    if candidate.kind == "linear":
        return linear_candidate(name, recipes[name], bench)
    return recipe_candidate(name, recipes[name], bench)


def chosen_recipe(record: SelectionRecord) -> Recipe | None:
    """Returns the recipe whose model is chosen; None for another kind of candidate, or none."""
    if record.chosen is None:
        return None
    candidate = record.selection.candidates[record.chosen]
    if candidate.kind not in ("recipe", "version"):
        return None
    return open_recipe(find_recipe(candidate.recipe))
