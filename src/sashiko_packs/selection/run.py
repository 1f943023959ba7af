"""Runs a selection: reads the rows, scores each candidate, judges it, and applies the rule."""

import datetime as dt
import sys
from collections.abc import Mapping
from pathlib import Path

from sashiko.account.prices import Prices
from sashiko.evaluation.metrics.arrays import ModelScores
from sashiko.pipeline.project import find_recipe, open_recipe
from sashiko.pipeline.runner.record import new_run_id
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_packs.selection.bedrock import Responder, bedrock_candidate
from sashiko_packs.selection.file import BedrockCandidate, Selection, VersionCandidate
from sashiko_packs.selection.geography import check_geographies
from sashiko_packs.selection.judge import judge
from sashiko_packs.selection.local import (
    Bench,
    linear_candidate,
    recipe_candidate,
    version_candidate,
)
from sashiko_packs.selection.record import CandidateRecord, SelectionRecord
from sashiko_packs.selection.rows import read_rows, refuse_other_text
from sashiko_packs.selection.rule import choose
from sashiko_packs.selection.runs import Runs, needed_runs
from sashiko_packs.selection.scores import CandidateScores


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
