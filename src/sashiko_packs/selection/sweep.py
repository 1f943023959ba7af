"""Trains once per strength, like `sashiko run`, judges each model at every threshold, chooses."""

import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sashiko.base.files import write_json
from sashiko.base.yaml_models import Frozen, Layer, validate_layers
from sashiko.bias.metrics.number_bias import ALL_METRICS
from sashiko.contract.load import load_contract
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import Estimates
from sashiko.evaluation.gates.quality_checks import own_metrics
from sashiko.evaluation.metrics.arrays import ModelScores
from sashiko.evaluation.metrics.classes import class_rates
from sashiko.evaluation.metrics.quality import (
    LOWER_IS_BETTER,
    confusion,
    counted_quality,
    difference,
    evaluate_scores,
    own_estimates,
)
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.pipeline.project import contract_file
from sashiko.pipeline.runner.run_record import new_run_id
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.recipe_bias import BiasGate
from sashiko.settings.recipe_quality import INJECTION_FLIP_RATE, QualityMetric
from sashiko.steps.comparators import MAJORITY, MAJORITY_THRESHOLD, MEAN, resample_models
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


SweptMetric = QualityMetric | Literal["macro_f1", "rmse"]
_OF_CLASSES: SweptMetric = "macro_f1"  # more than two
_OF_NUMBERS: SweptMetric = "rmse"


class Point(Frozen):
    """One model at one threshold, on the validation split."""

    threshold: float  # of two classes the lowest score that is predicted positive
    by_policy: bool  # whether it is the threshold of the recipe's own policy
    quality: Estimates  # of two classes accuracy, balanced accuracy, F1; of others every metric
    bias: Estimates  # name of each bias gate's check, such as `DI age=old` -> estimate
    failed: tuple[str, ...]
    # The bias gates' checks that passed without a margin to their bounds.
    without_margin: tuple[str, ...]
    # Whether it is on the Pareto front of the sweep's metric and the first bias gate's metric.
    on_front: bool = False

    @property
    def lacking(self) -> tuple[str, ...]:
        """The reasons against the point; empty if it is acceptable."""
        return (*self.failed, *(f"margin of {check}" for check in self.without_margin))


class Curve(Frozen):
    """The model of one strength, at every threshold."""

    strength: float
    run: str
    # Metrics without a threshold: AUC, Brier score, calibration error -> estimate.
    quality: Estimates
    points: tuple[Point, ...]

    @property
    def by_policy(self) -> Point:
        """The point at the threshold of the recipe's own policy."""
        return next(point for point in self.points if point.by_policy)


class Recommendation(Frozen):
    """The recommended point."""

    strength: float
    point: Point
    overrides: tuple[str, ...]  # the recipe's keys that set it, as `--set` takes them
    command: str


class Sweep(Frozen):
    """A whole sweep."""

    id: str
    recipe: Recipe
    metric: SweptMetric  # orders the acceptable points
    rows: int
    # `validation` and `facets` -> digest of the split and of the facet snapshot.
    inputs: dict[str, str]
    curves: tuple[Curve, ...]
    chosen: Recommendation | None

    @property
    def present(self) -> Point:
        """The point of the current recipe."""
        strength = self.recipe.reweighing.strength
        return next(curve for curve in self.curves if curve.strength == strength).by_policy

    @property
    def has_thresholds(self) -> bool:
        """Whether a strength has points at several thresholds, as a label of two classes has."""
        return self.metric not in (_OF_CLASSES, _OF_NUMBERS)

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


def distance(value: float, metric: str) -> float:
    """Returns a metric's distance from its neutral value; for a ratio, of its logarithm."""
    neutral = ALL_METRICS[metric].neutral
    if not neutral:
        return abs(value)
    return abs(math.log(value / neutral)) if value > 0 else math.inf


def _half_way(bound: float, neutral: float) -> float:
    if not math.isfinite(bound):
        return bound
    return neutral * math.sqrt(max(bound, 0.0) / neutral) if neutral else bound / 2


_SortKey = tuple[int, float, float, bool, float, float]


def best(curve: Curve, metric: SweptMetric) -> Point:
    """Returns the best of the points of a curve with the fewest failed checks."""
    return min(curve.points, key=lambda point: _sort_key(curve, point, metric))


