"""What to try after a failed check, of what the recipe does not do yet."""

from collections.abc import Iterator
from dataclasses import dataclass

from sashiko.evaluation.gates.estimates import Subgroup
from sashiko.evaluation.metrics.bias import METRICS
from sashiko.settings.quality import ThresholdSection
from sashiko.settings.recipe import ReweighingSection, TrainSection

_STRONGEST = 4.0  # `reweighing.strength` goes no higher


@dataclass(frozen=True, kw_only=True)
class Mitigation:
    """How a recipe acts on bias.

    Attributes:
        reweighing: facets and strength of the weights in training.
        threshold: how the decision threshold is chosen.
    """

    reweighing: ReweighingSection
    threshold: ThresholdSection


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a recipe trains.

    Attributes:
        train: the hyperparameters.
        reweighing: facets and strength of the weights in training.
        train_rows: the most rows that are trained on; None: all that there are.
    """

    train: TrainSection
    reweighing: ReweighingSection
    train_rows: int | None


def bias_advice(metric: str, subgroup: Subgroup, recipe: Mitigation, *, below: bool) -> str:
    """Says what to try where a bias metric lies outside its bounds.

    Args:
        metric: which.
        subgroup: the group that was judged.
        recipe: what it does against bias now.
        below: whether the metric lies below the minimum, and not above the maximum.
    """
    more_rows = f"load more rows of {subgroup.subgroup}"
    worse = METRICS[metric].worse
    if worse == "either":
        return f"choose another decision threshold ({_threshold(recipe)}); {more_rows}"
    if worse == ("below" if below else "above"):
        lower = f"lower the decision threshold, the same for everybody ({_threshold(recipe)})"
        return "; ".join([*_more_reweighing(subgroup, recipe.reweighing), lower, more_rows])
    return "; ".join([*_less_reweighing(subgroup, recipe.reweighing), more_rows])


def quality_advice(metric: str, recipe: Training) -> str:
    """Says what to try where a quality metric fails its bound.

    Args:
        metric: which.
        recipe: how it trains now.
    """
    if metric == "expected_calibration_error":
        return ", or ".join(_calibration(recipe))
    return ", ".join(_training(recipe)) + ", or a bound that the use allows"


def _more_reweighing(subgroup: Subgroup, now: ReweighingSection) -> Iterator[str]:
    """Yields what brings the groups closer by weights; nothing where these are at the strongest."""
    missing = [f"`{facet}`" for facet in subgroup.facets if facet not in now.facets]
    if missing:
        added = f"put {' and '.join(missing)} in `reweighing.facets`"
        yield added if now.strength else f"{added} and set `reweighing.strength`, which is 0, to 1"
    elif now.strength == 0:
        yield "set `reweighing.strength`, which is 0, to 1 or more"
    elif now.strength < _STRONGEST:
        yield f"raise `reweighing.strength`, now {now.strength:g}, towards {_STRONGEST:g}"


def _less_reweighing(subgroup: Subgroup, now: ReweighingSection) -> Iterator[str]:
    """Yields what keeps the group from being favoured."""
    if now.strength and set(subgroup.facets) & set(now.facets):
        yield f"lower `reweighing.strength`, now {now.strength:g}, which overcorrects"
        return
    # Weights make label and group independent, whichever group the labels favour.
    facets = " and ".join(f"`{facet}`" for facet in subgroup.facets)
    yield (
        f"this group is favoured, and not by weights, as the recipe does not reweigh by {facets}: "
        "look whether the contract names the group that bias harms"
    )
    yield from _more_reweighing(subgroup, now)


def _threshold(recipe: Mitigation) -> str:
    now = recipe.threshold
    if now.policy == "fixed":
        return f"`evaluate.threshold.value`, now {now.value:g}"
    return f"`evaluate.threshold: {{policy: fixed, value: ...}}`; now it maximizes {now.metric}"


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
