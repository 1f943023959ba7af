"""The bias gate: checks of estimates against a recipe's bounds."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sashiko.bias.gates.estimates import BiasEstimate, Subgroup, gate_applies
from sashiko.bias.metrics.bias_table import METRICS
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check, bound
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
    """Returns advice for a bias metric outside its bounds, limited to what the recipe lacks.

    `below`: the metric is below the minimum, else above the maximum.
    """
    more_rows = f"load more rows of {subgroup.subgroup}"
    worse, current = METRICS[metric].worse, recipe.threshold
    by_policy = "`evaluate.threshold: {policy: fixed, value: ...}`; the current one maximizes"
    threshold = f"{by_policy} {current.metric}"
    if current.policy == "fixed":
        threshold = f"`evaluate.threshold.value`, now {current.value:g}"
    if worse == "either":
        return f"choose another decision threshold ({threshold}); {more_rows}"
    if worse == ("below" if below else "above"):
        lower = f"lower the decision threshold, the same for everybody ({threshold})"
        return "; ".join([*_more_reweighing(subgroup, recipe.reweighing), lower, more_rows])
    reweighing = recipe.reweighing
    if reweighing.strength and set(subgroup.facets) & set(reweighing.facets):
        strength = f"`reweighing.strength`, now {reweighing.strength:g}"
        return f"lower {strength}, which overcorrects; {more_rows}"
    # Reweighing makes label and group independent, whichever group the labels favour.
    facets = " and ".join(f"`{facet}`" for facet in subgroup.facets)
    favoured = (
        f"this group is favoured, but the recipe does not reweigh by {facets}: check that the "
        "contract names the disadvantaged group"
    )
    return "; ".join([favoured, *_more_reweighing(subgroup, reweighing), more_rows])


def _more_reweighing(subgroup: Subgroup, current: ReweighingSection) -> Iterator[str]:
    """Yields advice to strengthen the weights; none at the maximum strength."""
    unset = "set `reweighing.strength`, which is 0, to 1"
    facets = [f"`{facet}`" for facet in subgroup.facets if facet not in current.facets]
    if facets:
        added = f"put {' and '.join(facets)} in `reweighing.facets`"
        yield added if current.strength else f"{added} and {unset}"
    elif current.strength == 0:
        yield f"{unset} or more"
    elif current.strength < _STRONGEST:
        yield f"raise `reweighing.strength`, now {current.strength:g}, towards {_STRONGEST:g}"


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
        checks += [_check(gate, item, section.minimum_group_size, recipe) for item in judged]
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
    by_bound, value = gate.judged_by == "bound", estimate.value
    low, high = (estimate.low, estimate.high) if by_bound else (value, value)
    minimum = -math.inf if gate.minimum is None else gate.minimum
    maximum = math.inf if gate.maximum is None else gate.maximum
    below, above = low is not None and low < minimum, high is not None and high > maximum
    more_rows = f"load more rows of {estimate.subgroup}"
    unjudgeable, advice = small_groups_reason(estimate, minimum_group_size), ""
    if unjudgeable:
        advice = f"{more_rows}, or join it with other groups in the contract's `facets`"
    elif value is None:
        unjudgeable = f"undefined: {estimate.error}"
        advice = f"{more_rows}, or check that the model predicts both outcomes"
    elif by_bound and estimate.low is None:
        unjudgeable = "no interval: a group has too few rows of a kind that the metric counts"
        advice = more_rows
    elif (below or above) and minimum <= value <= maximum:
        advice = f"{more_rows}: the value lies inside the bounds, but its interval is too wide"
    elif below or above:
        advice = bias_advice(gate.metric, estimate, recipe, below=below)
    note = ", judged by the whole interval" if by_bound else ""
    if estimate.looks > 1 and estimate.low is not None:
        note += f"; the interval holds over {estimate.looks} looks at once"
    comparison, threshold = bound(gate.minimum, gate.maximum)
    return Check(
        name=f"{estimate.metric} {estimate.subgroup}",
        value=value,
        low=estimate.low,
        high=estimate.high,
        threshold=threshold,
        comparison=comparison,
        passed=not (unjudgeable or below or above),
        reason=(f"{unjudgeable}; " if unjudgeable else "") + gate.reason + note,
        try_=advice,
    )