def choose(
    curves: Sequence[Curve], recipe: Recipe, *, metric: SweptMetric, command: str
) -> Recommendation | None:
    """Returns the recommended point, or None if no point is acceptable."""
    curve = min(curves, key=lambda curve: _sort_key(curve, best(curve, metric), metric))
    point, overrides = best(curve, metric), []
    if point.lacking:
        return None
    if curve.strength != recipe.reweighing.strength:
        overrides.append(f"reweighing.strength={curve.strength:g}")
    if not point.by_policy:  # else the recipe's own policy gives it
        overrides.append(f"evaluate.threshold={{policy: fixed, value: {point.threshold:g}}}")
    return Recommendation(
        strength=curve.strength,
        point=point,
        overrides=tuple(overrides),
        command=" ".join([command, *(f"--set {shlex.quote(text)}" for text in overrides)]),
    )


def mark_front(curves: Sequence[Curve], *, check: str, metric: SweptMetric) -> tuple[Curve, ...]:
    """Marks the Pareto front of all curves: a quality metric against one bias gate's check."""
    measured = [
        (distance(bias, check.partition(" ")[0]), _loss(value, metric), id(point))
        for curve in curves
        for point in curve.points
        if (bias := point.bias[check].value) is not None
        if (value := point.quality[metric].value) is not None
    ]
    front: set[int] = set()
    highest = float("-inf")
    for _, value, point in sorted(measured, key=lambda item: item[:2]):
        if -value > highest:
            highest = -value
            front.add(point)
    marked = (
        (curve, tuple(p.model_copy(update={"on_front": id(p) in front}) for p in curve.points))
        for curve in curves
    )
    return tuple(curve.model_copy(update={"points": points}) for curve, points in marked)


def _loss(value: float, metric: SweptMetric) -> float:
    """Returns a metric, of which less is better, or its negative."""
    return value if metric in LOWER_IS_BETTER else -value


def _sort_key(curve: Curve, point: Point, metric: SweptMetric) -> _SortKey:
    value = point.quality[metric].value
    return (
        len(point.lacking), float("inf") if value is None else _loss(value, metric), curve.strength,
        not point.by_policy, abs(point.threshold - 0.5), point.threshold,
    )  # fmt: skip


THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(1, 100))
_BY_THRESHOLD = ("accuracy", "balanced_accuracy", "f1")


def curve(validation: Validation, recipe: Recipe, *, strength: float, run: str) -> Curve:
    """Judges a model at every threshold of `THRESHOLDS`, and at that of the recipe's own policy.

    More than two classes, and a number, have one point.
    """
    labels, scored = validation.labels, validation.scored
    own = threshold_of(recipe, validation.contract, labels, scored)
    if not has_threshold(validation.contract):
        point = _whole(validation, recipe, own)
        return Curve(strength=strength, run=run, quality={}, points=(point,))
    free = threshold_free_quality(validation, recipe)
    points = tuple(
        judge(validation, recipe, threshold, threshold_free=free, by_policy=threshold == own)
        for threshold in sorted({*THRESHOLDS, own})
    )
    return Curve(strength=strength, run=run, quality=free[0], points=points)


def threshold_free_quality(validation: Validation, recipe: Recipe) -> tuple[Estimates, Estimates]:
    """Computes AUC, Brier score and calibration error, and their leads over the majority."""
    labels, model = validation.labels, validation.model(MAJORITY_THRESHOLD)
    replicates, seed = recipe.evaluate.bootstrap_replicates, recipe.evaluate.seed
    quality = evaluate_scores(labels, model, replicates=replicates, seed=seed)
    majority = validation.constant()
    leads = difference(labels, model, majority, replicates=replicates, seed=seed)
    return (
        {name: item for name, item in quality.items() if name not in _BY_THRESHOLD},
        {name: item for name, item in leads.items() if name not in _BY_THRESHOLD},
    )


def judge(
    validation: Validation,
    recipe: Recipe,
    threshold: float,
    *,
    threshold_free: tuple[Estimates, Estimates],
    by_policy: bool = False,
) -> Point:
    """Judges a model of two classes at one threshold by the recipe's gates, on validation."""
    labels = validation.labels
    model, replicates = validation.model(threshold), recipe.evaluate.bootstrap_replicates
    quality = counted_quality(
        confusion(labels, model),
        always_positive=bool(validation.train.mean() >= MAJORITY_THRESHOLD),
        replicates=replicates,
        seed=recipe.evaluate.seed,
    )
    own_quality: Estimates = {}
    own_leads: Estimates = {}
    if metrics := own_metrics(recipe.quality):
        own_quality, own_leads = own_estimates(
            metrics, labels, model, validation.constant(), replicates=replicates,
            seed=recipe.evaluate.seed,
        )  # fmt: skip
    every = {**threshold_free[0], **quality.metrics, **own_quality}
    leads = {**threshold_free[1], **quality.leads, **own_leads}
    return _point(
        validation, recipe, model, quality.metrics, every=every, leads=leads, by_policy=by_policy
    )


