"""How often monitoring raises an alarm: in quiet weeks, and in weeks with a known shift.

    python -m verification.benchmarks.monitoring
    python -m verification.benchmarks.monitoring --short
    python -m verification.benchmarks.monitoring --write

Windows are drawn from generated rows and judged by the functions and the default settings of the
monitor, all checks together: drift of two columns, the texts and the scores, disparate impact of
two facets against the reference and against the gate's bounds, and the audit. Each window of a
measured power has a reference of its own, each simulated year one for all of its weeks. Exit status
4 if a bar does not hold. `--write` writes `docs/monitoring-benchmark.md`.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from scipy import stats

from sashiko.core.exit_status import CHECK_FAILED
from sashiko.core.files import write_bytes
from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.monitoring.audit import audited_accuracy
from sashiko.monitoring.checks import Measurement, MonitorCheck, judge_measurements
from sashiko.monitoring.disparity import measure_disparity_bound, measure_disparity_change
from sashiko.monitoring.drift import measure_drift
from sashiko.monitoring.sequential import AuditTest, add_window, start_test
from sashiko.monitoring.text_drift import measure_text_drift
from sashiko.settings.monitor import MonitorSection
from sashiko.settings.shifts import ShiftKind
from verification.benchmarks.monitoring_pools import COLUMNS, Pools, Rows
from verification.benchmarks.runs import machine

PAGE = Path(__file__).parents[2] / "docs/monitoring-benchmark.md"
REFERENCE_ROWS = 3500  # of the test split of `complaints`
WEEKS = 52
AUDITED = 100  # labels a week
SIZES = (200, 500, 2000, 20_000)
_SETTINGS = MonitorSection()
_BEFORE, _AFTER = 0.774, 0.706  # accuracy, of a planted concept drift on this data set
_GATE = (0.8, 1.25)
_METHOD = (
    "Windows are drawn from weeks that the generator of `complaints` makes, quiet ones and ones",
    "with a planted shift. They are judged by all checks together, at the defaults of a recipe's",
    "section `monitor`: drift of two columns, the texts and the scores, and disparate impact of",
    "two facets against the reference and against the gate's bounds. The model is a logistic",
    "regression that stands in for the encoder. A simulated year has one reference, and the audit",
    "of 100 labels a week; every other window has a reference of its own. A reference has",
    f"{REFERENCE_ROWS:,} rows. The texts of a quiet year's windows are drawn from those that were",
    "compared, since comparing them takes most of the time. In brackets 95 % intervals of the",
    "simulation; `within error` means that it was too short to tell whether a bar holds.",
)


@dataclass(frozen=True)
class Effort:
    """How much is simulated."""

    years: int  # of quiet weeks, for each size of a window
    windows: int  # with a shift, for each size of it
    texts: int  # quiet windows whose texts are compared; the years draw from them
    runs: int  # of the audit


LONG = Effort(years=400, windows=200, texts=200, runs=4000)
SHORT = Effort(years=4, windows=6, texts=4, runs=400)


@dataclass(frozen=True)
class Bar:
    """A measured figure beside what is asked of it."""

    measure: str
    figure: float
    simulated: str  # how much
    least: float = -math.inf  # the bar: the figure must lie between these two
    most: float = math.inf
    ends: tuple[float, float] | None = None  # of its 95 % interval; None: it is exact, or a median

    @property
    def bar(self) -> str:
        """The bar in words."""
        if math.isinf(self.least):
            return "none" if math.isinf(self.most) else f"at most {self.most:g}"
        return f"at least {self.least:g}" if math.isinf(self.most) else (
            f"{self.least:g} to {self.most:g}"
        )  # fmt: skip

    @property
    def holds(self) -> str:
        """Whether it holds: `yes`, `no`, `within error` of the simulation; empty without a bar."""
        if self.bar == "none":
            return ""
        low, high = self.ends or (self.figure, self.figure)
        if self.least <= low and high <= self.most:
            return "yes"
        return "no" if high < self.least or low > self.most else "within error"

    def __str__(self) -> str:
        """Writes the figure with its interval."""
        interval = "" if self.ends is None else f" [{self.ends[0]:.3g}, {self.ends[1]:.3g}]"
        return f"{self.figure:.3g}{interval}"


def share_bar(
    measure: str,
    events: int,
    of: int,
    what: str,
    *,
    least: float = -math.inf,
    most: float = math.inf,
) -> Bar:
    """Makes the bar of a share of `of` simulated windows or runs."""
    share = events / of
    ends = wilson_interval(share, of)
    return Bar(measure, share, f"{of:,} {what}", least=least, most=most, ends=ends)


def bars(pools: Pools, effort: Effort, *, seed: int) -> Iterator[Bar]:
    """Measures all of them, the cheap ones first."""
    yield from concept_drift(effort, seed=seed)
    yield from coverage()
    yield disparity_power(pools, effort, seed=seed)
    yield from power(pools, effort, seed=seed)
    yield from tolerated(pools, effort, seed=seed)
    for rows in SIZES:
        yield false_alarms(pools, effort, rows=rows, seed=seed)


def concept_drift(effort: Effort, *, seed: int) -> Iterator[Bar]:
    """Measures the weeks until the audit finds a fall of accuracy, and its false alarms."""
    generator = np.random.default_rng(seed)
    runs = f"{effort.runs:,} runs"

    def weeks(accuracies: Sequence[float], labels: int) -> list[float]:
        return [
            _week_of_alarm(accuracies, labels=labels, generator=generator)
            for _ in range(effort.runs)
        ]

    for labels, most in ((100, 8), (200, 5)):
        fall = f"accuracy {_BEFORE} to {_AFTER}, {labels} audited labels a week, median weeks"
        found = median(weeks([_AFTER] * 2 * WEEKS, labels))
        yield Bar(f"{fall}, at once", found, runs, most=most)
        late = [_BEFORE] * (WEEKS // 2) + [_AFTER] * 2 * WEEKS
        found = median(week - WEEKS // 2 for week in weeks(late, labels) if week > WEEKS // 2)
        yield Bar(f"{fall}, after half a year of quiet", found, runs)
    boundary = [_BEFORE - _SETTINGS.accuracy_tolerance] * WEEKS
    alarms = int(np.isfinite(weeks(boundary, AUDITED)).sum())
    yield share_bar(
        "accuracy at its tolerance, years with an alarm", alarms, effort.runs, "runs", most=0.05
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


def disparity_power(pools: Pools, effort: Effort, *, seed: int) -> Bar:
    """Measures how often a fall of disparate impact from 1 to 0.75 is found, by its own check."""
    alarms = _alarms(
        pools, effort, "bias", 0.27, rows=5000, seed=seed, by="disparate impact of customer_gender"
    )
    name = "disparate impact 1.0 to 0.75, 5,000 rows, found by its check"
    return share_bar(name, alarms, effort.windows, "windows", least=0.9)


def power(pools: Pools, effort: Effort, *, seed: int) -> Iterator[Bar]:
    """Measures how often a shift is found in 500 rows."""
    shifts: tuple[tuple[str, ShiftKind, float], ...] = (
        ("product mix moved by .18", "covariate", 0.18),
        ("severe cases .25 to .40", "label", 0.15),
        ("a quarter new phrases", "phrases", 0.25),
    )
    for name, kind, size in shifts:
        alarms = _alarms(pools, effort, kind, size, rows=500, seed=seed)
        yield share_bar(f"{name}, 500 rows, found", alarms, effort.windows, "windows", least=0.95)


def tolerated(pools: Pools, effort: Effort, *, seed: int) -> Iterator[Bar]:
    """Measures how often a shift at its tolerance raises an alarm."""
    # Cohen's w of 0.1 of the products, and of the severities; an AUC of 0.55.
    shifts: tuple[tuple[str, ShiftKind, float], ...] = (
        ("product mix", "covariate", _SETTINGS.column_tolerance / math.sqrt(7.2)),
        ("severe cases", "label", 0.043),
        ("new phrases", "phrases", 2 * _SETTINGS.text_tolerance),
    )
    for rows, most in ((500, 0.10), (2000, 0.05)):
        for name, kind, size in shifts:
            alarms = _alarms(pools, effort, kind, size, rows=rows, seed=seed)
            yield share_bar(
                f"{name} at the tolerance ({size:.3f}), {rows:,} rows, alarms",
                alarms,
                effort.windows,
                "windows",
                most=most,
            )


def false_alarms(pools: Pools, effort: Effort, *, rows: int, seed: int) -> Bar:
    """Counts alarms of quiet years, of all checks together, the audit among them."""
    generator = np.random.default_rng(seed)
    quiet = pools.of()
    texts = [
        measure_texts(
            quiet.draw(REFERENCE_ROWS, generator), quiet.draw(rows, generator), seed=number
        )
        for number in range(effort.texts)
    ]
    alarms = 0
    for _ in range(effort.years):
        reference = quiet.draw(REFERENCE_ROWS, generator)
        test = start_test(
            reference=float(reference.right.mean()), tolerance=_SETTINGS.accuracy_tolerance
        )
        for _ in range(WEEKS):
            window = quiet.draw(rows, generator)
            measured = [
                *measure_all_but_texts(pools, reference, window),
                texts[generator.integers(len(texts))],
            ]
            alarms += any(check.outcome == "alarm" for check in judge(measured))
            audited = window.right[: min(AUDITED, rows)]
            before, test = test, _add(test, audited)
            passed = [one.passed(_SETTINGS.accuracy_false_alarms) for one in (before, test)]
            alarms += passed == [False, True]
    # The exact interval of a Poisson count (F. Garwood, Biometrika 28, 1936).
    low, high = stats.chi2.ppf([0.025, 0.975], [2 * alarms, 2 * alarms + 2]) / 2 / effort.years
    return Bar(
        f"false alarms a year, weekly windows of {rows:,}",
        alarms / effort.years,
        f"{effort.years:,} years, {effort.texts:,} windows of texts",
        most=1,
        ends=(float(np.nan_to_num(low)), float(high)),
    )


def _alarms(
    pools: Pools,
    effort: Effort,
    kind: ShiftKind,
    size: float,
    *,
    rows: int,
    seed: int,
    by: str = "",
) -> int:
    """Counts windows with an alarm, of any check or of those whose name begins with `by`."""
    generator = np.random.default_rng(seed)
    quiet, shifted = pools.of(), pools.of(kind, size)
    alarms = 0
    for number in range(effort.windows):
        reference = quiet.draw(REFERENCE_ROWS, generator)
        window = shifted.draw(rows, generator)
        measured = [
            *measure_all_but_texts(pools, reference, window),
            measure_texts(reference, window, seed=number),
        ]
        alarms += any(
            check.outcome == "alarm" and check.name.startswith(by) for check in judge(measured)
        )
    return alarms


def measure_all_but_texts(pools: Pools, reference: Rows, window: Rows) -> list[Measurement]:
    """Measures all but the texts, whose time is most of the simulation's."""
    drift = [
        measure_drift(
            f"drift of {name}",
            reference.counts(name, cells=pools.cells[name]),
            window.counts(name, cells=pools.cells[name]),
            ordered=name == "score",
            tolerance=_SETTINGS.column_tolerance,
        )
        for name in (*COLUMNS, "score")
    ]
    for facet in window.groups:
        # The interval decides nothing here.
        options = {"minimum_group_size": 100, "replicates": 100, "seed": 0}
        counts = window.by_group(facet)
        name = f"disparate impact of {facet}"
        drift += [
            measure_disparity_change(
                name,
                reference.by_group(facet),
                counts,
                tolerance=_SETTINGS.bias_tolerance,
                **options,
            ),
            measure_disparity_bound(
                f"{name}, the gate's bounds", counts, minimum=_GATE[0], maximum=_GATE[1], **options
            ),
        ]
    return drift


