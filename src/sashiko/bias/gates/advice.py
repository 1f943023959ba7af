"""Advice after a failed check, limited to what the recipe does not do yet."""

from collections.abc import Iterator
from dataclasses import dataclass

from sashiko.bias.gates.estimates import Subgroup
from sashiko.bias.metrics.bias import METRICS
from sashiko.settings.quality import INJECTION_FLIP_RATE, ThresholdSection
from sashiko.settings.train import ReweighingSection, TrainSection

_STRONGEST = 4.0  # the maximum of `reweighing.strength`


@dataclass(frozen=True, kw_only=True)
class Mitigation:
    """The bias mitigation of a recipe."""

    reweighing: ReweighingSection  # facets and strength of the weights in training
    threshold: ThresholdSection  # the choice of the decision threshold


@dataclass(frozen=True, kw_only=True)
class Training:
    """The training of a recipe."""

    train: TrainSection  # the hyperparameters
    reweighing: ReweighingSection  # facets and strength of the weights in training
    train_rows: int | None  # the maximum number of training rows; None for all rows


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


def quality_advice(metric: str, recipe: Training) -> str:
    """Returns advice for a quality metric outside its bound."""
    if metric == INJECTION_FLIP_RATE:
        return (
            "look at the kinds of injection that turn decisions (`injection.by_kind` in "
            "metrics.json), train on rows with such texts, or set a bound that the use allows"
        )
    if metric == "expected_calibration_error":
        return ", or ".join(_calibration(recipe))
    return ", ".join(_training(recipe)) + ", or a bound that the use allows"


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