def _whole(validation: Validation, recipe: Recipe, threshold: float) -> Point:
    """Judges a model of more than two classes, or of a number, which has no other threshold."""
    model, section = validation.model(threshold), recipe.evaluate
    own = own_metrics(recipe.quality)
    both = {"model": model, "constant": validation.constant()}
    models = resample_models(section, validation.truth, both, own)
    every, leads = models["model"].estimates(), models["model"].lead(models["constant"], own)
    quality = {name: figure for name, figure in every.items() if name not in own}
    return _point(validation, recipe, model, quality, every=every, leads=leads, by_policy=True)


def _point(
    validation: Validation,
    recipe: Recipe,
    model: ModelScores,
    quality: Estimates,
    *,
    every: Estimates,
    leads: Estimates,
    by_policy: bool,
) -> Point:
    """Judges every estimate, and leads over the constant baseline, by the recipe's gates.

    The point keeps `quality` of them.

    Leads over the linear baseline and the champion are not judged: a lead under drift is not
    visible before the drift, and a time split puts validation before it.
    """
    constant = MEAN if validation.contract.is_number else MAJORITY
    rates = () if validation.contract.is_number else class_rates(validation.labels, model)
    checks = judge_quality(
        recipe,
        [
            gate
            for gate in recipe.quality.gates
            if gate.better_than in (None, constant) and gate.metric != INJECTION_FLIP_RATE
        ],
        every,
        {constant: leads},
        by_class=dict(zip(validation.contract.classes, rates, strict=False)),
    )
    failed = [check.name for check in checks if not check.passed]
    bias, near_bounds, estimates = {}, [], list(validation.bias_estimates(model, recipe.bias))
    for gate in recipe.bias.prediction_gates:
        for check in judge_bias(recipe, [gate], estimates, contract=validation.contract):
            bias[check.name] = Estimate(check.value, check.low, check.high)
            if not check.passed:
                failed.append(check.name)
            elif not keeps_margin(check.value, gate):
                near_bounds.append(check.name)
    return Point(
        threshold=model.threshold, by_policy=by_policy, quality=quality, bias=bias,
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
    """Sweeps over reweighing strengths and thresholds; nothing is registered or logged.

    Steps that do not depend on the strength, and strengths of earlier runs, come from the cache.
    The test split is neither scored nor read.

    Raises:
        IncompleteRunError: if a run was blocked, failed or interrupted.
        InputError: if the recipe has no bias gate or no facets to reweigh by, or a run is refused.
    """
    _check(recipe, strengths)
    contract = load_contract(contract_file(recipe))
    metric: SweptMetric = _OF_NUMBERS if contract.is_number else _OF_CLASSES
    if has_threshold(contract):
        metric = recipe.evaluate.threshold.metric
    all_strengths = sorted({*strengths, recipe.reweighing.strength})
    values = ",".join(f"{item:g}" for item in all_strengths)
    curves: list[Curve] = []
    for number, strength in enumerate(all_strengths, start=1):
        print(f"strength {strength:g} ({number} of {len(all_strengths)})", file=sys.stderr)
        run = run_recipe(
            settings, with_strength(recipe, strength), until=COMPILE, home=home,
            command=f"{command} --sweep --strengths {values}", from_step=from_step,
        )  # fmt: skip
        validation = read_validation(run, contract, home=home)
        print("judging it by the gates", file=sys.stderr)
        curves.append(curve(validation, recipe, strength=strength, run=run.id))
    [check, *_] = curves[0].by_policy.bias
    marked = mark_front(curves, check=check, metric=metric)
    return Sweep(
        id=new_run_id(home), recipe=recipe, metric=metric, rows=len(validation.labels),
        inputs=validation.inputs, curves=marked,
        chosen=choose(marked, recipe, metric=metric, command=command),
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