def measure_texts(reference: Rows, window: Rows, *, seed: int) -> Measurement:
    """Measures the texts."""
    return measure_text_drift(
        "drift of the texts",
        reference.texts.tolist(),
        window.texts.tolist(),
        tolerance=_SETTINGS.text_tolerance,
        seed=seed,
    )


judge: Callable[[Sequence[Measurement]], tuple[MonitorCheck, ...]] = partial(
    judge_measurements, false_alarms=_SETTINGS.false_alarms
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


def _add(test: AuditTest, audited: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> AuditTest:
    right = int(audited.sum())
    return add_window(test, right=right, wrong=len(audited) - right)


def page(measured: Sequence[Bar], *, command: str, minutes: float) -> str:
    """Writes the page in Markdown."""
    lines = [
        "<!-- Written by `python -m verification.benchmarks.monitoring --write`. -->",
        "",
        "# How often monitoring raises an alarm",
        "",
        "```",
        command,
        "```",
        "",
        f"On {machine()}, in {minutes:.0f} minutes.",
        "",
        *_METHOD,
        "",
        "| measure | measured | bar | holds | simulated |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {bar.measure} | {bar} | {bar.bar} | {bar.holds} | {bar.simulated} |" for bar in measured
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Prints the table, and writes the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="minutes instead of hours")
    parser.add_argument("--write", action="store_true", help="write the page")
    parser.add_argument("--pool", type=int, default=40_000, help="rows that windows are drawn from")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started, measured = time.monotonic(), []
    pools = Pools(rows=options.pool, seed=options.seed)
    for bar in bars(pools, SHORT if options.short else LONG, seed=options.seed):
        measured.append(bar)
        print(f"{bar.measure}: {bar} ({bar.bar})", file=sys.stderr, flush=True)
    command = f"python -m verification.benchmarks.monitoring{' --short' if options.short else ''}"
    text = page(measured, command=command, minutes=(time.monotonic() - started) / 60)
    print(text)
    if options.write:
        write_bytes(PAGE, text.encode())
    if any(bar.holds == "no" for bar in measured):
        raise SystemExit(CHECK_FAILED)


if __name__ == "__main__":
    main()
