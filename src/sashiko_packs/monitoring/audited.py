"""A version's quality from the labels of drawn rows.

Rows without a label may be the hard ones, so what the labelled ones say is not enough for either
verdict. An alarm counts unlabelled rows as decided right, and `ok` counts those of closed periods
as decided wrong; between the two a check is not judged, and names the rows that decide it.
"""

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Literal

import numpy as np
from pydantic import Field

from sashiko.base.yaml_models import Frozen, StepRecord
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.evaluation.metrics.classes import FEWEST_OF_A_CLASS
from sashiko.evaluation.metrics.quality import Confusion
from sashiko.evaluation.reference import NumberCounts, Reference
from sashiko_packs.monitoring.checks import (
    CAPPED_ERROR,
    CLASS_RECALL,
    INTERVAL_COVERAGE,
    MonitorCheck,
    Outcome,
    amount,
)
from sashiko_packs.monitoring.e_detector import AuditTest, add_window, lowest_tolerated, start_test
from sashiko_packs.monitoring.settings import MonitorSection


class AuditedClass(Frozen):
    """The rows of one of more than two classes that were drawn from a period."""

    right: int  # labelled and decided as it
    missed: int  # labelled as it and decided otherwise
    unlabelled: int  # decided as it, without a label


class AuditedNumbers(Frozen):
    """How far off the labelled rows of a period were predicted, of a label that is a number."""

    covered: int  # rows whose label the interval holds
    capped: float  # the sum of the absolute errors, each of at most 1, as shares of the cap


class AuditedPeriod(Frozen):
    """The rows that were drawn from a period for a person to label, and the labels so far."""

    start: dt.datetime
    end: dt.datetime
    answers: int  # rows of the period that the rows were drawn from
    labelled: Confusion  # drawn rows with a label; positive are the favourable classes
    unlabelled_positive: int  # drawn rows without one that were decided positive
    unlabelled_negative: int  # and negative
    # Of more than two classes each, in the reference's order.
    classes: tuple[AuditedClass, ...] = Field((), exclude_if=lambda classes: not classes)
    # Of a number, whose outcomes at the bound are the two classes.
    number: AuditedNumbers | None = Field(None, exclude_if=lambda counts: counts is None)
    late: int  # of the labels, those that came after the deadline
    # `complete` has all of its labels; `open` waits for some; `overdue` is closed without some.
    state: Literal["complete", "open", "overdue"]
    # When the last label came, or the deadline passed without it; None while it is open.
    closed: dt.datetime | None

    @property
    def right(self) -> int:
        """Labels that agree with the decision."""
        if self.classes:
            return sum(one.right for one in self.classes)
        return self.labelled.true_positives + self.labelled.true_negatives

    @property
    def wrong(self) -> int:
        """Labels that do not."""
        if self.classes:
            return sum(one.missed for one in self.classes)
        return self.labelled.false_positives + self.labelled.false_negatives

    @property
    def unlabelled(self) -> int:
        """Drawn rows without a label."""
        return self.unlabelled_positive + self.unlabelled_negative

    @property
    def drawn(self) -> int:
        """Rows that were drawn."""
        return self.right + self.wrong + self.unlabelled

    def count(self, measure: "Measure", *, right: bool | None = None) -> tuple[float, float]:
        """Counts the labelled rows of a measure: those decided right, and wrong.

        `right` counts unlabelled rows too, as if all were decided right, or all wrong. Of a class's
        recall all that are decided otherwise could be missed rows of it. An error counts as wrong
        by its share of the cap, and as right by the rest.
        """
        if self.number and measure.name in (INTERVAL_COVERAGE, CAPPED_ERROR):
            rows = self.right + self.wrong
            off = rows - self.number.covered if measure.cap is None else self.number.capped
            more = self.unlabelled
            return rows - off + more * (right is True), off + more * (right is False)
        if measure.place is None and not self.classes:
            counts = self.labelled if right is None else self.filled(right=right)
            return right_and_wrong(measure.name, counts)
        if measure.place is None:
            known, of_it, others = (self.right, self.wrong), self.unlabelled, self.unlabelled
        else:
            one = self.classes[measure.place]
            known, of_it = (one.right, one.missed), one.unlabelled
            others = self.unlabelled - of_it
        return known[0] + of_it * (right is True), known[1] + others * (right is False)

    def filled(self, *, right: bool) -> Confusion:
        """Counts the drawn rows as if all unlabelled ones were decided right, or all wrong."""
        ends = (
            ("true_positives", "true_negatives")
            if right
            else ("false_positives", "false_negatives")
        )
        more = dict(zip(ends, (self.unlabelled_positive, self.unlabelled_negative), strict=True))
        counts = {name: getattr(self.labelled, name) + count for name, count in more.items()}
        return replace(self.labelled, **counts)


