"""The rule of a selection: which candidates fail a must, which are as good as the best, the choice.

1. A candidate that fails a must is dropped.
2. Of the others the one with the highest metric is the best. Another one is worse if the whole 95 %
   interval of the best one's lead, paired by rows, lies above `minimum_effect`; else it is as good.
3. Of the best and those as good as it, the cheapest per million predictions is chosen; of equally
   cheap ones, that with the higher metric. An unknown cost is not the cheapest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sashiko.evaluation.metrics.arrays import Ints, ModelScores
from sashiko.evaluation.metrics.uncertainty import standing
from sashiko.selection.file import Selection
from sashiko.selection.record import CandidateRecord, Outcome
from sashiko.settings.quality import EvaluateSection
from sashiko.steps.comparators import model_lead

RULE = (
    "A candidate that fails a must is dropped: where its texts may be processed, its licence, the "
    "quality gates of the selection, the bias gates of the recipe.",
    "Of the others, the one with the highest {metric} is the best. Another one is worse if the "
    "whole 95 % interval of the best one's lead over it, paired by rows, lies above "
    "{minimum_effect:g}; else it is as good.",
    "Of the best and those as good as it, the cheapest per million predictions is chosen; of "
    "equally cheap ones, the one with the higher {metric}. A cost that is not known is never "
    "counted as zero, so such a candidate is not the cheapest.",
)


@dataclass(frozen=True)
class Choice:
    """The outcome of the rule."""

    candidates: tuple[CandidateRecord, ...]  # with their outcomes and the best one's leads
    best: str | None
    chosen: str | None
    reason: str


def choose(
    candidates: Sequence[CandidateRecord],
    models: Mapping[str, ModelScores],
    labels: Ints,
    *,
    selection: Selection,
    section: EvaluateSection,
) -> Choice:
    """Applies the rule.

    Args:
        candidates: judged.
        models: candidate -> its scores of the test rows and its threshold.
        labels: of the test rows, 0 or 1, shape (rows,).
        selection: the file.
        section: of the recipe of the rows: resamples and seed.
    """
    metric, effect = selection.metric, selection.minimum_effect
    passing = [item for item in candidates if not item.failed and _value(item, metric) is not None]
    if not passing:
        judged = [_with(item, _out(item)) for item in candidates]
        reason = "every candidate fails a must, or was not measured"
        return Choice(tuple(judged), best=None, chosen=None, reason=reason)
    best = max(passing, key=lambda item: _value(item, metric) or 0.0)
    judged = []
    for item in candidates:
        if item not in passing or item is best:
            judged.append(_with(item, "as good" if item is best else _out(item)))
            continue
        lead = model_lead(section, labels, models[best.name], models[item.name], {})[metric]
        worse = standing(lead, minimum_effect=effect) == "better"
        judged.append(
            _with(item, "worse" if worse else "as good").model_copy(update={"lead_of_best": lead})
        )
    kept = [item for item in judged if item.outcome == "as good"]
    chosen = _cheapest(kept, metric)
    if chosen is None:
        names = ", ".join(item.name for item in kept)
        reason = f"no cost is known of {names}: give the prices in a file, as --prices FILE"
        return Choice(tuple(judged), best=best.name, chosen=None, reason=reason)
    return Choice(
        tuple(_with(item, "chosen") if item is chosen else item for item in judged),
        best=best.name,
        chosen=chosen.name,
        reason=_reason(chosen, best, kept, metric=metric, effect=effect),
    )


def _cheapest(kept: Sequence[CandidateRecord], metric: str) -> CandidateRecord | None:
    priced = [(item.cost.usd, -(_value(item, metric) or 0.0), item) for item in kept]
    known = [entry for entry in priced if entry[0] is not None]
    return min(known, key=lambda entry: entry[:2])[2] if known else None


def _reason(
    chosen: CandidateRecord,
    best: CandidateRecord,
    kept: Sequence[CandidateRecord],
    *,
    metric: str,
    effect: float,
) -> str:
    name, unknown = metric.replace("_", " "), [item.name for item in kept if item.cost.usd is None]
    note = f"; the cost of {', '.join(unknown)} is not known" if unknown else ""
    if len(kept) == 1:
        return f"it passes every must, and each other one that does is worse in {name}{note}"
    if chosen.name == best.name:
        return f"it has the highest {name}, and none that is as good costs less{note}"
    return (
        f"{best.name} has the highest {name}, but is not shown to be better by more than "
        f"{effect:g}, and {chosen.name} costs no more than any other that is as good{note}"
    )


def _value(item: CandidateRecord, metric: str) -> float | None:
    return item.metrics[metric].value if item.measured else None


def _out(item: CandidateRecord) -> Outcome:
    return "dropped" if item.failed else "not measured"


def _with(item: CandidateRecord, outcome: Outcome) -> CandidateRecord:
    return item.model_copy(update={"outcome": outcome})
