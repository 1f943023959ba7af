"""Runs a selection: reads the rows, scores each candidate, judges it, and applies the rule."""

import datetime as dt
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from sashiko.account.prices import Prices
from sashiko.contract.load import load_contract
from sashiko.evaluation.evaluation_record import Estimates
from sashiko.evaluation.gates.verdict import Check
from sashiko.evaluation.metrics.arrays import Floats, ModelScores
from sashiko.evaluation.metrics.calibration import error_by_chance, wilson_interval
from sashiko.evaluation.metrics.classes import ClassRates, class_rates
from sashiko.evaluation.metrics.quality import slice_estimates
from sashiko.pipeline.project import contract_file, find_recipe, open_recipe
from sashiko.pipeline.runner.run_record import new_run_id
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.recipe_quality import INJECTION_FLIP_RATE, EvaluateSection
from sashiko.steps.comparators import MAJORITY, MEAN, model_lead, model_metrics
from sashiko_packs.selection.candidates import (
    Bench,
    Responder,
    Scored,
    bedrock_candidate,
    score_local,
)
from sashiko_packs.selection.file import BedrockCandidate, Selection, check_geographies
from sashiko_packs.selection.record import Answers, CandidateRecord, Part, SelectionRecord, choose
from sashiko_packs.selection.rows import (
    JudgedRows,
    Runs,
    constant_baseline,
    has_threshold,
    judge_bias,
    judge_quality,
    needed_runs,
    read_rows,
    refuse_other_label,
    refuse_other_text,
)

_OF_DECISIONS = ("accuracy", "balanced_accuracy", "f1", "macro_f1", "worst_class_recall")
_FIFTHS = (0.2, 0.4, 0.6, 0.8)


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
    metrics, chance = model_metrics(section, rows.test.truth, model, {}), None
    rates: dict[str, ClassRates] = {}
    if not rows.contract.is_number:
        rates = dict(zip(rows.labels, class_rates(rows.test.labels, model), strict=True))
    if not has_scores:
        metrics = {name: metrics[name] for name in _OF_DECISIONS if name in metrics}
    elif rates:
        certainty = model.scores.max(axis=1) if len(rates) > 2 else model.scores[:, 1]
        chance = error_by_chance(
            certainty, replicates=section.bootstrap_replicates, seed=section.seed
        )
    gateable = dict(metrics)
    if record.injection is not None:
        gateable[INJECTION_FLIP_RATE] = record.injection.overall.above_control
    if record.answers is not None:
        musts.append(_unanswered(record.answers, selection.musts.unanswered))
    musts += _quality(model, gateable, rows, selection, rates)
    bias = []
    if rows.facets is not None:
        bias = [*rows.facets.bias_estimates(model, recipe.bias, every_ratio=True)]
    musts += judge_bias(recipe, recipe.bias.prediction_gates, bias, contract=rows.contract)
    parts = [Part(name=name, rows=rate.rows, figure=rate.recall) for name, rate in rates.items()]
    if rows.test.values is not None:
        parts = [*_fifths(section, rows.test.values, model)]
    pair = has_threshold(rows.contract)
    figures = {
        "threshold": model.threshold if has_scores and pair else None,
        "metrics": metrics,
        "error_by_chance": chance,
        "parts": () if pair else tuple(parts),
        "bias": tuple(bias),
        # The advice is for the recipe of the rows.
        "musts": tuple(check.model_copy(update={"try_": ""}) for check in musts),
    }
    return record.model_copy(update=figures)


def _fifths(section: EvaluateSection, values: Floats, model: ModelScores) -> Iterator[Part]:
    """Yields the mean absolute error of each fifth of the rows, by the observed value."""
    edges = np.unique(np.quantile(values, _FIFTHS))
    places = np.searchsorted(edges, values, side="left")
    masks = [places == place for place in np.unique(places)]
    slices = slice_estimates(
        values, model, masks, replicates=section.bootstrap_replicates, seed=section.seed
    )
    for mask, part in zip(masks, slices, strict=True):
        low, high = values[mask].min(), values[mask].max()
        yield Part(
            name=f"{low:.4g} to {high:.4g}", rows=int(mask.sum()), figure=part.metrics["mae"]
        )


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
    model: ModelScores,
    gateable: Estimates,
    rows: JudgedRows,
    selection: Selection,
    by_class: Mapping[str, ClassRates],
) -> Iterator[Check]:
    leads: Mapping[str, Estimates] = {}
    if any(gate.better_than for gate in selection.musts.quality):
        section, name = rows.recipe.evaluate, MEAN if rows.contract.is_number else MAJORITY
        count, truth = len(rows.test.keys), rows.test.truth
        constant = constant_baseline(rows.contract, rows.train.truth, rows=count)
        leads = {name: model_lead(section, truth, model, constant, {})}
    for gate in selection.musts.quality:
        if gate.metric in gateable or gate.of_class is not None:
            yield from judge_quality(rows.recipe, [gate], gateable, leads, by_class=by_class)
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
        name: open_recipe(
            find_recipe(item.recipe),
            overrides=("model.family=linear",) if item.kind == "linear" else (),
        )
        for name, item in selection.candidates.items()
        if not isinstance(item, BedrockCandidate)
    }
    contract = load_contract(contract_file(rows_recipe))
    refuse_other_label(selection, contract, recipe=rows_recipe)
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
    scale = None if rows.train.values is None else float(rows.train.values.std())
    choice = choose(
        [records[name] for name in selection.candidates],
        models,
        rows.test.truth,
        selection=selection,
        section=rows_recipe.evaluate,
        scale=scale,
    )
    unjudged = [] if rows_recipe.bias.judged else [f"bias: {rows_recipe.bias.reason}"]
    return SelectionRecord(
        id=new_run_id(home), selection=selection, day=dt.datetime.now(dt.UTC).date(),
        rows=len(rows.test.keys),
        positives=int((rows.test.labels >= contract.first_favourable).sum()),
        favourable="" if has_threshold(contract) else contract.outcomes[1], scale=scale,
        bootstrap_replicates=rows_recipe.evaluate.bootstrap_replicates, inputs=rows.inputs,
        command=command, **(dict(choice) | {"unjudged": (*choice.unjudged, *unjudged)}),
    )  # fmt: skip


def chosen_recipe(record: SelectionRecord) -> Recipe | None:
    """Returns the recipe whose model is chosen; None for another kind of candidate, or none."""
    candidate = record.selection.candidates.get(record.chosen or "")
    if candidate is None or candidate.kind not in ("recipe", "version"):
        return None
    return open_recipe(find_recipe(candidate.recipe))