class AuditedMeasure(Frozen):
    """A share of the drawn rows of closed periods, as an estimate of that of all answers."""

    # Accuracy, recall, specificity, precision or balanced accuracy; or a class's recall. Of a
    # number also its interval's coverage and its error, in the label's unit.
    name: str
    rows: int  # labelled rows that it is a share of
    value: float | None = None  # None of too few rows
    low: float | None = None  # lower end of its 95 % interval
    high: float | None = None  # upper end
    # The value if all unlabelled rows were decided wrong, and right; None as for `value`.
    worst: float | None = None
    best: float | None = None
    # Of the version's test split; None if undefined there, or unknown.
    reference: float | None = None


# Of `sashiko.bias.metrics.number_bias`: those that are shown of a group's predicted numbers.
GROUP_ERRORS: Final = ("mean_prediction_difference", "mean_error", "mae", "interval_coverage")


class ErrorLimits(Frozen):
    """Where the errors of a number are tested, in the label's unit."""

    half_width: float  # of the interval around each predicted value
    cap: float  # of an error


class LabelSummary(Frozen):
    """The labels of one version's answers."""

    version: int
    periods: tuple[AuditedPeriod, ...]  # by time; they do not overlap
    waiting: int  # rows of the window without a label
    known: int  # labels of all of this version's answers, drawn or not, whenever they were given
    duplicated: int  # labels of answered rows that differ from an earlier one, which counts
    corrected: int  # labels of answered rows that a person replaced, with a trace
    unknown: int  # keys with a label that no version ever answered
    number: ErrorLimits | None = Field(None, exclude_if=lambda limits: limits is None)


class Quality(StepRecord):
    """A version's quality since its deploy, by audited labels."""

    FILE: ClassVar[str] = "quality.json"

    # The audit's, valid at every look: accuracy, recall, specificity and precision, and of a number
    # also its interval's coverage and the capped error; of more than two classes accuracy and the
    # recall of each.
    checks: tuple[MonitorCheck, ...]
    periods: tuple[AuditedPeriod, ...]
    since_deploy: AuditedMeasure  # accuracy
    measures: tuple[AuditedMeasure, ...]  # the others
    labels: LabelSummary

    @property
    def check(self) -> MonitorCheck:
        """The accuracy's."""
        return self.checks[0]

    @property
    def worst_class(self) -> AuditedMeasure | None:
        """The lowest recall of more than two classes that has enough rows, if there is one."""
        known = [item for item in self.measures if self.by_class and item.value is not None]
        return min(known, key=lambda item: item.value or 0.0, default=None)

    @property
    def by_class(self) -> bool:
        """Whether the audit is of more than two classes."""
        return any(check.effect == CLASS_RECALL for check in self.checks)


# The audit: rows drawn at random for a person to label, and what they say of all answers.
#
# Only drawn rows judge a model. Labels that arrive on their own are those of the cases that
# somebody looked at, and their accuracy is that of such cases.
#
# All answers of a period have the same chance to be drawn, not those that were decided positive a
# higher one. So each share is a plain one: of the drawn rows with a positive label, those that were
# decided positive are a binomial count with the true recall, and the test needs no weights. Drawing
# more of the positive decisions would find more wrong ones among them, and fewer of the cases that
# were missed, which are decided negative.
@dataclass(frozen=True)
class Measure:
    """A share of rows that the audit tests."""

    name: str
    rows: str  # what the rows are that it is a share of
    rows_needed: int  # labelled ones; with fewer it is not judged
    budget: float  # its part of the audit's false alarms
    place: int | None = None  # of the class whose recall it is
    cap: float | None = None  # of an error, in the label's unit: it is a share of this


