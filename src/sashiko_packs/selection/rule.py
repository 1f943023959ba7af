"""The rule of a selection, `RULE`: who is dropped, as good as the best, worse, undecided, chosen.

"As good" is non-inferiority: a candidate has to be shown to lose less than `minimum_effect`, so few
rows leave it undecided ("Non-Inferiority Clinical Trials to Establish Effectiveness", FDA Guidance
for Industry, 2016: the interval's end must exclude the margin).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from sashiko.evaluation.metrics.arrays import Ints, ModelScores
from sashiko.evaluation.metrics.quality import evaluate_scores
from sashiko.evaluation.metrics.uncertainty import CONFIDENCE, Estimate
from sashiko.settings.recipe_quality import EvaluateSection
from sashiko.steps.comparators import model_lead
from sashiko_packs.selection.file import Selection
from sashiko_packs.selection.record import CandidateRecord, Outcome

RULE = (
    "A candidate that fails a must is dropped: where its texts may be processed, its licence, the "
    "share of rows without a valid answer, the quality gates of the selection, the bias gates of "
    "the recipe.",
    "Of the others, the one with the highest {metric} is the best. Another one is as good if the "
    "95 % interval of the best one's lead over it, paired by rows, ends below {minimum_effect:g}; "
    "it is worse if the interval begins above that. Otherwise the rows do not decide it: it is not "
    "chosen, and the number of rows that would decide it is estimated.",
    "Of the best and those as good as it, the cheapest per million predictions is chosen; of "
    "equally cheap ones, the one with the higher {metric}. A cost that is not known is never "
    "counted as zero, so such a candidate is not the cheapest; if no other one is left, it is "
    "chosen.",
)
_POWER = 0.8  # with which as many rows as are estimated decide


@dataclass(frozen=True)
class Choice:
    """The outcome of the rule."""

    candidates: tuple[CandidateRecord, ...]  # with their outcomes and the best one's leads
    best: str | None
    chosen: str | None
    reason: str
    unjudged: tuple[str, ...]  # what might have changed the choice, and was not judged


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
    metric = selection.metric
    passing = [item for item in candidates if not item.failed and _value(item, metric) is not None]
    if not passing:
        out = tuple(_with(item, outcome=_out(item)) for item in candidates)
        reason = "every candidate fails a must, or was not measured"
        return Choice(out, None, None, reason, tuple(_unjudged(out, None, metric)))
    best = max(passing, key=lambda item: _value(item, metric) or 0.0)
    judged = []
    for item in candidates:
        if item not in passing or item is best:
            judged.append(_with(item, outcome="as good" if item is best else _out(item)))
            continue
        lead = lead_over(models[best.name], models[item.name], labels, metric, section=section)
        effect = selection.minimum_effect
        judged.append(
            _with(
                item,
                outcome=standing_of(lead, minimum_effect=effect),
                lead_of_best=lead,
                rows_needed=rows_needed(lead, minimum_effect=effect, rows=len(labels)),
            )
        )
    kept = [item for item in judged if item.outcome == "as good"]
    chosen = kept[0] if len(kept) == 1 else _cheapest(kept, metric)
    reason = (
        _reason(chosen, best, kept, selection=selection)
        if chosen
        else f"no cost is known of {', '.join(item.name for item in kept)}: give the prices in a "
        "file, as --prices FILE"
    )
    return Choice(
        tuple(_with(item, outcome="chosen") if item is chosen else item for item in judged),
        best=best.name,
        chosen=chosen.name if chosen else None,
        reason=reason,
        unjudged=tuple(_unjudged(judged, chosen, metric)),
    )


def lead_over(
    best: ModelScores, other: ModelScores, labels: Ints, metric: str, *, section: EvaluateSection
) -> Estimate:
    """Computes the best one's lead in a metric of decisions, paired by rows.

    The bootstrap takes few disagreements for none: two models that agree on all of 24 rows would
    get the interval [0, 0]. So for the interval, each label gets two more rows, of which either
    model decides one wrongly. That is the adjustment of Bonett and Price (2012) for the paired
    difference of proportions (`evaluation.metrics.flips`), which each label's share is.

    Args:
        best: the scores of the test rows, and the threshold.
        other: those of another candidate.
        labels: of the test rows, 0 or 1, shape (rows,).
        metric: accuracy, balanced_accuracy or f1.
        section: resamples and seed.
    """
    added = np.array([0, 0, 1, 1])
    wrong = np.array([1, 0, 1, 0])
    ours, theirs = (
        np.append(model.scores >= model.threshold, np.abs(added - errors)).astype(np.float64)
        for model, errors in ((best, wrong), (other, 1 - wrong))
    )
    wide = model_lead(
        section, np.append(labels, added), ModelScores(ours, 0.5), ModelScores(theirs, 0.5), {}
    )[metric]
    values = [
        evaluate_scores(labels, item.scores, threshold=item.threshold, replicates=1, seed=0)[metric]
        for item in (best, other)
    ]
    value = None
    if values[0].value is not None and values[1].value is not None:
        value = values[0].value - values[1].value
    if value is None or wide.low is None or wide.high is None:
        return Estimate(value=value, low=None, high=None)
    return Estimate(value=value, low=min(wide.low, value), high=max(wide.high, value))


def standing_of(lead: Estimate, *, minimum_effect: float) -> Outcome:
    """Returns whether a candidate is as good as the best one, worse, or undecided, by its lead."""
    if lead.low is None or lead.high is None:
        return "undecided"
    if lead.high < minimum_effect:
        return "as good"
    return "worse" if lead.low > minimum_effect else "undecided"


def rows_needed(lead: Estimate, *, minimum_effect: float, rows: int) -> int | None:
    """Returns about how many test rows would decide whether a candidate is as good as the best.

    n = ((z_0.975 + z_0.8) s / (minimum_effect - lead))^2, the size of a one-sample test of
    non-inferiority with a power of 80 % (S.-C. Chow, J. Shao and H. Wang, Sample Size Calculations
    in Clinical Research, section 3.1). The lead is taken to be the true one; s / sqrt(rows) is the
    half of the interval that reaches towards `minimum_effect`, divided by z_0.975.

    Args:
        lead: of the best candidate, with its 95 % interval.
        minimum_effect: the smallest relevant lead.
        rows: the number of test rows now.

    Returns:
        The number with two significant digits; None if these rows decide, or none can be said.
    """
    value = lead.value
    if standing_of(lead, minimum_effect=minimum_effect) != "undecided":
        return None
    if value is None or lead.low is None or lead.high is None or value == minimum_effect:
        return None
    half = lead.high - value if value < minimum_effect else value - lead.low
    level, power = (NormalDist().inv_cdf(share) for share in ((1 + CONFIDENCE) / 2, _POWER))
    needed = rows * ((level + power) / level * half / (minimum_effect - value)) ** 2
    digits = 10.0 ** (math.floor(math.log10(needed)) - 1)
    return math.ceil(needed / digits) * round(digits) if digits >= 1 else math.ceil(needed)


def _unjudged(
    judged: Sequence[CandidateRecord], chosen: CandidateRecord | None, metric: str
) -> Iterator[str]:
    """Yields what might have changed the choice, and was not judged."""
    for item in judged:
        if item.outcome == "not measured":
            yield f"{item.name}: its answers were written by hand"
        elif item.outcome == "undecided" and _could_win(item, chosen, metric):
            yield f"{item.name}: {undecided(item)}"
        elif item.outcome == "as good" and item is not chosen and item.cost.usd is None:
            yield f"the cost of {item.name} is not known"
    if chosen is not None:
        for check in chosen.musts:
            if not check.judged:
                yield f"{check.name} of {chosen.name}: {check.reason}"


def undecided(item: CandidateRecord) -> str:
    """Says that the rows do not decide whether a candidate is as good, and how many would."""
    needed = "more rows than can be estimated"
    if item.rows_needed is not None:
        needed = f"about {item.rows_needed:,} rows"
    return f"undecided, needs {needed}"


def _could_win(item: CandidateRecord, chosen: CandidateRecord | None, metric: str) -> bool:
    """Returns whether a candidate might be chosen in place of this one if it were as good."""
    return item.cost.usd is None or chosen is None or _cheapest([item, chosen], metric) is item


def _cheapest(kept: Sequence[CandidateRecord], metric: str) -> CandidateRecord | None:
    priced = [(item.cost.usd, -(_value(item, metric) or 0.0), item) for item in kept]
    known = [entry for entry in priced if entry[0] is not None]
    return min(known, key=lambda entry: entry[:2])[2] if known else None


def _reason(
    chosen: CandidateRecord,
    best: CandidateRecord,
    kept: Sequence[CandidateRecord],
    *,
    selection: Selection,
) -> str:
    name = selection.metric.replace("_", " ")
    if len(kept) == 1:
        return f"it has the highest {name}, and no other one is shown to be as good"
    if chosen.name == best.name:
        return f"it has the highest {name}, and none that is as good costs less"
    return (
        f"{best.name} has the highest {name}, but leads by less than "
        f"{selection.minimum_effect:g}, and {chosen.name} costs no more than any other that is as "
        "good"
    )


def _value(item: CandidateRecord, metric: str) -> float | None:
    return item.metrics[metric].value if item.measured else None


def _out(item: CandidateRecord) -> Outcome:
    return "dropped" if item.failed else "not measured"


def _with(item: CandidateRecord, **changes: object) -> CandidateRecord:
    return item.model_copy(update=changes)
