"""The model-quality gates: checks of estimates against a recipe's bounds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sashiko.base.plugins import load
from sashiko.evaluation.gates.verdict import Check
from sashiko.evaluation.metrics.own_metrics import Metric
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.settings.recipe_quality import (
    INJECTION_FLIP_RATE,
    QUALITY_METRICS,
    QualityGate,
    QualitySection,
)
from sashiko.settings.recipe_train import ReweighingSection, TrainSection


@dataclass(frozen=True, kw_only=True)
class Training:
    """The training of a recipe."""

    train: TrainSection  # the hyperparameters
    reweighing: ReweighingSection  # facets and strength of the weights in training
    train_rows: int | None  # the maximum number of training rows; None for all rows


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
) -> list[Check]:
    """Judges the candidate by each gate of the recipe.

    `minimum` and `maximum` bound the point estimate; its interval is reported. `better_than`
    requires that the whole interval of the lead, paired by rows, lies above the margin; a margin
    below 0 allows the candidate to be worse by at most that.

    Args:
        section: the recipe's gates.
        candidate: metric -> estimate on the test split.
        leads: name of a baseline (`majority`, `tfidf_logistic_regression`, `champion`) -> metric ->
            estimate of the candidate's lead over it; above 0 the candidate is better
            (`metrics.quality.difference`). Without the key `champion`, a gate that needs it is not
            judged: `no champion yet`.
        recipe: the current training, for the advice.

    Returns:
        One check per gate, in the recipe's order.

    Raises:
        KeyError: if a gate names a baseline, other than the champion, that is not in `leads`.
    """
    return [
        _lead(gate, gate.better_than, leads, recipe)
        if gate.better_than
        else _bounds(gate, candidate[gate.metric], recipe)
        for gate in section.gates
    ]


def _bounds(gate: QualityGate, estimate: Estimate, recipe: Training) -> Check:
    minimum, maximum = gate.minimum, gate.maximum
    threshold: float | tuple[float, float] | None
    if minimum is not None and maximum is not None:
        comparison, threshold = "in_range", (minimum, maximum)
    elif minimum is not None:
        comparison, threshold = ">=", minimum
    else:
        comparison, threshold = "<=", maximum
    value = estimate.value
    passed = (
        value is not None
        and (minimum is None or value >= minimum)
        and (maximum is None or value <= maximum)
    )
    undefined = ""
    if value is None:
        why = ", as the test split has one label only" if gate.metric in QUALITY_METRICS else ""
        undefined = f"undefined on the test split{why}; "
    return Check(
        name=gate.metric,
        value=value,
        low=estimate.low,
        high=estimate.high,
        threshold=threshold,
        comparison=comparison,
        passed=passed,
        reason=undefined + gate.reason,
        try_="" if passed else _advice(gate.metric, recipe),
    )


def _lead(
    gate: QualityGate, other: str, leads: Mapping[str, Mapping[str, Estimate]], recipe: Training
) -> Check:
    if other == "champion" and other not in leads:
        return Check(
            name="no champion yet",
            passed=True,
            reason="no model of this group has been approved, so there is none to be better than",
            judged=False,
        )
    lead = leads[other][gate.metric]
    passed = lead.low is not None and lead.low > gate.margin
    return Check(
        name=f"{gate.metric} lead over {other}",
        value=lead.value,
        low=lead.low,
        high=lead.high,
        threshold=gate.margin,
        comparison=">",
        passed=passed,
        reason=f"{_lead_reason(lead, gate.margin)}; {gate.reason}",
        try_="" if passed else _lead_advice(gate.metric, other, recipe),
    )


def _lead_reason(lead: Estimate, margin: float) -> str:
    if lead.low is None:
        return "the lead has no interval, as too many resamples leave the metric undefined"
    place = "lies above" if lead.low > margin else "does not lie above"
    return f"the lower end of the paired difference's interval {place} the margin"


def _lead_advice(metric: str, other: str, recipe: Training) -> str:
    advice = _advice(metric, recipe)
    if other == "tfidf_logistic_regression":
        return f"{advice}; if it stays closed, these rows do not need a language model"
    return advice


def _advice(metric: str, recipe: Training) -> str:
    """Returns advice for a quality metric outside its bound."""
    if metric == INJECTION_FLIP_RATE:
        return (
            "look at the kinds of injection that turn decisions (`injection.by_kind` in "
            "metrics.json), train on rows with such texts, or set a bound that the use allows"
        )
    if metric == "expected_calibration_error":
        return ", or ".join(_calibration(recipe))
    return ", ".join(_training(recipe)) + ", or a bound that the use allows"


def _training(recipe: Training) -> Iterator[str]:
    train = recipe.train
    if recipe.train_rows is None:
        yield "more rows in the data (all are trained on)"
    else:
        yield f"more training rows (`data.train_rows`, now {recipe.train_rows:,})"
    yield f"more epochs (`train.epochs`, now {train.epochs})"
    if train.frozen_layers:
        yield f"fewer frozen layers (`train.frozen_layers`, now {train.frozen_layers})"
    if recipe.reweighing.strength:
        yield f"a lower `reweighing.strength` (now {recipe.reweighing.strength:g})"


def _calibration(recipe: Training) -> Iterator[str]:
    if recipe.train.calibration == "none":
        yield "scale the scores (`train.calibration: temperature`)"
    if recipe.train.epochs > 1:
        yield f"train for fewer epochs (`train.epochs`, now {recipe.train.epochs})"
    yield "train on more rows: overconfident scores come from overfitting"
