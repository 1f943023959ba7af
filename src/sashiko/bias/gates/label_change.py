"""The champion's label metrics, and how those of a new snapshot differ from them."""

from collections.abc import Mapping
from math import hypot
from pathlib import Path
from statistics import NormalDist

from sashiko.base.files import read_json, write_json
from sashiko.base.yaml_models import Frozen, validate
from sashiko.bias.gates.estimates import BiasEstimate, Subgroup
from sashiko.evaluation.metrics.uncertainty import CONFIDENCE

# Output of ResolveChampion and input of JudgeBias, and its file.
CHAMPION_LABELS = "labels-of-champion"
_FILE = f"{CHAMPION_LABELS}.json"


class ChampionLabels(Frozen):
    """The bias metrics of the labels in the champion's snapshot."""

    version: int  # of the champion
    meaning: dict[str, str]  # as `label_meaning` returns it
    estimates: tuple[BiasEstimate, ...]

    def estimate(self, metric: str, subgroup: Subgroup) -> BiasEstimate | None:
        """Returns a metric of the group with the same facets and values."""
        name = subgroup.subgroup
        same = (item for item in self.estimates if (item.metric, item.subgroup) == (metric, name))
        return next(same, None)


class _File(Frozen):
    labels: ChampionLabels | None = None
    reason: str = ""  # why there are none


def write_champion_labels(labels: ChampionLabels | str, folder: Path) -> None:
    """Writes the champion's label metrics, or the reason why there are none."""
    content = _File(reason=labels) if isinstance(labels, str) else _File(labels=labels)
    write_json(folder / _FILE, content.model_dump(mode="json"))


def label_meaning(*, contract: str, version: str, label: str, positive: str) -> dict[str, str]:
    """Returns what the labels of two snapshots must have in common to be compared.

    Args:
        contract: the id of their contract.
        version: the contract's version; a new major one says that a column changed its meaning.
        label: the label's column.
        positive: its positive values, joined by commas.
    """
    return {
        "the contract": contract,
        "its major version": version.partition(".")[0],
        "the label": label,
        "its positive value": positive,
    }


def read_champion_labels(folder: Path, *, meaning: Mapping[str, str]) -> ChampionLabels | str:
    """Reads the champion's label metrics; `meaning` is that of the new snapshot's labels.

    Returns:
        The metrics, or why there is nothing to compare with: no champion, or another meaning.

    Raises:
        InputError: if the file is missing or damaged.
    """
    content = validate(_File, read_json(folder / _FILE), source=_FILE)
    before = content.labels
    if before is None:
        return content.reason
    differences = [
        f"{name} is {text} here and {before.meaning.get(name, 'unknown')} there"
        for name, text in meaning.items()
        if text != before.meaning.get(name)
    ]
    if differences:
        return f"not comparable with version {before.version}: {', '.join(differences)}"
    return before


def label_change(now: BiasEstimate, before: BiasEstimate, *, looks: int) -> BiasEstimate:
    """Returns the change of a label metric since the champion's snapshot, with its interval.

    The interval joins those of the two values (G. Y. Zou and A. Donner, Construction of confidence
    limits about effect measures, Statistics in Medicine 27 (2008), 1693-1702). With values v1 and
    v0 and intervals [l1, u1] and [l0, u0], the ends of the change d = v1 - v0 are

        d - ((v1 - l1)^2 + (u0 - v0)^2)^(1/2)  and  d + ((u1 - v1)^2 + (v0 - l0)^2)^(1/2).

    This takes the snapshots as independent. Rows that are in both correlate the values, which takes
    twice the covariance from the variance of the change. So the interval is too wide rather than
    too narrow, unless the covariance is negative: more than half of the labels of the common rows
    must then have been turned round. Each distance is first scaled by normal quantiles to the
    number of `looks`.

    Args:
        now: the metric in the new snapshot.
        before: the same metric of the same group in the champion's; it has a value.
        looks: the number of intervals, including this one, that hold simultaneously.

    Returns:
        The change; undefined if the new value is, without an interval if one of the values has
        none.
    """
    if now.value is None or before.value is None:
        return now
    change = now.value - before.value
    low = high = None
    if (new := _distances(now, looks)) and (old := _distances(before, looks)):
        low, high = change - hypot(new[0], old[1]), change + hypot(new[1], old[0])
    return now.model_copy(update={"value": change, "low": low, "high": high, "looks": looks})


def _distances(estimate: BiasEstimate, looks: int) -> tuple[float, float] | None:
    """Returns how far the ends lie below and above the value if `looks` intervals are to hold."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    scale = _quantile(looks) / _quantile(estimate.looks)
    return (estimate.value - estimate.low) * scale, (estimate.high - estimate.value) * scale


def _quantile(looks: int) -> float:
    return NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / looks)
