"""The audit of a simulated model: how soon it finds a fall of accuracy, and how often it errs."""

import math
from collections.abc import Iterator, Sequence
from statistics import median

import numpy as np
from scipy import stats

from sashiko.monitoring.audit import audited_accuracy
from sashiko.monitoring.sequential import add_window, start_test
from sashiko.settings.monitor import MonitorSection
from verification.benchmarks.monitoring_page import Bar, share_bar

WEEKS = 52
AUDITED = 100  # labels a week
_SETTINGS = MonitorSection()
_BEFORE, _AFTER = 0.774, 0.706  # accuracy, of a planted concept drift on this data set


def concept_drift(runs: int, *, seed: int) -> Iterator[Bar]:
    """Measures the weeks until the audit finds a fall of accuracy, and its false alarms."""
    generator = np.random.default_rng(seed)
    simulated = f"{runs:,} runs"

    def weeks(accuracies: Sequence[float], labels: int) -> list[float]:
        return [_week_of_alarm(accuracies, labels=labels, generator=generator) for _ in range(runs)]

    for labels, most in ((100, 8), (200, 5)):
        fall = f"accuracy {_BEFORE} to {_AFTER}, {labels} audited labels a week, median weeks"
        weeks_to_alarm = median(weeks([_AFTER] * 2 * WEEKS, labels))
        yield Bar(f"{fall}, at once", weeks_to_alarm, simulated, most=most)
        late = [_BEFORE] * (WEEKS // 2) + [_AFTER] * 2 * WEEKS
        weeks_to_alarm = median(
            week - WEEKS // 2 for week in weeks(late, labels) if week > WEEKS // 2
        )
        yield Bar(f"{fall}, after half a year of quiet", weeks_to_alarm, simulated)
    boundary = [_BEFORE - _SETTINGS.accuracy_tolerance] * WEEKS
    alarms = int(np.isfinite(weeks(boundary, AUDITED)).sum())
    yield share_bar(
        "accuracy at its tolerance, years with an alarm", alarms, runs, "runs", most=0.05
    )


def coverage() -> Iterator[Bar]:
    """Computes how often the interval of the audited accuracy holds the true one, exactly."""
    accuracies = np.arange(0.60, 0.951, 0.005)
    for labels in (100, 200, 400):
        right = np.arange(labels + 1)
        ends = [
            audited_accuracy(np.arange(labels) < count, np.ones(labels), drawn=labels)
            for count in right
        ]
        shares = [
            sum(
                stats.binom.pmf(count, labels, accuracy)
                for count, end in zip(right, ends, strict=True)
                if (end.low or 0) <= accuracy <= (end.high or 1)
            )
            for accuracy in accuracies
        ]
        for name, share in (("least", min(shares)), ("most", max(shares))):
            yield Bar(
                f"coverage of the audited interval, {labels} labels, {name} of all accuracies",
                round(float(share), 2),
                "exact, accuracies of 0.60 to 0.95",
                least=0.92,
                most=0.97,
            )


def _week_of_alarm(
    accuracies: Sequence[float], *, labels: int, generator: np.random.Generator
) -> float:
    test = start_test(reference=_BEFORE, tolerance=_SETTINGS.accuracy_tolerance)
    for week, right in enumerate(generator.binomial(labels, accuracies).tolist(), start=1):
        test = add_window(test, right=right, wrong=labels - right)
        if test.passed(_SETTINGS.accuracy_false_alarms):
            return week
    return math.inf
