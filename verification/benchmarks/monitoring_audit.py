"""The audit of a simulated model: how soon it finds a fall, how often it errs, and missing labels.

    python -m verification.benchmarks.monitoring_audit --write

A simulated week has 100 drawn rows, or as many as a measure names. Where labels are missing, the
whole audit judges; where none is, its test alone does, which is faster. Exit status 4 if a bar
does not hold. `--write` writes the page's part on the audit.
"""

import datetime as dt
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

import numpy as np
from scipy import stats

from sashiko.evaluation.metrics.arrays import Ints
from sashiko.evaluation.metrics.quality import Confusion
from sashiko_packs.monitoring.audited import (
    MEASURES,
    AuditedPeriod,
    LabelSummary,
    check_name,
    estimate_measure,
    measure_quality,
    right_and_wrong,
)
from sashiko_packs.monitoring.checks import Outcome
from sashiko_packs.monitoring.e_detector import AuditTest, add_window, lowest_tolerated, start_test
from sashiko_packs.monitoring.settings import MonitorSection
from verification.benchmarks.bench import options
from verification.benchmarks.monitoring_pools import REFERENCE_ROWS, Bar, report, share_bar

WEEKS = 52
AUDITED = 100  # labels a week
_WEEK: Final = dt.timedelta(days=7)
_START: Final = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
_SETTINGS = MonitorSection()
_BEFORE, _AFTER = 0.774, 0.706  # accuracy, of a planted concept drift on this data set
_SPECIFICITY: Final = 0.985  # where positives are few
_BUDGET: Final = _SETTINGS.accuracy_false_alarms * MEASURES["accuracy"].budget


class Audit:
    """The audit's tests of all measures, week by week, of rows that are all labelled."""

    def __init__(self, reference: Confusion) -> None:
        self._tests: dict[str, AuditTest] = {}
        for name in MEASURES:
            right, wrong = right_and_wrong(name, reference)
            if right + wrong:  # else it is not judged
                lowest = lowest_tolerated(
                    right=right, rows=right + wrong, tolerance=_SETTINGS.accuracy_tolerance
                )
                self._tests[name] = start_test(tolerated=lowest)

    def add(self, labels: Confusion) -> None:
        """Adds a week's labels."""
        for name, test in self._tests.items():
            right, wrong = right_and_wrong(name, labels)
            self._tests[name] = add_window(test, right=right, wrong=wrong, days=7)

    def alarms(self) -> set[str]:
        """Names the measures in alarm."""
        return {
            name
            for name, test in self._tests.items()
            if test.passed(_SETTINGS.accuracy_false_alarms * MEASURES[name].budget)
        }


@dataclass(frozen=True)
class _World:
    """The rows that a model decides."""

    positives: float  # share of the rows
    recall: float
    specificity: float

    def draw(self, rows: int, generator: np.random.Generator) -> Confusion:
        """Draws labelled rows."""
        shares = [
            self.positives * self.recall,
            (1 - self.positives) * (1 - self.specificity),
            self.positives * (1 - self.recall),
            (1 - self.positives) * self.specificity,
        ]
        return confusion_of(generator.multinomial(rows, shares))


def confusion_of(counts: Ints | Sequence[int]) -> Confusion:
    """Returns counts of true and false positives, then of false and true negatives."""
    tp, fp, fn, tn = (int(count) for count in counts)
    return Confusion(true_positives=tp, false_positives=fp, false_negatives=fn, true_negatives=tn)