# Balanced accuracy is the mean of recall and specificity, so it cannot fall below the mean of what
# is tolerated of both unless one of them does: their tests are its test.
MEASURES: Final[Mapping[str, Measure]] = {
    "accuracy": Measure("accuracy", "audited labels", 100, 0.7),
    "recall": Measure("recall", "audited rows labelled positive", 30, 0.1),
    "specificity": Measure("specificity", "audited rows labelled negative", 30, 0.1),
    "precision": Measure("precision", "audited rows decided positive", 30, 0.1),
}


def measures_of(
    classes: Sequence[str], number: NumberCounts | None = None
) -> Mapping[str, Measure]:
    """Returns the measures of two classes, or of more: the accuracy, and the recall of each.

    These share what recall, specificity and precision of two classes have of the false alarms. A
    number has those of its outcomes, its interval's coverage and the capped error, which take most
    of what the accuracy of two classes has.
    """
    if number:
        own = (
            Measure(INTERVAL_COVERAGE, "audited labels", 100, 0.2),
            Measure(CAPPED_ERROR, "audited labels", 100, 0.3, cap=number.error_cap),
        )
        outcome = replace(MEASURES["accuracy"], budget=0.2)
        return {**MEASURES, "accuracy": outcome, **{measure.name: measure for measure in own}}
    if len(classes) <= 2:
        return MEASURES
    accuracy = MEASURES["accuracy"]
    recalls = [
        Measure(f"recall of {name}", "audited rows labelled with the class", FEWEST_OF_A_CLASS,
                (1 - accuracy.budget) / len(classes), place)
        for place, name in enumerate(classes)
    ]  # fmt: skip
    return {measure.name: measure for measure in (accuracy, *recalls)}


def draw_positions(count: int, *, rows: int, seed: int) -> Ints:
    """Draws the rows of a window that are to be labelled, all with the same probability.

    Returns:
        Positions from 0 to count - 1, sorted, shape (min(rows, count),).
    """
    return np.sort(np.random.default_rng(seed).choice(count, min(rows, count), replace=False))


def right_and_wrong(measure: str, counts: Confusion) -> tuple[int, int]:
    """Counts the rows that a measure is a share of: those decided right, and wrong."""
    tp, fp = counts.true_positives, counts.false_positives
    fn, tn = counts.false_negatives, counts.true_negatives
    return {
        "accuracy": (tp + tn, fp + fn),
        "recall": (tp, fn),
        "specificity": (tn, fp),
        "precision": (tp, fp),
    }[measure]


def estimate_measure(
    measure: Measure, periods: Sequence[AuditedPeriod], *, held_out: tuple[float, float] | None
) -> AuditedMeasure:
    """Estimates a measure of all answers from the drawn rows that are labelled.

    Rows count by the inverse of their probability (J. Hajek, in Foundations of statistical
    inference, 1971, 236), so periods of different sizes can be pooled. The interval is Wilson's on
    the effective number of rows (L. Kish, Survey sampling, 1965, 11.7); of capped errors it is
    rather too wide, as no share from 0 to 1 varies more than a yes or no of the same mean. Of rows
    without a label it knows nothing: `worst` and `best` are the value if all of them were decided
    wrong, and right.

    Of fewer labelled rows than the measure needs there is no value. Periods are closed ones;
    `held_out` are the rows of the version's test split decided right, and wrong; None if unknown.
    """
    counts = [period.count(measure) for period in periods]
    rows = round(sum(right + wrong for right, wrong in counts))
    known = held_out[0] / sum(held_out) if held_out and sum(held_out) else None
    if rows < measure.rows_needed:
        return _in_unit(AuditedMeasure(name=measure.name, rows=rows, reference=known), measure)
    weights = np.array([period.answers / period.drawn for period in periods])
    value, effective = _weighted_share(counts, weights)
    low, high = wilson_interval(value, round(effective))
    worst, best = (
        _weighted_share([period.count(measure, right=right) for period in periods], weights)[0]
        for right in (False, True)
    )
    estimated = AuditedMeasure(
        name=measure.name, rows=rows, value=value, low=low, high=high, worst=worst, best=best,
        reference=known,
    )  # fmt: skip
    return _in_unit(estimated, measure)


