"""The bias gate: checks of estimates against a recipe's bounds."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sashiko.bias.gates.estimates import (
    BiasEstimate,
    Subgroup,
    count_bound_comparisons,
    gate_applies,
)
from sashiko.bias.gates.label_change import ChampionLabels, label_change
from sashiko.bias.metrics.number_bias import ABSTENTION_RATE, ALL_METRICS, NUMBER_METRICS
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check, bound
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.settings.recipe_bias import BiasGate, BiasSection
from sashiko.settings.recipe_quality import ThresholdSection
from sashiko.settings.recipe_train import ReweighingSection

_STRONGEST = 4.0  # the maximum of `reweighing.strength`


@dataclass(frozen=True, kw_only=True)
class Mitigation:
    """The bias mitigation of a recipe."""

    reweighing: ReweighingSection  # facets and strength of the weights in training
    threshold: ThresholdSection | None  # its choice; None for more than two classes


def bias_advice(metric: str, subgroup: Subgroup, recipe: Mitigation, *, below: bool) -> str:
    """Returns advice for a bias metric outside its bounds, limited to what the recipe lacks.

    `below`: the metric is below the minimum, else above the maximum.
    """
    more_rows = f"load more rows of {subgroup.subgroup}"
    worse, current = ALL_METRICS[metric].worse, recipe.threshold
    another, lower = [], []
    if current:
        by_policy = "`evaluate.threshold: {policy: fixed, value: ...}`; the current one maximizes"
        threshold = f"{by_policy} {current.metric}"
        if current.policy == "fixed":
            threshold = f"`evaluate.threshold.value`, now {current.value:g}"
        another = [f"choose another decision threshold ({threshold})"]
        lower = [f"lower the decision threshold, the same for everybody ({threshold})"]
    if metric == ABSTENTION_RATE:
        return f"lower what `evaluate.abstain` asks for; {more_rows}"
    if metric in NUMBER_METRICS and not NUMBER_METRICS[metric].compares:
        return f"{more_rows}, and see which of them are predicted badly in the report's slices"
    if worse == "either":
        return "; ".join([*another, more_rows])
    if worse == ("below" if below else "above"):
        return "; ".join([*_more_reweighing(subgroup, recipe.reweighing), *lower, more_rows])
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
    section: BiasSection,
    estimates: Sequence[BiasEstimate],
    recipe: Mitigation,
    *,
    champion: ChampionLabels | str = "there is no version to compare with",
) -> list[Check]:
    """Judges predictions and labels by each gate of the recipe, on the value or whole interval.

    A group with too few rows, an undefined metric, or a missing interval that a gate requires fails
    the check, since the model was not shown to be fair. A change since a champion that has nothing
    to compare with is not judged.

    Args:
        section: the recipe's gates.
        estimates: the metrics of the predictions and of the labels.
        recipe: the current mitigation, for the advice.
        champion: the label metrics of the champion's snapshot, or why there are none.

    Returns:
        One check per gate and disadvantaged group of its facet or intersection, in the recipe's
        order.

    Raises:
        InputError: if a gate's metric was not computed for its facet.
    """
    checks = []
    subgroups = {item.subgroup: item for item in estimates}.values()
    looks = max(1, count_bound_comparisons(section, subgroups))
    for gate in section.gates:
        judged = [
            estimate
            for estimate in estimates
            if estimate.stage == ALL_METRICS[gate.metric].stage
            and gate_applies(gate, estimate.metric, estimate)
        ]
        if not judged:
            raise InputError(
                f"recipe key bias.gates: {gate.metric} of facet `{' & '.join(gate.facets)}` is not "
                f"in {'PreBias' if gate.of_labels else 'PostBias'}'s analysis.json; check the "
                "analysis configuration"
            )
        minimum = section.minimum_group_size
        if gate.change_since:
            checks += [
                _change_check(gate, item, minimum, recipe, champion=champion, looks=looks)
                for item in judged
            ]
        else:
            checks += [_check(gate, item, minimum, recipe) for item in judged]
    return checks


def _change_check(
    gate: BiasGate,
    estimate: BiasEstimate,
    minimum: int,
    recipe: Mitigation,
    *,
    champion: ChampionLabels | str,
    looks: int,
) -> Check:
    """Judges the change of a label metric since the champion's snapshot, if they compare."""
    name = f"{estimate.metric} change since champion {estimate.subgroup}"
    before = champion if isinstance(champion, str) else _before(gate, estimate, champion, minimum)
    if isinstance(before, str) or isinstance(champion, str):
        return Check(name=name, passed=True, judged=False, reason=f"{before}; {gate.reason}")
    change = label_change(estimate, before, looks=looks if gate.judged_by == "bound" else 1)
    since = f"version {champion.version}"
    check = _check(gate, change, minimum, recipe, since=since)
    values = f"{_number(estimate)} in these labels, {_number(before)} in those of {since}"
    return check.model_copy(update={"name": name, "reason": f"{values}; {check.reason}"})


def _before(
    gate: BiasGate, estimate: BiasEstimate, champion: ChampionLabels, minimum: int
) -> BiasEstimate | str:
    """Returns the champion's estimate of the same group, or why it does not compare."""
    before = champion.estimate(estimate.metric, estimate)
    if before is None:
        problem = f"it has no {estimate.metric} of the group {estimate.subgroup}"
    elif few := small_groups_reason(before, minimum):
        problem = few
    elif before.value is None:
        problem = f"undefined there: {before.error}"
    elif gate.judged_by == "bound" and before.low is None:
        problem = "it has no interval"
    else:
        return before
    return f"not comparable with version {champion.version}: {problem}"


def _number(estimate: BiasEstimate) -> str:
    return Estimate(estimate.value, estimate.low, estimate.high).text


def small_groups_reason(estimate: BiasEstimate, minimum_group_size: int) -> str:
    """Returns which groups have too few rows to judge the estimate; empty if none."""
    sizes = {estimate.subgroup: estimate.n_disadvantaged, "all others": estimate.n_advantaged}
    groups = [f"{rows} rows of {name}" for name, rows in sizes.items() if rows < minimum_group_size]
    if not groups:
        return ""
    return f"too few to judge: {' and '.join(groups)}, at least {minimum_group_size} are needed"


def _check(
    gate: BiasGate,
    estimate: BiasEstimate,
    minimum_group_size: int,
    recipe: Mitigation,
    *,
    since: str = "",
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
        outcomes = "labels have both values" if gate.of_labels else "model predicts both outcomes"
        advice = f"{more_rows}, or check that the {outcomes}"
    elif by_bound and estimate.low is None:
        unjudgeable = "no interval: a group has too few rows of a kind that the metric counts"
        advice = more_rows
    elif (below or above) and minimum <= value <= maximum:
        advice = f"{more_rows}: the value lies inside the bounds, but its interval is too wide"
    elif gate.metric == "CI" and (below or above):
        advice = more_rows if above else "load more rows of all others"
    elif gate.of_labels and (below or above):
        added = f" that were added or changed since {since}" if since else ""
        advice = (
            f"read labels of {estimate.subgroup}{added}, and correct them at their source: "
            "reweighing changes no label. If the difference is real, waive this check"
        )
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
