"""The bias gate: checks of estimates against a recipe's bounds."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sashiko.bias.gates.estimates import BiasEstimate, Subgroup, gate_applies
from sashiko.bias.metrics.clarify_metrics import METRICS
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check
from sashiko.settings.recipe_bias import BiasGate, BiasSection
from sashiko.settings.recipe_quality import ThresholdSection
from sashiko.settings.recipe_train import ReweighingSection

_STRONGEST = 4.0  # the maximum of `reweighing.strength`


@dataclass(frozen=True, kw_only=True)
class Mitigation:
    """The bias mitigation of a recipe."""

    reweighing: ReweighingSection  # facets and strength of the weights in training
    threshold: ThresholdSection  # the choice of the decision threshold


def bias_advice(metric: str, subgroup: Subgroup, recipe: Mitigation, *, below: bool) -> str:
    """Returns advice for a bias metric outside its bounds.

    `below`: the metric is below the minimum, else above the maximum.
    """
    more_rows = f"load more rows of {subgroup.subgroup}"
    worse = METRICS[metric].worse
    if worse == "either":
        return f"choose another decision threshold ({_threshold_text(recipe)}); {more_rows}"
    if worse == ("below" if below else "above"):
        lower = f"lower the decision threshold, the same for everybody ({_threshold_text(recipe)})"
        return "; ".join([*_more_reweighing(subgroup, recipe.reweighing), lower, more_rows])
    return "; ".join([*_less_reweighing(subgroup, recipe.reweighing), more_rows])


def _more_reweighing(subgroup: Subgroup, current: ReweighingSection) -> Iterator[str]:
    """Yields advice to strengthen the weights; none at the maximum strength."""
    facets = [f"`{facet}`" for facet in subgroup.facets if facet not in current.facets]
    if facets:
        added = f"put {' and '.join(facets)} in `reweighing.facets`"
        yield (
            added
            if current.strength
            else f"{added} and set `reweighing.strength`, which is 0, to 1"
        )
    elif current.strength == 0:
        yield "set `reweighing.strength`, which is 0, to 1 or more"
    elif current.strength < _STRONGEST:
        yield f"raise `reweighing.strength`, now {current.strength:g}, towards {_STRONGEST:g}"


def _less_reweighing(subgroup: Subgroup, current: ReweighingSection) -> Iterator[str]:
    """Yields advice against favouring the group."""
    if current.strength and set(subgroup.facets) & set(current.facets):
        yield f"lower `reweighing.strength`, now {current.strength:g}, which overcorrects"
        return
    # Reweighing makes label and group independent, whichever group the labels favour.
    facets = " and ".join(f"`{facet}`" for facet in subgroup.facets)
    yield (
        f"this group is favoured, and not by weights, as the recipe does not reweigh by {facets}: "
        "check that the contract names the disadvantaged group"
    )
    yield from _more_reweighing(subgroup, current)


def _threshold_text(recipe: Mitigation) -> str:
    current = recipe.threshold
    if current.policy == "fixed":
        return f"`evaluate.threshold.value`, now {current.value:g}"
    return f"`evaluate.threshold: {{policy: fixed, value: ...}}`; now it maximizes {current.metric}"


def bias_checks(
    section: BiasSection, estimates: Sequence[BiasEstimate], recipe: Mitigation
) -> list[Check]:
    """Judges the predictions by each gate of the recipe, on the value or on the whole interval.

    A group with too few rows, an undefined metric, or a missing interval that a gate requires fails
    the check, since the model was not shown to be fair.

    Returns:
        One check per gate and disadvantaged group of its facet or intersection, in the recipe's
        order.

    Raises:
        InputError: if a gate's metric was not computed for its facet.
    """
    checks = []
    for gate in section.gates:
        judged = [
            estimate
            for estimate in estimates
            if estimate.stage == "post_training" and gate_applies(gate, estimate.metric, estimate)
        ]
        if not judged:
            raise InputError(
                f"recipe key bias.gates: {gate.metric} of facet `{' & '.join(gate.facets)}` is not "
                "in PostBias's analysis.json; check the analysis configuration"
            )
        checks += [
            _check(gate, estimate, section.minimum_group_size, recipe) for estimate in judged
        ]
    return checks


def small_groups_reason(estimate: BiasEstimate, minimum_group_size: int) -> str:
    """Returns which groups have too few rows to judge the estimate; empty if none."""
    sizes = {estimate.subgroup: estimate.n_disadvantaged, "all others": estimate.n_advantaged}
    groups = [f"{rows} rows of {name}" for name, rows in sizes.items() if rows < minimum_group_size]
    if not groups:
        return ""
    return f"too few to judge: {' and '.join(groups)}, at least {minimum_group_size} are needed"


def _check(
    gate: BiasGate, estimate: BiasEstimate, minimum_group_size: int, recipe: Mitigation
) -> Check:
    unjudgeable, advice = _unjudgeable(gate, estimate, minimum_group_size)
    below, above = _violations(gate, estimate)
    passed = not (unjudgeable or below or above)
    if not advice and not passed:
        advice = _advice(gate, estimate, recipe, below=below)
    return Check(
        name=f"{estimate.metric} {estimate.subgroup}",
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        threshold=_threshold(gate),
        comparison=_comparison(gate),
        passed=passed,
        reason=(f"{unjudgeable}; " if unjudgeable else "")
        + gate.reason
        + _interval_note(gate, estimate),
        try_=advice,
    )


def _interval_note(gate: BiasGate, estimate: BiasEstimate) -> str:
    """Returns whether the interval decides, and its number of simultaneous looks."""
    note = ", judged by the whole interval" if gate.judged_by == "bound" else ""
    if estimate.looks > 1 and estimate.low is not None:
        note += f"; the interval holds over {estimate.looks} looks at once"
    return note


def _unjudgeable(
    gate: BiasGate, estimate: BiasEstimate, minimum_group_size: int
) -> tuple[str, str]:
    """Returns why a gate cannot judge an estimate and what to try; empty if it can."""
    more_rows = f"load more rows of {estimate.subgroup}"
    if reason := small_groups_reason(estimate, minimum_group_size):
        return reason, f"{more_rows}, or join it with other groups in the contract's `facets`"
    if estimate.value is None:
        return (
            f"undefined: {estimate.error}",
            f"{more_rows}, or check that the model predicts both outcomes",
        )
    if gate.judged_by == "bound" and estimate.low is None:
        return "no interval: a group has too few rows of a kind that the metric counts", more_rows
    return "", ""


def _violations(gate: BiasGate, estimate: BiasEstimate) -> tuple[bool, bool]:
    """Returns whether the value or interval is below the minimum, and whether above the maximum."""
    by_bound = gate.judged_by == "bound"
    low, high = (estimate.low, estimate.high) if by_bound else (estimate.value, estimate.value)
    minimum = -math.inf if gate.minimum is None else gate.minimum
    maximum = math.inf if gate.maximum is None else gate.maximum
    return low is not None and low < minimum, high is not None and high > maximum


def _threshold(gate: BiasGate) -> float | tuple[float, float] | None:
    if gate.minimum is not None and gate.maximum is not None:
        return (gate.minimum, gate.maximum)
    return gate.maximum if gate.minimum is None else gate.minimum


def _comparison(gate: BiasGate) -> str:
    if gate.minimum is not None and gate.maximum is not None:
        return "in_range"
    return "<=" if gate.minimum is None else ">="


def _advice(gate: BiasGate, estimate: BiasEstimate, recipe: Mitigation, *, below: bool) -> str:
    """Returns advice for the side on which the metric is outside its bounds."""
    if not any(_violations(gate.model_copy(update={"judged_by": "value"}), estimate)):
        more_rows = f"load more rows of {estimate.subgroup}"
        return f"{more_rows}: the value lies inside, its interval is too wide"
    return bias_advice(gate.metric, estimate, recipe, below=below)
