"""The bias gate: estimates and a recipe's bounds become checks."""

import math
from collections.abc import Sequence

from sashiko.errors import InputError
from sashiko.gates.estimates import BiasEstimate
from sashiko.gates.verdict import Check
from sashiko.recipe import BiasGate, BiasSection


def bias_checks(section: BiasSection, estimates: Sequence[BiasEstimate]) -> list[Check]:
    """Judges the predictions by each gate of the recipe, on the point estimate.

    An undefined metric fails its gate: nobody showed that the model is fair.

    Args:
        section: the recipe's gates.
        estimates: every metric of every facet's groups.

    Returns:
        One check per gate and group of its facet, in the recipe's order.

    Raises:
        InputError: if a gate's metric was not computed for its facet.
    """
    checks = []
    for gate in section.gates:
        judged = [
            estimate
            for estimate in estimates
            if estimate.stage == "post_training"
            and (estimate.metric, estimate.facet) == (gate.metric, gate.facet)
        ]
        if not judged:
            raise InputError(
                f"recipe key bias.gates: {gate.metric} of facet `{gate.facet}` is not in "
                "PostBias's analysis.json; check the analysis configuration"
            )
        checks += [_check(gate, estimate) for estimate in judged]
    return checks


def _check(gate: BiasGate, estimate: BiasEstimate) -> Check:
    minimum = -math.inf if gate.minimum is None else gate.minimum
    maximum = math.inf if gate.maximum is None else gate.maximum
    passed = estimate.value is not None and minimum <= estimate.value <= maximum
    undefined = f"undefined: {estimate.error}; " if estimate.value is None else ""
    return Check(
        name=f"{estimate.metric} {estimate.facet}={estimate.group}",
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        threshold=_threshold(gate),
        comparison=_comparison(gate),
        passed=passed,
        reason=undefined + gate.reason,
        try_="" if passed else _advice(gate, estimate),
    )


def _threshold(gate: BiasGate) -> float | tuple[float, float] | None:
    if gate.minimum is not None and gate.maximum is not None:
        return (gate.minimum, gate.maximum)
    return gate.maximum if gate.minimum is None else gate.minimum


def _comparison(gate: BiasGate) -> str:
    if gate.minimum is not None and gate.maximum is not None:
        return "in_range"
    return "<=" if gate.minimum is None else ">="


def _advice(gate: BiasGate, estimate: BiasEstimate) -> str:
    """Says what to try, by the side on which the value lies: DI falls where differences rise."""
    more_rows = f"load more rows of {estimate.facet}={estimate.group}"
    if estimate.value is None:
        return f"{more_rows}, or check that the model predicts both outcomes"
    low = gate.minimum is not None and estimate.value < gate.minimum
    group_is_worse_off = low if gate.metric == "DI" else not low
    if group_is_worse_off:
        return (
            f"put `{gate.facet}` in `reweighing.facets` and raise `reweighing.strength` in the "
            "recipe; lower the decision threshold, the same for everybody "
            f"(`evaluate.threshold`); {more_rows}"
        )
    return f"lower `reweighing.strength` in the recipe, which overcorrects; {more_rows}"
