"""`docs/monitoring-benchmark.md`: measures beside their bars, in a part of each benchmark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sashiko.core.files import write_bytes
from sashiko.evaluation.metrics.calibration import wilson_interval
from verification.benchmarks.runs import machine

PAGE = Path(__file__).parents[2] / "docs/monitoring-benchmark.md"
REFERENCE_ROWS = 3500  # of the test split of `complaints`
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
_ROWS_HEADING = "\n## How many rows a window may have\n"


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


def alarms_page(measured: Sequence[Bar], *, command: str, minutes: float) -> str:
    """Writes the part on alarms in Markdown."""
    lines = [
        "<!-- Written by `python -m verification.benchmarks.monitoring --write`, and the part on",
        "rows by `python -m verification.benchmarks.monitoring_rows --write`. -->",
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


def write_alarms(text: str) -> None:
    """Replaces the page's first part, on alarms."""
    _, heading, rest = PAGE.read_text().partition(_ROWS_HEADING)
    write_bytes(PAGE, f"{text}{heading}{rest}".encode())


def write_rows(text: str) -> None:
    """Replaces the page's second part, on the rows of a window; `text` follows its heading."""
    first, _, _ = PAGE.read_text().partition(_ROWS_HEADING)
    write_bytes(PAGE, f"{first}{_ROWS_HEADING}{text}".encode())