def _in_unit(share: AuditedMeasure, measure: Measure) -> AuditedMeasure:
    """Turns the share that is right into a mean error, whose ends change places."""
    if (cap := measure.cap) is None:
        return share
    values = share.model_dump(exclude={"name", "rows"}) | {"low": share.high, "high": share.low}
    return share.model_copy(
        update={n: None if one is None else cap * (1 - one) for n, one in values.items()}
    )


def balance(recall: AuditedMeasure, specificity: AuditedMeasure) -> AuditedMeasure:
    """Returns the balanced accuracy, the mean of both.

    Its interval adds the squares of theirs, which are of different rows (G. Y. Zou and A. Donner,
    Construction of confidence limits about effect measures, Statistics in Medicine 27, 2008).
    """

    def mean(name: str) -> float | None:
        one, other = getattr(recall, name), getattr(specificity, name)
        return None if one is None or other is None else (one + other) / 2

    means = {name: mean(name) for name in ("value", "worst", "best", "reference")}
    sides = [
        (part.value, part.value - part.low, part.high - part.value)
        for part in (recall, specificity)
        if part.value is not None and part.low is not None and part.high is not None
    ]
    if len(sides) == 2:
        values, below, above = zip(*sides, strict=True)
        means["low"] = (sum(values) - math.hypot(*below)) / 2
        means["high"] = (sum(values) + math.hypot(*above)) / 2
    return AuditedMeasure(name="balanced accuracy", rows=recall.rows + specificity.rows, **means)


def _weighted_share(counts: Sequence[tuple[float, float]], weights: Floats) -> tuple[float, float]:
    """Returns the share that is right of rows with the weights of their periods; Kish's rows."""
    right, wrong = np.array(counts, dtype=np.float64).T
    total = (weights * (right + wrong)).sum()
    effective = total**2 / (weights**2 * (right + wrong)).sum()
    return float((weights * right).sum() / total), float(effective)


HeldOut = Mapping[str, tuple[float, float]]  # measure -> rows decided right, and wrong


def count_held_out(reference: Reference) -> HeldOut:
    """Counts the rows of a version's test split that each measure is a share of.

    The reference of a version that an earlier engine registered has the counts of accuracy alone.
    """
    if reference.classes:
        recalls = [(one.right, one.rows - one.right) for one in reference.classes]
        right = sum(one.right for one in reference.classes)
        answered = sum(one.rows for one in reference.classes)
        counts = [(right, answered - right), *recalls]
        return dict(zip(measures_of(reference.labels), counts, strict=True))
    if reference.confusion is None:
        right = sum(reference.right)
        return {"accuracy": (right, reference.rows - right)}
    held_out: dict[str, tuple[float, float]] = {
        measure: right_and_wrong(measure, reference.confusion) for measure in MEASURES
    }
    if number := reference.number:
        held_out[INTERVAL_COVERAGE] = number.covered, reference.rows - number.covered
        held_out[CAPPED_ERROR] = reference.rows - number.capped_error, number.capped_error
    return held_out


def measure_quality(
    summary: LabelSummary,
    *,
    held_out: HeldOut,
    settings: MonitorSection,
    classes: Sequence[str] = (),
    number: NumberCounts | None = None,
) -> Quality:
    """Judges the audited labels since the deploy; a measure without held-out rows is not judged.

    `classes` are the reference's labels; two need not be named. `number` is the reference's.
    """
    closed = [period for period in summary.periods if period.state != "open"]
    judged = measures_of(classes, number).values()
    accuracy, *others = (
        estimate_measure(measure, closed, held_out=held_out.get(measure.name)) for measure in judged
    )
    if len(classes) <= 2:
        others.append(balance(*others[:2]))
    return Quality(
        checks=tuple(
            _check(measure, summary, held_out=held_out.get(measure.name), settings=settings)
            for measure in judged
        ),
        periods=summary.periods,
        since_deploy=accuracy,
        measures=tuple(others),
        labels=summary,
    )


def check_name(measure: str) -> str:
    """Returns the name of a measure's check."""
    return f"{measure} of audited rows"