def _bars(runs: int, *, seed: int) -> Iterator[Bar]:
    """Measures all of them."""
    yield from concept_drift(runs, seed=seed)
    for of_runs in (unchanged, rare_positives, missing_labels):
        yield from of_runs(runs // 4, seed=seed)
    yield from slow_labels(runs // 20, seed=seed)
    yield from coverage()


def concept_drift(runs: int, *, seed: int) -> Iterator[Bar]:
    """Measures the weeks until the audit finds a fall of accuracy, and its false alarms."""
    generator = np.random.default_rng(seed)
    simulated = f"{runs:,} runs"
    for labels, most in ((100, (8, 11)), (200, (5, 7))):
        fall = f"accuracy {_BEFORE} to {_AFTER}, {labels} audited labels a week, median weeks"
        for quiet, name, bar in (
            (0, "at once", most[0]),
            (WEEKS // 2, "after half a year of quiet", most[1]),
            (2 * WEEKS, "after two years of quiet", most[1]),
        ):
            weeks = [_BEFORE] * quiet + [_AFTER] * WEEKS
            alarms = [_week_of_alarm(weeks, labels, generator) for _ in range(runs)]
            delay = median(week - quiet for week in alarms if week > quiet)
            yield Bar(f"{fall}, {name}", delay, simulated, most=bar)
    yield _tolerated(runs, generator)


def _tolerated(runs: int, generator: np.random.Generator) -> Bar:
    """Measures the accuracy's false alarms at its tolerance, where they are most frequent."""
    years = max(runs // 4, 100)
    worst = max(
        sum(
            math.isfinite(_week_of_alarm([lowest] * WEEKS, labels, generator, lowest=lowest))
            for _ in range(years)
        )
        for lowest in (0.6, 0.754, 0.9, 0.97)
        for labels in (10, 30, 100, 400)
    )
    return share_bar(
        "accuracy at its tolerance, years with an alarm, worst of accuracies .60 to .97 and 10 to "
        "400 labels a week",
        worst, years, "years each", most=_BUDGET,
    )  # fmt: skip


def unchanged(runs: int, *, seed: int) -> Iterator[Bar]:
    """Measures how often any measure of an unchanged model is in alarm, by the test split's size.

    The reference is what the test split has, not the true value.
    """
    generator = np.random.default_rng(seed)
    for rows in (200, 500, REFERENCE_ROWS):
        for world, name in (
            (_World(0.35, 0.7, 0.814), "35 % positives"),
            (_World(0.03, 0.7, _SPECIFICITY), "3 % positives"),
        ):
            alarms = 0
            for _ in range(runs):
                audit = Audit(world.draw(rows, generator))
                for _ in range(WEEKS):
                    audit.add(world.draw(AUDITED, generator))
                alarms += bool(audit.alarms())
            yield share_bar(
                f"unchanged, test split of {rows:,} rows, {name}, years with an alarm of any "
                "measure",
                alarms, runs, "years", most=_SETTINGS.accuracy_false_alarms,
            )  # fmt: skip


def rare_positives(runs: int, *, seed: int) -> Iterator[Bar]:
    """Measures how soon a fall of recall is found where positives are few."""
    generator = np.random.default_rng(seed)
    for positives in (0.03, 0.05, 0.1):
        before, after = (_World(positives, recall, _SPECIFICITY) for recall in (0.7, 0.2))
        weeks = []
        for _ in range(runs):
            audit, week = Audit(before.draw(REFERENCE_ROWS, generator)), 0
            while "recall" not in audit.alarms() and week < WEEKS:
                audit.add(after.draw(AUDITED, generator))
                week += 1
            weeks.append(week if "recall" in audit.alarms() else math.inf)
        share = f"{100 * positives:.0f} %"
        name = f"recall .70 to .20 at {share} positives, 100 labels a week"
        found = sum(math.isfinite(week) for week in weeks)
        yield share_bar(f"{name}, found in a year", found, runs, "years", least=0.95)
        yield Bar(f"{name}, median weeks", median(weeks), f"{runs:,} years", most=13)


def missing_labels(runs: int, *, seed: int) -> Iterator[Bar]:
    """Measures the verdict at the end of half a year where a tenth of the rows is not labelled."""
    generator = np.random.default_rng(seed)

    def outcome(accuracy: float, *, hard: bool) -> Outcome:
        weeks = range(WEEKS // 2)
        return _verdict([_unlabelled(week, accuracy, generator, hard=hard) for week in weeks])

    def outcomes(accuracy: float, *, hard: bool) -> list[Outcome]:
        return [outcome(accuracy, hard=hard) for _ in range(runs)]

    what = "half-years"
    for accuracy in (0.78, 0.75):
        verdicts = outcomes(accuracy, hard=True)
        name = f"accuracy .85 to {accuracy:.2f}, the wrong tenth unlabelled".replace("0.", ".")
        yield share_bar(f"{name}, ok", verdicts.count("ok"), runs, what, most=0.01)
        yield share_bar(f"{name}, not judged", verdicts.count("not judged"), runs, what)
    quiet, fallen = outcomes(0.85, hard=False), outcomes(0.75, hard=False)
    name = "a tenth unlabelled by chance"
    yield share_bar(f"accuracy .85, {name}, alarm", quiet.count("alarm"), runs, what, most=_BUDGET)
    yield share_bar(f"accuracy .85, {name}, not judged", quiet.count("not judged"), runs, what)
    yield share_bar(f"accuracy .85 to .75, {name}, ok", fallen.count("ok"), runs, what, most=0.01)
    yield share_bar(f"accuracy .85 to .75, {name}, alarm", fallen.count("alarm"), runs, what)


def slow_labels(runs: int, *, seed: int) -> Iterator[Bar]:
    """Measures the weeks to an alarm where labels come late, or the easy ones first."""
    generator = np.random.default_rng(seed)

    def delay(state: Callable[[Confusion, int], AuditedPeriod]) -> float:
        return median(_first_alarm(state, generator) for _ in range(runs))

    def easy_first(labels: Confusion, age: int) -> AuditedPeriod:
        """Nine tenths come at once, those that were decided right before the others."""
        missing = min(10, labels.false_negatives) if age < 3 else 0
        shown = replace(labels, false_negatives=labels.false_negatives - missing)
        return _period(0, shown, negative=missing, is_closed=False)

    def late(labels: Confusion, age: int) -> AuditedPeriod:
        """All come six weeks after the period, which is closed after four."""
        if age > 6:
            return _period(0, labels)
        none = confusion_of([0, 0, 0, 0])
        return _period(0, none, negative=AUDITED, is_closed=age > 4)

    at_once = delay(lambda labels, _: _period(0, labels))
    fall, what = "accuracy .85 to .78, median weeks, labels", f"{runs:,} runs"
    yield Bar(f"{fall} at once", at_once, what)
    yield Bar(f"{fall} of right decisions first, the last tenth after three weeks",
              delay(easy_first), what, most=at_once + 4)  # fmt: skip
    yield Bar(f"{fall} six weeks late, at the default of 28 days", delay(late), what,
              most=at_once + 8)  # fmt: skip


def _first_alarm(
    state: Callable[[Confusion, int], AuditedPeriod], generator: np.random.Generator
) -> float:
    """Looks once a week; `state` says what is known of a period by its age in weeks."""
    labels: list[Confusion] = []
    for week in range(1, WEEKS + 1):
        labels.append(_accuracy_rows(AUDITED, 0.78, generator))
        known = [state(one, week - number) for number, one in enumerate(labels)]
        periods = [
            one.model_copy(update={end: getattr(one, end) + at * _WEEK for end in ("start", "end")})
            for at, one in enumerate(known)
        ]
        if _verdict(periods) == "alarm":
            return week
    return math.inf


def coverage() -> Iterator[Bar]:
    """Computes how often the interval of the audited accuracy holds the true one, exactly."""
    accuracies = np.arange(0.60, 0.951, 0.005)
    for labels in (100, 200, 400):
        right = np.arange(labels + 1)
        periods = [_period(0, confusion_of([count, labels - count, 0, 0])) for count in right]
        ends = [
            estimate_measure(MEASURES["accuracy"], [period], held_out=None) for period in periods
        ]
        low = np.array([end.low or 0 for end in ends])
        high = np.array([end.high or 1 for end in ends])
        shares = []
        for accuracy in accuracies:
            holds = (low <= accuracy) & (accuracy <= high)
            shares.append(stats.binom.pmf(right, labels, accuracy)[holds].sum())
        for name, share in (("least", min(shares)), ("most", max(shares))):
            what = f"coverage of the audited interval, {labels} labels, {name} of all accuracies"
            simulated = "exact, accuracies of 0.60 to 0.95"
            yield Bar(what, round(float(share), 2), simulated, least=0.92, most=0.97)


def _week_of_alarm(
    accuracies: Sequence[float],
    labels: int,
    generator: np.random.Generator,
    *,
    lowest: float | None = None,
) -> float:
    """Returns the first week with an alarm of the accuracy; infinite if there is none."""
    tolerated = lowest or lowest_tolerated(
        right=round(_BEFORE * REFERENCE_ROWS),
        rows=REFERENCE_ROWS,
        tolerance=_SETTINGS.accuracy_tolerance,
    )
    test = start_test(tolerated=tolerated)
    for week, right in enumerate(generator.binomial(labels, accuracies).tolist(), start=1):
        test = add_window(test, right=right, wrong=labels - right, days=7)
        if test.passed(_BUDGET):
            return week
    return math.inf


def _accuracy_rows(rows: int, accuracy: float, generator: np.random.Generator) -> Confusion:
    """Draws rows; wrong decisions are missed cases."""
    right = int(generator.binomial(rows, accuracy))
    return confusion_of([right // 2, 0, rows - right, right - right // 2])


def _unlabelled(
    week: int, accuracy: float, generator: np.random.Generator, *, hard: bool
) -> AuditedPeriod:
    """A period whose tenth is not labelled: wrong decisions first, or by chance."""
    rows = _accuracy_rows(AUDITED, accuracy, generator)
    wrong = rows.false_negatives
    missing = min(10, wrong) if hard else int(generator.hypergeometric(wrong, AUDITED - wrong, 10))
    right = AUDITED - wrong - (0 if hard else 10 - missing)
    shown = confusion_of([right // 2, 0, wrong - missing, right - right // 2])
    return _period(week, shown, negative=AUDITED - right - (wrong - missing))


def _period(
    week: int, labelled: Confusion, *, negative: int = 0, is_closed: bool = True
) -> AuditedPeriod:
    end = _START + (week + 1) * _WEEK
    return AuditedPeriod(
        start=end - _WEEK, end=end, answers=1000, labelled=labelled, unlabelled_positive=0,
        unlabelled_negative=negative, late=0, closed=end if is_closed or not negative else None,
        state="complete" if not negative else "overdue" if is_closed else "open",
    )  # fmt: skip


def _verdict(periods: Sequence[AuditedPeriod]) -> Outcome:
    """Judges the accuracy, against a test split with .85."""
    none = ("waiting", "known", "duplicated", "corrected")
    counts = dict.fromkeys((*none, "unknown"), 0)
    summary = LabelSummary(version=1, periods=tuple(periods), **counts)
    right = round(0.85 * REFERENCE_ROWS)
    reference = confusion_of([right // 2, 0, REFERENCE_ROWS - right, right - right // 2])
    held_out = {measure: right_and_wrong(measure, reference) for measure in MEASURES}
    quality = measure_quality(summary, held_out=held_out, settings=_SETTINGS)
    return {check.name: check for check in quality.checks}[check_name("accuracy")].outcome


def main() -> None:
    """Prints the table, and writes it into the page if asked to."""
    chosen = options(__doc__, runs=4000, seed=0, write=False)
    report("audit", _bars(chosen.runs, seed=chosen.seed), write=chosen.write)


if __name__ == "__main__":
    main()
