"""Trains once per strength, like `sashiko run`, judges each model on validation, and chooses."""

import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from sashiko.base.files import write_json
from sashiko.base.yaml_models import Frozen, Layer, validate_layers
from sashiko.bias.metrics.number_bias import ALL_METRICS
from sashiko.contract.load import load_contract
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import Estimates
from sashiko.evaluation.gates.quality_checks import own_metrics
from sashiko.evaluation.metrics.classes import class_rates
from sashiko.evaluation.metrics.quality import LOWER_IS_BETTER
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.pipeline.project import contract_file
from sashiko.pipeline.runner.run_record import new_run_id
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.recipe_bias import BiasGate
from sashiko.settings.recipe_quality import INJECTION_FLIP_RATE
from sashiko.steps.comparators import MAJORITY, MEAN, resample_models
from sashiko_packs.selection.rows import (
    COMPILE,
    Validation,
    has_threshold,
    judge_bias,
    judge_quality,
    read_validation,
    refuse_abstention,
    run_recipe,
    threshold_of,
)

SWEEPS = "sweeps"
SWEEP_FILE = "sweep.json"


class Point(Frozen):
    """The model of one strength on the validation split, at the recipe's own threshold policy."""

    strength: float
    run: str
    threshold: float  # of two classes the lowest score that is predicted positive
    quality: Estimates  # name of each metric -> estimate
    bias: Estimates  # name of each bias gate's check, such as `DI age=old` -> estimate
    failed: tuple[str, ...]
    # The bias gates' checks that passed without a margin to their bounds.
    without_margin: tuple[str, ...]

    @property
    def lacking(self) -> tuple[str, ...]:
        """The reasons against the point; empty if it is acceptable."""
        return (*self.failed, *(f"margin of {check}" for check in self.without_margin))


class Sweep(Frozen):
    """A whole sweep."""

    id: str
    recipe: Recipe
    metric: str  # orders the acceptable points
    rows: int
    # `validation` and `facets` -> digest of the split and of the facet snapshot.
    inputs: dict[str, str]
    points: tuple[Point, ...]
    chosen: Point | None  # the recommended point
    command: str  # judges it on the test split; empty without a recommendation

    @property
    def present(self) -> Point:
        """The point of the current recipe."""
        strength = self.recipe.reweighing.strength
        return next(point for point in self.points if point.strength == strength)

    @property
    def checks(self) -> tuple[str, ...]:
        """The names of the bias gates' checks, in the gates' order."""
        return tuple(self.present.bias)


def write_sweep(sweep: Sweep, home: Path) -> Path:
    """Writes `<home>/sweeps/<id>/sweep.json` and returns the folder."""
    folder = home / SWEEPS / sweep.id
    write_json(folder / SWEEP_FILE, sweep.model_dump(mode="json"))
    return folder


def bounds(gate: BiasGate) -> tuple[float, float]:
    """Returns a gate's bounds; a missing bound is infinite."""
    return (
        -math.inf if gate.minimum is None else gate.minimum,
        math.inf if gate.maximum is None else gate.maximum,
    )


def inner_bounds(gate: BiasGate) -> tuple[float, float]:
    """Returns a gate's bounds moved half way towards the neutral value of its metric.

    For a ratio this is half of its logarithm: between 0.8 and 1 it is 0.894. A bound beyond the
    neutral value is unchanged, and so is one on a number's errors in one group.
    """
    low, high = bounds(gate)
    if gate.of_numbers and not ALL_METRICS[gate.metric].compares:
        return low, high
    neutral = ALL_METRICS[gate.metric].neutral
    return max(low, _half_way(low, neutral)), min(high, _half_way(high, neutral))


def keeps_margin(value: float | None, gate: BiasGate) -> bool:
    """Returns whether a gated metric is within the gate's inner bounds."""
    low, high = inner_bounds(gate)
    return value is not None and low <= value <= high


def _half_way(bound: float, neutral: float) -> float:
    if not math.isfinite(bound):
        return bound
    return neutral * math.sqrt(max(bound, 0.0) / neutral) if neutral else bound / 2


def choose(points: Sequence[Point], *, metric: str) -> Point | None:
    """Returns the acceptable point with the best value of the metric; of equal ones the lower one.

    None if no point is acceptable.
    """

    def loss(point: Point) -> float:
        value = point.quality[metric].value
        if value is None:
            return math.inf
        return value if metric in LOWER_IS_BETTER else -value

    acceptable = [point for point in points if not point.lacking]
    return min(acceptable, key=lambda point: (loss(point), point.strength), default=None)


