"""The record of a selection, `selection.json`, and the rule that fills it, `RULE`.

The rule tells who is dropped, as good as the best, worse, undecided, chosen. "As good" is
non-inferiority: a candidate has to be shown to lose less than `minimum_effect`, so few rows leave
it undecided ("Non-Inferiority Clinical Trials to Establish Effectiveness", FDA Guidance for
Industry, 2016: the interval's end must exclude the margin).
"""

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Literal

import numpy as np
from pydantic import Field

from sashiko.base.files import write_json
from sashiko.base.yaml_models import Frozen
from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.evaluation.evaluation_record import Estimates, InjectionFigures
from sashiko.evaluation.gates.verdict import Check
from sashiko.evaluation.metrics.arrays import ModelScores, Truth, class_members
from sashiko.evaluation.metrics.quality import IN_LABEL_UNIT, LOWER_IS_BETTER, evaluate_scores
from sashiko.evaluation.metrics.uncertainty import CONFIDENCE, Estimate
from sashiko.pipeline.project import SELECTION_FILE, SELECTIONS, chosen_record
from sashiko.settings.recipe import Recipe
from sashiko.settings.recipe_quality import EvaluateSection
from sashiko.steps.comparators import model_lead
from sashiko_packs.selection.file import STAYS, Selection, Travel

Outcome = Literal["chosen", "as good", "undecided", "worse", "dropped", "not measured"]


class Answers(Frozen):
    """What a model of Bedrock answered on the test rows."""

    valid: int
    invalid: int  # no answer that the prompt allows, or one that was cut
    refused: int  # by the model's provider or a guardrail
    stop_reasons: dict[str, int]  # stop reason -> rows
    input_tokens: int
    output_tokens: int
    days: tuple[dt.date, ...]  # on which it answered, in UTC
    hand_made: bool  # no model answered: they were written by hand, to try the command


class Latency(Frozen):
    """Seconds of one prediction."""

    p50: float
    p99: float
    mean: float
    requests: int
    how: str  # what was timed, and on what


class Cost(Frozen):
    """US dollars of a million predictions."""

    usd: float | None  # None if unknown, which is never counted as zero
    basis: str  # how it comes about, with the prices' source and day, or why it is unknown


class Part(Frozen):
    """A part of the test rows, and how the candidate does there."""

    name: str  # a class, or the range of a fifth of a number's values
    rows: int
    figure: Estimate  # of a class its recall; of a number the mean absolute error


class CandidateRecord(Frozen):
    """One candidate with all its figures."""

    name: str
    kind: Literal["linear", "recipe", "version", "bedrock"]
    what: str  # the model, in words
    sha256: str | None = None  # of the artifact, if there is one
    run: str | None = None  # id of the run that made the model
    licence: str | None = None  # of others' weights; None: nobody's weights
    travel: Travel = STAYS
    answers: Answers | None = None  # of a model of Bedrock
    cost: Cost
    musts: tuple[Check, ...] = ()  # every must, passed or not
    # The figures; none of answers that were written by hand.
    # The lowest score that is decided positive; None without scores, and but for two classes.
    threshold: float | None = None
    metrics: Estimates = Field(default_factory=dict)  # without scores those of decisions alone
    error_by_chance: Estimate | None = None  # the calibration error that chance alone gives
    # By class of more than two, or by fifth of a number's values.
    parts: tuple[Part, ...] = Field((), exclude_if=lambda parts: not parts)
    bias: tuple[BiasEstimate, ...] = ()  # DI of each group, and the gated metrics
    injection: InjectionFigures | None = None
    latency: Latency | None = None
    lead_of_best: Estimate | None = None  # of the best candidate over this one, paired by rows
    rows_needed: int | None = None  # about how many test rows decide an undecided one
    outcome: Outcome = "dropped"

    @property
    def failed(self) -> tuple[Check, ...]:
        """The musts that it fails."""
        return tuple(check for check in self.musts if not check.passed)

    @property
    def measured(self) -> bool:
        """Whether it has figures: answers written by hand give none, nor does a model unasked."""
        return bool(self.metrics)


class Choice(Frozen):
    """The outcome of the rule."""

    candidates: tuple[CandidateRecord, ...]  # with their outcomes and the best one's leads
    best: str | None  # the candidate with the highest metric of those that fail no must
    chosen: str | None
    reason: str  # why this one, or why none
    unjudged: tuple[str, ...]  # what might have changed the choice, and was not judged