def _check(
    rule: Measure,
    summary: LabelSummary,
    *,
    held_out: tuple[float, float] | None,
    settings: MonitorSection,
) -> MonitorCheck:
    periods = summary.periods
    closed = [period for period in periods if period.state != "open"]
    measure, rows = rule.name, round(sum(sum(period.count(rule)) for period in periods))
    recent = estimate_measure(rule, _newest(rule, closed), held_out=held_out)
    effect = measure if rule.place is None else CLASS_RECALL
    known = {
        "name": check_name(measure), "kind": "accuracy", "rows": rows,
        "rows_needed": rule.rows_needed, "effect": effect, "value": recent.value,
        "low": recent.low, "high": recent.high,
    }  # fmt: skip
    reason = ""
    if held_out is None:
        reason = (
            "the version was registered by an earlier engine, whose reference has no "
            f"{measure}: run the pipeline again and approve the new version"
        )
    elif not sum(held_out):
        reason = f"the version's test split has no {rule.rows.removeprefix('audited ')}"
    if held_out is None or reason:
        return MonitorCheck(**known, outcome="not judged", tolerance=0.0, reason=reason)
    tolerated = lowest_tolerated(
        right=held_out[0], rows=sum(held_out), tolerance=settings.accuracy_tolerance
    )
    if_right = _test(rule, periods, tolerated=tolerated, right=True)
    if_wrong = _test(rule, closed, tolerated=tolerated, right=False)
    false_alarms = settings.accuracy_false_alarms * rule.budget
    # Once, not with each measure.
    advice = _overdue(periods) if measure == "accuracy" else ""
    outcome: Outcome = "ok"
    limit, beyond = tolerated, f"below {tolerated:.3f}"
    show: Callable[[float], str] = "{:.3f}".format
    if rule.cap is not None:
        limit, show = rule.cap * (1 - tolerated), amount
        beyond = f"above {amount(limit)}"
    reason = f"{measure} is not shown to be {beyond}"
    if if_right.passed(false_alarms) and (rule.place is None or rows >= rule.rows_needed):
        outcome, reason = "alarm", f"{measure} is {beyond}"
    elif rows < rule.rows_needed:
        outcome = "not judged"
        reason = f"{rows:,} {rule.rows}, {rule.rows_needed:,} are needed{advice}"
    elif if_wrong.p_now <= false_alarms:
        outcome, bounds = "not judged", "unknown"
        if recent.worst is not None and recent.best is not None:
            bounds = f"{show(recent.worst)} if all of them were decided wrong, and "
            bounds += f"{show(recent.best)} if all right"
        way = "fall" if rule.cap is None else "rise"
        reason = (
            f"rows without a label could hide a {way} {beyond}: {measure} of the "
            f"newest labelled rows is {bounds}{advice}"
        )
    return MonitorCheck(
        **known,
        outcome=outcome,
        tolerance=limit,
        p_value=min(if_right.p_value / rule.budget, 1.0),
        reason=reason,
    )


def _test(
    measure: Measure, periods: Sequence[AuditedPeriod], *, tolerated: float, right: bool
) -> AuditTest:
    """Bets on all periods, with their unlabelled rows counted as decided right or wrong."""
    test = start_test(tolerated=tolerated)
    for period in periods:
        counts = period.count(measure, right=right)
        days = (period.end - period.start) / dt.timedelta(days=1)
        test = add_window(test, right=counts[0], wrong=counts[1], days=days)
    return test


def _newest(measure: Measure, closed: Sequence[AuditedPeriod]) -> Sequence[AuditedPeriod]:
    """Returns the newest closed periods that have enough labelled rows together, or all."""
    total = 0.0
    for place in reversed(range(len(closed))):
        total += sum(closed[place].count(measure))
        if total >= measure.rows_needed:
            return closed[place:]
    return closed


def _overdue(periods: Sequence[AuditedPeriod]) -> str:
    """Says which periods were closed without all labels, and what to do; empty if none was."""
    overdue = [period for period in periods if period.state == "overdue"]
    if not overdue:
        return ""
    last = overdue[-1]
    others = f", as did {len(overdue) - 1:,} before it" if len(overdue) > 1 else ""
    return (
        f"; the period up to {last.end:%Y-%m-%d} closed on {last.closed:%Y-%m-%d} with "
        f"{last.drawn - last.unlabelled:,} of {last.drawn:,} labels{others}: label the others, "
        "which still count, and raise `monitor.label_days` if labels take longer"
    )
