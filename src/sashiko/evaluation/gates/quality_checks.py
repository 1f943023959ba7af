"""The model-quality gates: checks of estimates against a recipe's bounds."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

from sashiko.base.plugins import load
from sashiko.evaluation.gates.verdict import Check, bound
from sashiko.evaluation.metrics.classes import (
    FEWEST_OF_A_CLASS,
    WORST_RECALL,
    ClassRates,
    worst_judged,
)
from sashiko.evaluation.metrics.numbers import COVERAGE
from sashiko.evaluation.metrics.own_metrics import Metric
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.settings.recipe_quality import (
    CLASS_BASELINES,
    INJECTION_FLIP_RATE,
    NUMBER_BASELINES,
    NUMBER_METRICS,
    QUALITY_METRICS,
    SELECTIVE_ACCURACY,
    SELECTIVE_COVERAGE,
    QualityGate,
    QualitySection,
)
from sashiko.settings.recipe_train import ReweighingSection, TrainSection

_LINEAR = (CLASS_BASELINES[1], NUMBER_BASELINES[1])
LINEAR_OPTION = "--set model.family=linear"  # of `sashiko run`


@dataclass(frozen=True, kw_only=True)
class Training:
    """The training of a recipe."""

    train: TrainSection  # the hyperparameters
    reweighing: ReweighingSection  # facets and strength of the weights in training
    train_rows: int | None  # the maximum number of training rows; None for all rows
    linear: bool = False  # whether it is that of a linear model


def own_metrics(section: QualitySection) -> dict[str, Metric]:
    """Imports the project's own metrics of the gates.

    Raises:
        InputError: if one cannot be imported, or is not a metric.
    """
    return {name: load("metrics", name, key="quality.gates") for name in section.own_metrics}


def quality_checks(
    section: QualitySection,
    candidate: Mapping[str, Estimate],
    leads: Mapping[str, Mapping[str, Estimate]],
    recipe: Training,
    *,
    by_class: Mapping[str, ClassRates] = MappingProxyType({}),
    not_comparable: str = "",
) -> list[Check]:
    """Judges the candidate by each gate of the recipe, in the recipe's order.

    `minimum` and `maximum` bound the point estimate; its interval is reported. `better_than`
    requires that the whole interval of the lead, paired by rows, lies above the margin; a margin
    below 0 allows the candidate to be worse by at most that. A class with too few rows is not
    judged: `worst_class_recall` also gives a check for each of them.

    Args:
        section: the recipe's gates.
        candidate: metric -> estimate on the test split.
        leads: name of a baseline, or `champion` -> metric -> estimate of the candidate's lead over
            it; above 0 the candidate is better. Without the key `champion`, a gate that needs it is
            not judged: `no champion yet`.
        recipe: the current training, for the advice.
        by_class: class -> the candidate's rates on the test split; none of a number.
        not_comparable: why there are no leads over the champion that there is; else empty.

    Raises:
        KeyError: if a gate names a baseline that is not in `leads`, other than the champion, or the
            linear one if the model is linear itself.
    """
    checks: list[Check] = []
    for gate in section.gates:
        if gate.of_class is not None:
            checks.append(_of_class(gate, gate.of_class, by_class[gate.of_class], recipe))
        elif gate.better_than:
            checks.append(_lead(gate, gate.better_than, leads, recipe, not_comparable))
        elif gate.metric == WORST_RECALL:
            checks += _worst_recall(gate, candidate[gate.metric], recipe, by_class)
        else:
            checks.append(_bounds(gate, candidate[gate.metric], recipe))
    return checks


def _worst_recall(
    gate: QualityGate, estimate: Estimate, recipe: Training, by_class: Mapping[str, ClassRates]
) -> Iterator[Check]:
    """Judges the lowest recall, and names its class and those with too few rows."""
    worst = worst_judged(tuple(by_class.values()))
    if worst is not None:
        check = _bounds(gate, estimate, recipe)
        name = [*by_class][worst]
        yield check.model_copy(update={"reason": f"that of `{name}`; {check.reason}"})
    for name, rates in by_class.items():
        if not rates.judged:
            yield _too_few(f"recall of {name}", rates)


def _too_few(name: str, rates: ClassRates) -> Check:
    reason = f"{rates.rows} test rows of this class, fewer than {FEWEST_OF_A_CLASS}"
    return Check(name=name, passed=True, reason=reason, judged=False)


def _of_class(gate: QualityGate, label: str, rates: ClassRates, recipe: Training) -> Check:
    """Judges a metric of one class, if it has enough rows."""
    name = f"{gate.metric} of {label}"
    if not rates.judged:
        return _too_few(name, rates)
    check = _bounds(gate, rates.estimate(gate.metric), recipe)
    return check.model_copy(update={"name": name})


def _bounds(gate: QualityGate, estimate: Estimate, recipe: Training) -> Check:
    comparison, threshold = bound(gate.minimum, gate.maximum)
    value = estimate.value
    passed = (
        value is not None
        and (gate.minimum is None or value >= gate.minimum)
        and (gate.maximum is None or value <= gate.maximum)
    )
    undefined = ""
    if value is None:
        why = ", as the test split has one label only" if gate.metric in QUALITY_METRICS else ""
        if gate.of_class is not None:
            why = ", as no row is predicted as this class"
        elif gate.metric == SELECTIVE_ACCURACY:
            why = ", as no row is answered"
        elif gate.metric in NUMBER_METRICS:
            why = ", as its values are all equal"
        undefined = f"undefined on the test split{why}; "
    return Check(
        name=gate.metric,
        **asdict(estimate),
        threshold=threshold,
        comparison=comparison,
        passed=passed,
        reason=undefined + gate.reason,
        try_="" if passed else _advice(gate.metric, recipe),
    )


def _lead(
    gate: QualityGate,
    other: str,
    leads: Mapping[str, Mapping[str, Estimate]],
    recipe: Training,
    not_comparable: str,
) -> Check:
    if other == "champion" and other not in leads:
        name = "no champion yet"
        reason = "no model of this group has been approved, so there is none to be better than"
        if not_comparable:
            name, reason = "champion not comparable", not_comparable
        return Check(name=name, passed=True, reason=reason, judged=False)
    if other in _LINEAR and recipe.linear:
        reason = "the model is the linear one, so it is not compared with itself"
        return Check(name="no other linear model", passed=True, reason=reason, judged=False)
    lead, name = leads[other][gate.metric], f"{gate.metric} lead over {other}"
    if gate.metric == WORST_RECALL and lead.value is None:
        reason = f"no class has {FEWEST_OF_A_CLASS} test rows"
        return Check(name=name, passed=True, reason=reason, judged=False)
    passed = lead.low is not None and lead.low > gate.margin
    place = "lies above" if passed else "does not lie above"
    reason = f"the lower end of the paired difference's interval {place} the margin"
    if lead.low is None:
        reason = "the lead has no interval, as too many resamples leave the metric undefined"
    advice = _advice(gate.metric, recipe)
    if other in _LINEAR:
        advice += (
            "; if the gate still fails, these rows do not need a language model: train the linear "
            f"one by `{LINEAR_OPTION}`"
        )
    return Check(
        name=name,
        **asdict(lead),
        threshold=gate.margin,
        comparison=">",
        passed=passed,
        reason=f"{reason}; {gate.reason}",
        try_="" if passed else advice,
    )


def _advice(metric: str, recipe: Training) -> str:
    """Returns advice for a quality metric outside its bound."""
    train, advice = recipe.train, list[str]()
    if metric == INJECTION_FLIP_RATE:
        return (
            "look at the kinds of injection that turn decisions (`injection.by_kind` in "
            "metrics.json), train on rows with such texts, or set a bound that the use allows"
        )
    if metric in (SELECTIVE_COVERAGE, SELECTIVE_ACCURACY):
        fewer = metric == SELECTIVE_ACCURACY
        change, cost = ("raise", SELECTIVE_COVERAGE) if fewer else ("lower", SELECTIVE_ACCURACY)
        advice = [f"{change} what `evaluate.abstain` asks for, at the cost of {cost}"]
    if metric == COVERAGE:
        return (
            "look for what changed between the validation rows, to which the interval's width is "
            "fitted, and the test rows (the means under Metrics), or load more validation rows"
        )
    if metric in ("expected_calibration_error", "classwise_calibration_error"):
        if train.calibration == "none":
            advice.append("scale the scores (`train.calibration: temperature`)")
        if train.epochs > 1 and not recipe.linear:
            advice.append(f"train for fewer epochs (`train.epochs`, now {train.epochs})")
        advice.append("train on more rows: overconfident scores come from overfitting")
        return ", or ".join(advice)
    if recipe.train_rows is None:
        advice.append("more rows in the data (all are trained on)")
    else:
        advice.append(f"more training rows (`data.train_rows`, now {recipe.train_rows:,})")
    if not recipe.linear:
        advice.append(f"more epochs (`train.epochs`, now {train.epochs})")
    if train.frozen_layers and not recipe.linear:
        advice.append(f"fewer frozen layers (`train.frozen_layers`, now {train.frozen_layers})")
    if recipe.reweighing.strength:
        advice.append(f"a lower `reweighing.strength` (now {recipe.reweighing.strength:g})")
    return ", ".join(advice) + ", or a bound that the use allows"
