"""Figures beside their bars: what the benchmarks of monitoring print, and write into their page."""

import math
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from sashiko.errors import CHECK_FAILED
from sashiko.evaluation.metrics.calibration import wilson_interval
from verification.benchmarks.bench import machine, show, table, write_part

PAGE = Path(__file__).parents[2] / "docs/monitoring-benchmark.md"


@dataclass(frozen=True)
class Bar:
    """A measured figure beside the bar that it must pass."""

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
        return (
            f"at least {self.least:g}"
            if math.isinf(self.most)
            else f"{self.least:g} to {self.most:g}"
        )

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
    ends = wilson_interval(events / of, of)
    return Bar(measure, events / of, f"{of:,} {what}", least=least, most=most, ends=ends)


def count_bar(measure: str, events: int, years: int, what: str, *, most: float = math.inf) -> Bar:
    """Makes the bar of a number of events a year, with the exact interval of a Poisson count.

    Source: F. Garwood, Biometrika 28 (1936).
    """
    low, high = stats.chi2.ppf([0.025, 0.975], [2 * events, 2 * events + 2]) / 2 / years
    ends = (float(np.nan_to_num(low)), float(high))
    return Bar(measure, events / years, what, most=most, ends=ends)


def bar_table(bars: Iterable[Bar]) -> Iterator[str]:
    """Yields the lines of a table of bars."""
    rows = ((bar.measure, bar, bar.bar, bar.holds, bar.simulated) for bar in bars)
    return table(("measure", "measured", "bar", "holds", "simulated"), rows)


def report(part: str, measured: Iterable[Bar], *, write: bool) -> None:
    """Prints the bars, and writes them into their part of the page; exits with 4 if one fails."""
    started, bars = time.process_time(), []
    for bar in measured:
        bars.append(bar)
        print(f"{bar.measure}: {bar} ({bar.bar})", file=sys.stderr, flush=True)
    minutes = (time.process_time() - started) / 60
    lines = [f"On {machine()}, in {minutes:.0f} minutes of a processor.", "", *bar_table(bars)]
    show(lines)
    if write:
        write_part(PAGE, part, lines)
    if any(bar.holds == "no" for bar in bars):
        raise SystemExit(CHECK_FAILED)