def command_for(point: Point, recipe: Recipe, *, command: str) -> str:
    """Returns the command of a run with a point's strength."""
    if point.strength == recipe.reweighing.strength:
        return command
    return f"{command} --set {shlex.quote(f'reweighing.strength={point.strength:g}')}"


def judge(validation: Validation, recipe: Recipe, *, strength: float, run: str) -> Point:
    """Judges a run's model by the recipe's gates, at the threshold of its policy, on validation.

    Leads over the linear baseline and the champion are not judged: a lead under drift is not
    visible before the drift, and a time split puts validation before it.
    """
    contract, section, own = validation.contract, recipe.evaluate, own_metrics(recipe.quality)
    threshold = threshold_of(recipe, contract, validation.labels, validation.scored)
    model = validation.model(threshold)
    both = {"model": model, "constant": validation.constant()}
    models = resample_models(section, validation.truth, both, own)
    figures, leads = models["model"].estimates(), models["model"].lead(models["constant"], own)
    constant = MEAN if contract.is_number else MAJORITY
    rates = () if contract.is_number else class_rates(validation.labels, model)
    checks = judge_quality(
        recipe,
        [
            gate
            for gate in recipe.quality.gates
            if gate.better_than in (None, constant) and gate.metric != INJECTION_FLIP_RATE
        ],
        figures,
        {constant: leads},
        by_class=dict(zip(contract.classes, rates, strict=False)),
    )
    failed = [check.name for check in checks if not check.passed]
    bias, near_bounds, estimates = {}, [], list(validation.bias_estimates(model, recipe.bias))
    for gate in recipe.bias.prediction_gates:
        for check in judge_bias(recipe, [gate], estimates, contract=contract):
            bias[check.name] = Estimate(check.value, check.low, check.high)
            if not check.passed:
                failed.append(check.name)
            elif not keeps_margin(check.value, gate):
                near_bounds.append(check.name)
    return Point(
        strength=strength, run=run, threshold=threshold,
        quality={name: figure for name, figure in figures.items() if name not in own}, bias=bias,
        failed=tuple(failed), without_margin=tuple(near_bounds),
    )  # fmt: skip


DEFAULT_STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0)


def sweep(
    settings: Settings,
    recipe: Recipe,
    *,
    strengths: Sequence[float],
    home: Path,
    from_step: str | None,
    command: str,
) -> Sweep:
    """Sweeps over reweighing strengths; nothing is registered or logged.

    Steps that do not depend on the strength, and strengths of earlier runs, come from the cache.
    The test split is neither scored nor read.

    Raises:
        IncompleteRunError: if a run was blocked, failed or interrupted.
        InputError: if the recipe has no bias gate or no facets to reweigh by, or a run is refused.
    """
    _check(recipe, strengths)
    contract = load_contract(contract_file(recipe))
    metric = "rmse" if contract.is_number else "macro_f1"
    if has_threshold(contract):
        metric = recipe.evaluate.threshold.metric
    all_strengths = sorted({*strengths, recipe.reweighing.strength})
    values = ",".join(f"{item:g}" for item in all_strengths)
    points: list[Point] = []
    for number, strength in enumerate(all_strengths, start=1):
        print(f"strength {strength:g} ({number} of {len(all_strengths)})", file=sys.stderr)
        run = run_recipe(
            settings, with_strength(recipe, strength), until=COMPILE, home=home,
            command=f"{command} --sweep --strengths {values}", from_step=from_step,
        )  # fmt: skip
        validation = read_validation(run, contract, home=home)
        print("judging it by the gates", file=sys.stderr)
        points.append(judge(validation, recipe, strength=strength, run=run.id))
    chosen = choose(points, metric=metric)
    return Sweep(
        id=new_run_id(home), recipe=recipe, metric=metric, rows=len(validation.labels),
        inputs=validation.inputs, points=tuple(points), chosen=chosen,
        command=command_for(chosen, recipe, command=command) if chosen else "",
    )  # fmt: skip


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
    refuse_abstention(recipe)
    if any(strengths) and not recipe.reweighing.facets:
        names = dict.fromkeys(name for gate in recipe.bias.prediction_gates for name in gate.facets)
        facets = ", ".join(names)
        raise InputError(
            f"recipe {recipe.name}: key `reweighing.facets` is empty, so no strength changes "
            f"anything: name facets to reweigh by, such as those of the bias gates ({facets})"
        )
    for strength in strengths:
        with_strength(recipe, strength)  # refuse an invalid one before the first training
