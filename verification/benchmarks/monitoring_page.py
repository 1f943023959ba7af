"""`docs/monitoring-benchmark.md`: measures beside their bars, in a part of each benchmark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from sashiko.core.files import write_bytes
from sashiko.evaluation.metrics.calibration import wilson_interval
from verification.benchmarks.runs import machine

PAGE = Path(__file__).parents[2] / "docs/monitoring-benchmark.md"
REFERENCE_ROWS = 3500  # of the test split of `complaints`
_METHOD = (
    "Windows are drawn from weeks that the generator of `complaints` makes, quiet ones and ones",
    "with a planted shift. They are judged by all checks together, at the defaults of a recipe's",
    "section `monitor`: seven rules of the inputs, one of which a row of 200 breaks, drift of two",
    "columns, the texts and the scores, texts of unknown words, and disparate impact of two facets",
    "against the reference and against the gate's bounds. The model is a logistic regression that",
    "stands in for the encoder. A simulated year has one reference, and the audit of 100 labels a",
    "week; every other window has a reference of its own. A reference has",
    f"{REFERENCE_ROWS:,} rows.",
    "The texts of a quiet year's windows are drawn from those that were compared, since comparing",
    "them takes most of the time. In brackets 95 % intervals of the simulation; `within error`",
    "means that it was too short to tell whether a bar holds.",
)
_PART = "\n## "
_TRAFFIC_METHOD = (
    "Nothing is wrong in any of this traffic, and all checks of a window judge it but the audit,",
    "whose draws do not depend on it. `in clusters` is what `sashiko monitor` does where requests",
    "name their client; texts sent again and requests it finds itself. A row of 200 breaks a rule",
    "of the contract in all of it. The texts of a few windows a kind are compared, and stand for",
    "those of their part of the year. Clients have mixes of products of their own (Dirichlet, 10).",
    "A season of ±5 % and a day of a weekend are changes beyond the default tolerance, so they",
    "have no bar: [what to do](monitoring.md#rows-that-are-not-independent).",
)


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


def count_bar(measure: str, events: int, years: int, what: str, *, most: float = math.inf) -> Bar:
    """Makes the bar of a number of events a year, with the exact interval of a Poisson count.

    Source: F. Garwood, Biometrika 28 (1936).
    """
    low, high = stats.chi2.ppf([0.025, 0.975], [2 * events, 2 * events + 2]) / 2 / years
    ends = (float(np.nan_to_num(low)), float(high))
    return Bar(measure, events / years, what, most=most, ends=ends)


def traffic_part(measured: Sequence[Bar], *, minutes: float) -> str:
    """Writes the part on traffic in Markdown, below its heading."""
    lines = [
        "",
        "```",
        "OPENBLAS_NUM_THREADS=1 python -m verification.benchmarks.monitoring_traffic_alarms",
        "```",
        "",
        f"On {machine()}, in {minutes:.0f} minutes of a processor, other work beside.",
        "",
        *_TRAFFIC_METHOD,
        "",
        *bar_lines(measured),
    ]
    return "\n".join(lines) + "\n"


def alarms_page(measured: Sequence[Bar], *, command: str, minutes: float) -> str:
    """Writes the part on alarms in Markdown."""
    lines = [
        "<!-- Written by `python -m verification.benchmarks.monitoring --write`, and the parts on",
        "the audit and on rows by `python -m verification.benchmarks.monitoring_audit --write` and",
        "`python -m verification.benchmarks.monitoring_rows --write`. -->",
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
        *bar_lines(measured),
    ]
    return "\n".join(lines) + "\n"


def bar_lines(measured: Sequence[Bar]) -> list[str]:
    """Returns the lines of a table of bars."""
    return [
        "| measure | measured | bar | holds | simulated |",
        "|---|---|---|---|---|",
        *(
            f"| {bar.measure} | {bar} | {bar.bar} | {bar.holds} | {bar.simulated} |"
            for bar in measured
        ),
    ]


def write_alarms(text: str) -> None:
    """Replaces the page's first part, on alarms."""
    _, mark, rest = PAGE.read_text().partition(_PART)
    write_bytes(PAGE, f"{text}{mark}{rest}".encode())


def write_part(heading: str, text: str) -> None:
    """Replaces a later part of the page, or adds it at the end; `text` follows its heading."""
    first, *parts = PAGE.read_text().split(_PART)
    texts = {part.partition("\n")[0]: part for part in parts}
    texts[heading] = f"{heading}\n{text}"
    write_bytes(PAGE, _PART.join([first, *texts.values()]).encode())
