"""Judges one model at many thresholds on the validation split, by the recipe's own gates.

Leads over the linear baseline and the champion are not judged: a lead under drift is not visible
before the drift, and a time split puts validation before it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sashiko.bias.gates.advice import Mitigation
from sashiko.bias.gates.bias import bias_checks
from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.bias.gates.intersections import gate_applies
from sashiko.bias.metrics.bias import METRICS, MetricValue, measure
from sashiko.bias.metrics.bias_table import Stage
from sashiko.bias.steps.bias_estimates import StageAnalysis, looks_of, subgroup_estimates
from sashiko.evaluation.gates.quality import Training, own_metrics, quality_checks
from sashiko.evaluation.metrics.arrays import Bools
from sashiko.evaluation.metrics.counted_quality import counted_quality
from sashiko.evaluation.metrics.quality import confusion, difference, evaluate_scores, own_estimates
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.evaluation.record import Estimates
from sashiko.settings.quality import INJECTION_FLIP_RATE, QualitySection
from sashiko.settings.recipe import Recipe
from sashiko.steps.baselines import MAJORITY, MAJORITY_THRESHOLD, majority_scores
from sashiko.steps.comparators import decide_threshold
from sashiko_packs.selection.sweep.choice import keeps_margin
from sashiko_packs.selection.sweep.record import Curve, Point
from sashiko_packs.selection.sweep.validation import Validation

THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(1, 100))
_BY_THRESHOLD = ("accuracy", "balanced_accuracy", "f1")


@dataclass(frozen=True)
class ThresholdFree:
    """Estimates without a threshold: of the model, and of its lead over the majority."""

    quality: Estimates
    leads: Estimates


def curve(validation: Validation, recipe: Recipe, *, strength: float, run: str) -> Curve:
    """Judges a model at every threshold of `THRESHOLDS`, and at that of the recipe's own policy."""
    threshold_free = threshold_free_quality(validation, recipe)
    policy_threshold = decide_threshold(
        recipe.evaluate.threshold, validation.labels, validation.scores
    ).threshold
    points = [
        judge(validation, recipe, policy_threshold, threshold_free=threshold_free, by_policy=True)
    ]
    points += [
        judge(validation, recipe, threshold, threshold_free=threshold_free)
        for threshold in THRESHOLDS
        if threshold != policy_threshold
    ]
    points.sort(key=lambda point: point.threshold)
    return Curve(strength=strength, run=run, quality=threshold_free.quality, points=tuple(points))


def threshold_free_quality(validation: Validation, recipe: Recipe) -> ThresholdFree:
    """Computes AUC, Brier score and calibration error, and their leads over the majority."""
    labels, scores = validation.labels, validation.scores
    replicates, seed = recipe.evaluate.bootstrap_replicates, recipe.evaluate.seed
    quality = evaluate_scores(
        labels, scores, threshold=MAJORITY_THRESHOLD, replicates=replicates, seed=seed
    )
    leads = difference(
        labels, scores, majority_scores(validation.train_labels, rows=len(labels)),
        threshold=MAJORITY_THRESHOLD, other_threshold=MAJORITY_THRESHOLD, replicates=replicates,
        seed=seed,
    )  # fmt: skip
    return ThresholdFree(
        quality={name: item for name, item in quality.items() if name not in _BY_THRESHOLD},
        leads={name: item for name, item in leads.items() if name not in _BY_THRESHOLD},
    )


def judge(
    validation: Validation,
    recipe: Recipe,
    threshold: float,
    *,
    threshold_free: ThresholdFree,
    by_policy: bool = False,
) -> Point:
    """Judges a model at one threshold by the recipe's gates."""
    predicted = validation.scores >= threshold
    quality = counted_quality(
        confusion(validation.labels, validation.scores, threshold=threshold),
        always_positive=bool(validation.train_labels.mean() >= MAJORITY_THRESHOLD),
        replicates=recipe.evaluate.bootstrap_replicates,
        seed=recipe.evaluate.seed,
    )
    own_quality, own_leads = _own_estimates(validation, recipe, threshold)
    gates = tuple(
        gate
        for gate in recipe.quality.gates
        if gate.better_than in (None, MAJORITY) and gate.metric != INJECTION_FLIP_RATE
    )
    checks = quality_checks(
        QualitySection.model_construct(gates=gates),
        {**threshold_free.quality, **quality.metrics, **own_quality},
        {MAJORITY: {**threshold_free.leads, **quality.leads, **own_leads}},
        Training(
            train=recipe.train, reweighing=recipe.reweighing, train_rows=recipe.data.train_rows
        ),
    )
    failed = [check.name for check in checks if not check.passed]
    mitigation = Mitigation(reweighing=recipe.reweighing, threshold=recipe.evaluate.threshold)
    bias, near_bounds, estimates = {}, [], list(_bias(validation, recipe, predicted))
    for gate in recipe.bias.gates:
        section = recipe.bias.model_copy(update={"gates": (gate,)})
        for check in bias_checks(section, estimates, mitigation):
            bias[check.name] = Estimate(check.value, check.low, check.high)
            if not check.passed:
                failed.append(check.name)
            elif not keeps_margin(check.value, gate):
                near_bounds.append(check.name)
    return Point(
        threshold=threshold,
        by_policy=by_policy,
        quality=dict(quality.metrics),
        bias=bias,
        failed=tuple(failed),
        without_margin=tuple(near_bounds),
    )


def _own_estimates(
    validation: Validation, recipe: Recipe, threshold: float
) -> tuple[Estimates, Estimates]:
    """Estimates the project's own metrics, and the leads in them over the majority."""
    metrics = own_metrics(recipe.quality)
    if not metrics:
        return {}, {}
    labels = validation.labels
    return own_estimates(
        metrics, labels, validation.scores,
        majority_scores(validation.train_labels, rows=len(labels)),
        threshold=threshold, other_threshold=MAJORITY_THRESHOLD,
        replicates=recipe.evaluate.bootstrap_replicates, seed=recipe.evaluate.seed,
    )  # fmt: skip


def _bias(validation: Validation, recipe: Recipe, predicted: Bools) -> Iterator[BiasEstimate]:
    """Yields the gated metrics of each gated group, as JudgeBias computes them."""
    groups = validation.analysed(predicted, recipe.bias)
    stages: dict[Stage, StageAnalysis] = {"post_training": groups}
    looks = looks_of(recipe.bias, stages)
    for metric in dict.fromkeys(gate.metric for gate in recipe.bias.gates):
        for subgroup, stratified in groups.subgroups():
            if any(gate_applies(gate, metric, subgroup) for gate in recipe.bias.gates):
                # One stratum has the same distribution and is many times faster to resample.
                conditional = METRICS[metric].conditional
                cells = stratified if conditional else stratified.collapse_strata()
                measures: dict[str, MetricValue] = {metric: measure(metric, cells)}
                yield from subgroup_estimates(
                    "post_training", subgroup, measures, counts=cells, looks=looks
                )
