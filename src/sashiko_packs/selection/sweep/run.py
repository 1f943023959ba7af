"""Trains once per strength, like `sashiko run`, and judges each model at every threshold."""

import sys
from collections.abc import Sequence
from pathlib import Path

from sashiko.base.yaml_models import Layer, validate_layers
from sashiko.contract.load import load_contract
from sashiko.errors import InputError
from sashiko.pipeline.local_run import run_pipeline
from sashiko.pipeline.project import contract_file
from sashiko.pipeline.runner.record import RunRecord, new_run_id
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_packs.selection.sweep.choice import choose, mark_front
from sashiko_packs.selection.sweep.points import curve
from sashiko_packs.selection.sweep.record import Curve, Sweep
from sashiko_packs.selection.sweep.validation import LAST_STEP, read_validation

DEFAULT_STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0)


class IncompleteRunError(Exception):
    """A run of the sweep was blocked, failed or interrupted."""

    def __init__(self, record: RunRecord) -> None:
        super().__init__(record.reason)
        self.record = record


def sweep(
    settings: Settings,
    recipe: Recipe,
    *,
    strengths: Sequence[float],
    home: Path,
    from_step: str | None,
    command: str,
) -> Sweep:
    """Sweeps over reweighing strengths and thresholds; nothing is registered or logged.

    Steps that do not depend on the strength, and strengths of earlier runs, come from the cache.
    The test split is neither scored nor read.

    Raises:
        IncompleteRunError: if a run was blocked, failed or interrupted.
        InputError: if the recipe has no bias gate or no facets to reweigh by, or a run is refused.
    """
    _check(recipe, strengths)
    contract = load_contract(contract_file(recipe))
    metric = recipe.evaluate.threshold.metric
    all_strengths = sorted({*strengths, recipe.reweighing.strength})
    values = ",".join(f"{item:g}" for item in all_strengths)
    curves: list[Curve] = []
    for number, strength in enumerate(all_strengths, start=1):
        print(f"strength {strength:g} ({number} of {len(all_strengths)})", file=sys.stderr)
        run = run_pipeline(
            settings,
            with_strength(recipe, strength),
            home=home,
            from_step=from_step,
            until=LAST_STEP,
            command=f"{command} --sweep --strengths {values}",
        )
        if run.status != "partial":
            raise IncompleteRunError(run)
        validation = read_validation(run, contract, home=home)
        print("judging every threshold", file=sys.stderr)
        curves.append(curve(validation, recipe, strength=strength, run=run.id))
    [check, *_] = curves[0].by_policy.bias
    marked = mark_front(curves, check=check, metric=metric)
    return Sweep(
        id=new_run_id(home),
        recipe=recipe,
        metric=metric,
        rows=len(validation.labels),
        inputs=validation.inputs,
        curves=marked,
        chosen=choose(marked, recipe, metric=metric, command=command),
    )


def with_strength(recipe: Recipe, strength: float) -> Recipe:
    """Returns the recipe with another reweighing strength.

    Raises:
        InputError: if it is outside the range that a recipe allows.
    """
    changed = Layer(f"--strengths {strength:g}", {"reweighing": {"strength": strength}})
    return validate_layers(
        type(recipe), [Layer(recipe.name, recipe.model_dump(mode="json")), changed]
    )


def _check(recipe: Recipe, strengths: Sequence[float]) -> None:
    if not recipe.bias.judged:
        raise InputError(
            f"recipe {recipe.name}: key `bias.judged` is false: a sweep weighs accuracy against "
            "the bias gates, and the contract names no facet to judge by"
        )
    if any(strengths) and not recipe.reweighing.facets:
        facets = ", ".join(
            dict.fromkeys(name for gate in recipe.bias.gates for name in gate.facets)
        )
        raise InputError(
            f"recipe {recipe.name}: key `reweighing.facets` is empty, so no strength changes "
            f"anything: name what is reweighed by, such as those of the bias gates ({facets})"
        )
    for strength in strengths:
        with_strength(recipe, strength)  # refuse an invalid one before the first training