class SelectionRecord(Choice):
    """A whole selection."""

    id: str
    selection: Selection
    day: dt.date
    rows: int
    positives: int
    # But for two classes: the favourable ones, or a number's favourable outcome.
    favourable: str = Field("", exclude_if=lambda name: not name)
    # Of a number: the standard deviation of the train rows.
    scale: float | None = Field(None, exclude_if=lambda scale: scale is None)
    bootstrap_replicates: int
    inputs: dict[str, str]  # `test`, `facets` -> digest of the rows
    command: str  # that repeats it
    schema_version: Literal[1] = Field(1)

    @property
    def label(self) -> Literal["pair", "classes", "number"]:
        """The kind of the label: two classes, more, or a number."""
        return "number" if self.scale is not None else "classes" if self.favourable else "pair"


def write_selection(record: SelectionRecord, home: Path, *, chosen: Recipe | None) -> Path:
    """Writes `<home>/selections/<id>/selection.json` and returns the folder.

    The record also goes into the evidence of the chosen recipe: into that of the run that made the
    model, and to where each later run of the same recipe copies it from. `chosen` is None if no
    candidate is chosen, or it has no recipe.

    Raises:
        InputError: if it cannot be written.
    """
    folder = home / SELECTIONS / record.id
    value = record.model_dump(mode="json")
    write_json(folder / SELECTION_FILE, value)
    if record.chosen is None or chosen is None:
        return folder
    write_json(chosen_record(chosen, home=home), value)
    (run,) = (item.run for item in record.candidates if item.name == record.chosen)
    if run is not None:
        write_json(home / "runs" / run / "evidence" / SELECTION_FILE, value)
    return folder


RULE = (
    "A candidate that fails a must is dropped. The musts are where texts may be processed, the "
    "licence, the share of rows without a valid answer, the selection's quality gates and the "
    "recipe's bias gates.",
    "The best of the others has the {best} {metric}. Another one is as good if the 95 % interval "
    "of the best one's lead over it ends below {minimum_effect}. It is worse if the whole "
    "interval lies above {minimum_effect}. Otherwise it is undecided and not chosen, and the "
    "number of rows that would decide it is estimated. Leads are paired by rows.",
    "The best and those as good compete on the cost of a million predictions: the cheapest is "
    "chosen. If costs are equal, the {better} {metric} decides. An unknown cost is never counted "
    "as zero: such a candidate is chosen only if no other one is left.",
)
_POWER = 0.8  # with which as many rows as are estimated decide
_NAMES = {"macro_f1": "macro F1", "rmse": "RMSE", "mae": "MAE", "r2": "R²"}


def metric_name(metric: str) -> str:
    """Returns the short name of a metric."""
    return _NAMES.get(metric, metric.replace("_", " "))


def direction(metric: str) -> tuple[str, str]:
    """Returns in words which value of a metric is the best, and which of two is the better one."""
    return ("lowest", "lower") if metric in LOWER_IS_BETTER else ("highest", "higher")


def margin(selection: Selection, scale: float | None) -> tuple[float, str]:
    """Returns the smallest relevant lead in the metric's unit, also in words.

    `scale` is the standard deviation of a label that is a number.
    """
    effect = selection.minimum_effect
    if scale is None or selection.metric not in IN_LABEL_UNIT:
        return effect, f"{effect:g}"
    return effect * scale, f"{effect * scale:.3g} ({effect:g} standard deviations of the label)"


