"""Advice after a failed bias check, limited to what the recipe does not do yet."""

from collections.abc import Iterator
from dataclasses import dataclass

from sashiko.bias.gates.estimates import Subgroup
from sashiko.bias.metrics.clarify_metrics import METRICS
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
        return f"choose another decision threshold ({_threshold(recipe)}); {more_rows}"
    if worse == ("below" if below else "above"):
        lower = f"lower the decision threshold, the same for everybody ({_threshold(recipe)})"
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


def _threshold(recipe: Mitigation) -> str:
    current = recipe.threshold
    if current.policy == "fixed":
        return f"`evaluate.threshold.value`, now {current.value:g}"
    return f"`evaluate.threshold: {{policy: fixed, value: ...}}`; now it maximizes {current.metric}"