def choose(
    candidates: Sequence[CandidateRecord],
    models: Mapping[str, ModelScores],
    truth: Truth,
    *,
    selection: Selection,
    section: EvaluateSection,
    scale: float | None = None,
) -> Choice:
    """Applies the rule to judged candidates.

    `models` are by candidate, `truth` has indices of classes or values, shape (rows,); the section
    gives resamples and seed. `scale` is the standard deviation of a label that is a number.
    """
    metric = selection.metric
    effect, said = margin(selection, scale)
    passing = [item for item in candidates if not item.failed and _value(item, metric) is not None]
    best = max(passing, key=lambda item: _merit(item, metric), default=None)
    judged = []
    for item in candidates:
        changes: dict[str, object] = {"outcome": "dropped" if item.failed else "not measured"}
        if item is best:
            changes = {"outcome": "as good"}
        elif best is not None and item in passing:
            lead = lead_over(models[best.name], models[item.name], truth, metric, section=section)
            changes = {
                "outcome": standing_of(lead, minimum_effect=effect),
                "lead_of_best": lead,
                "rows_needed": rows_needed(lead, minimum_effect=effect, rows=len(truth)),
            }
        judged.append(item.model_copy(update=changes))
    kept = [item for item in judged if item.outcome == "as good"]
    chosen = kept[0] if len(kept) == 1 else _cheapest(kept, metric)
    highest = f"the {direction(metric)[0]} {metric_name(metric)} of those that fail no must"
    if best is None:
        reason = "every candidate fails a must, or was not measured"
    elif chosen is None:
        names = ", ".join(item.name for item in kept)
        reason = f"no cost is known of {names}: give the prices in a file, as --prices FILE"
    elif len(kept) == 1:
        reason = f"it has {highest}, and no other one is shown to be as good"
    elif chosen.name == best.name:
        reason = f"it has {highest}, and none that is as good costs less"
    else:
        reason = (
            f"{best.name} has {highest}, but leads by less than {said}, and {chosen.name} "
            "costs no more than any other that is as good"
        )
    return Choice(
        candidates=tuple(
            item.model_copy(update={"outcome": "chosen"}) if item is chosen else item
            for item in judged
        ),
        best=best.name if best else None,
        chosen=chosen.name if chosen else None,
        reason=reason,
        unjudged=tuple(_unjudged(judged, chosen, metric)),
    )


def lead_over(
    best: ModelScores, other: ModelScores, truth: Truth, metric: str, *, section: EvaluateSection
) -> Estimate:
    """Computes the best one's lead in a metric of decisions or of a number, paired by rows.

    The bootstrap takes few disagreements for none: two models that agree on all of 24 rows would
    get the interval [0, 0]. So for the interval, each label gets two more rows, of which either
    model decides one wrongly, for the next label. That is the adjustment of Bonett and Price (2012)
    for the paired difference of proportions (`evaluation.metrics.flips`), which each label's share
    is. Errors of a number seldom agree, and have the plain interval.

    `truth` has indices of classes or values, shape (rows,); the section gives resamples and seed.
    """
    if best.classes == 1:
        return model_lead(section, truth, best, other, {})[metric]
    labels = truth.astype(np.int64)
    added = np.repeat(np.arange(best.classes), 2)
    wrong = np.tile([1, 0], best.classes)
    ours, theirs = (
        class_members(np.append(model.predicted, (added + errors) % best.classes), best.classes)
        for model, errors in ((best, wrong), (other, 1 - wrong))
    )
    wide = model_lead(
        section, np.append(labels, added), ModelScores(ours, 0.5), ModelScores(theirs, 0.5), {}
    )[metric]
    values = [evaluate_scores(labels, item, replicates=1, seed=0)[metric] for item in (best, other)]
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
    """Returns about how many rows, to two digits, would decide if a candidate is as good.

    None if these rows decide, or none can be said.

    n = ((z_0.975 + z_0.8) s / (minimum_effect - lead))^2, the size of a one-sample test of
    non-inferiority with a power of 80 % (S.-C. Chow, J. Shao and H. Wang, Sample Size Calculations
    in Clinical Research, section 3.1). The lead is taken to be the true one; s / sqrt(rows) is the
    half of the interval that reaches towards `minimum_effect`, divided by z_0.975.
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
        elif item.outcome == "undecided":
            # It might be chosen in place of this one if it were as good.
            if chosen is None or item.cost.usd is None or _cheapest([item, chosen], metric) is item:
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


def _cheapest(kept: Sequence[CandidateRecord], metric: str) -> CandidateRecord | None:
    priced = [(item.cost.usd, -_merit(item, metric), item) for item in kept]
    known = [entry for entry in priced if entry[0] is not None]
    return min(known, key=lambda entry: entry[:2])[2] if known else None


def _merit(item: CandidateRecord, metric: str) -> float:
    """Returns a metric with its sign turned where less is better."""
    value = _value(item, metric) or 0.0
    return -value if metric in LOWER_IS_BETTER else value


def _value(item: CandidateRecord, metric: str) -> float | None:
    return item.metrics[metric].value if item.measured else None
