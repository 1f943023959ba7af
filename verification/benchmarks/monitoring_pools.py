"""What the benchmarks of monitoring share: rows of generated weeks, and figures beside their bars.

The model is a stand-in: a logistic regression on hashed words, trained on rows of the period. What
is monitored is real: inputs, texts, scores, decisions, labels and groups of generated rows.
"""

import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import stats
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

from sashiko.data.generators.base import Order
from sashiko.data.generators.complaints import Complaints
from sashiko.errors import CHECK_FAILED
from sashiko.evaluation.metrics.arrays import Bools, Ints
from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.evaluation.metrics.counts import Counts
from sashiko.evaluation.metrics.quality import Confusion
from sashiko.evaluation.reference_columns import cells_of, count_reference
from sashiko.settings.shifts import Shift, ShiftKind, ShiftPlan
from verification.benchmarks.bench import machine, show, table, write_part

REFERENCE_ROWS = 3500  # of the test split of `complaints`
COLUMNS = ("product", "channel")
FACETS = {"customer_gender": "female", "age_band": "60+"}  # facet -> the group that may be harmed
_TRAINED_ON = 6000
_SCORE_BINS = 50
_QUIET_BREACHES = 0.005  # of the rows of any window break a rule of the contract

# What a monitor sees of rows: the cells of columns and of the score, the text,
# whether a row is of a facet's group, the decision, whether it agrees with the label, and whether
# the row breaks a rule.
Rows = np.ndarray[tuple[int], np.dtype[np.void]]
_FIELDS = [
    *((name, np.int64) for name in (*COLUMNS, "score")),
    ("text", np.object_),
    *((name, np.bool_) for name in (*FACETS, "positive", "right", "breaks")),
]


@dataclass(frozen=True)
class Window:
    """Rows of a window as ReadCapture hands them on."""

    rows: Rows
    clusters: Ints
    dominates: Bools


def alone(rows: Rows) -> Window:
    """Takes each row for a cluster."""
    return Window(rows, np.arange(len(rows)), np.zeros(len(rows), dtype=np.bool_))


def draw(pool: Rows, rows: int, generator: np.random.Generator) -> Rows:
    """Draws rows with replacement."""
    return pool[generator.integers(0, len(pool), rows)]


def confusion(rows: Rows) -> Confusion:
    """Counts rows by label and decision."""
    fn, tn, fp, tp = np.bincount(2 * rows["positive"] + rows["right"], minlength=4).tolist()
    return Confusion(true_positives=tp, false_positives=fp, false_negatives=fn, true_negatives=tn)


def decisions(rows: Rows, facet: str) -> Ints:
    """Returns each row's cell of `effect_of_ratio`."""
    cells: Ints = rows[facet] * 2 + rows["positive"]
    return cells


def by_group(rows: Rows, facet: str) -> Counts:
    """Counts decisions of the group and of the rest; the labels play no part."""
    cells = np.zeros((1, 2, 2, 2), dtype=np.int64)
    cells[0, :, 0] = np.bincount(decisions(rows, facet), minlength=4).reshape(2, 2)
    return Counts(cells, np.array([False, True]))


class Pools:
    """Rows of quiet weeks, and of weeks with one shift, judged by one model."""

    def __init__(self, *, rows: int, seed: int) -> None:
        self._rows, self._seed = rows, seed
        self._pools: dict[tuple[ShiftKind, float] | None, Rows] = {}
        self._words = HashingVectorizer(ngram_range=(1, 2), n_features=2**16)
        period = _generate(Order(rows=_TRAINED_ON, seed=seed + 1, bias=False))
        labels = pc.equal(period["escalate"], "yes").to_numpy()
        inputs = self._words.transform(_texts(period))
        self._model: Any = LogisticRegression(C=10, max_iter=200).fit(inputs, labels)
        quiet = self._week(None)
        self._columns = {name: count_reference(name, quiet[name]) for name in COLUMNS}

    @property
    def cells(self) -> Mapping[str, int]:
        """The number of cells of each column, and of the scores."""
        columns = {name: len(counted.counts) for name, counted in self._columns.items()}
        return columns | {"score": _SCORE_BINS}

    def of(self, kind: ShiftKind | None = None, size: float = 0.0) -> Rows:
        """Returns the rows of a week with a shift; quiet ones without."""
        key = None if kind is None else (kind, size)
        if key not in self._pools:
            self._pools[key] = self._judge(self._week(key))
        return self._pools[key]

    def _week(self, key: tuple[ShiftKind, float] | None) -> pa.Table:
        shifts = () if key is None else (Shift(kind=key[0], size=key[1]),)
        plan = ShiftPlan(weeks=1, rows_per_week=self._rows, shifts=shifts)
        return _generate(Order(rows=1, seed=self._seed, bias=False, plan=plan)).slice(1)

    def _judge(self, week: pa.Table) -> Rows:
        texts = _texts(week)
        rows = np.empty(len(texts), dtype=_FIELDS)
        for name in COLUMNS:
            rows[name] = cells_of(self._columns[name], week[name])
        scores = self._model.predict_proba(self._words.transform(texts))[:, 1]
        rows["score"] = np.minimum(scores * _SCORE_BINS, _SCORE_BINS - 1)
        rows["text"] = texts
        for facet, group in FACETS.items():
            rows[facet] = pc.equal(week[facet], group).to_numpy()
        rows["positive"] = scores >= 0.5
        rows["right"] = rows["positive"] == pc.equal(week["escalate"], "yes").to_numpy()
        rows["breaks"] = np.random.default_rng(self._seed).random(len(rows)) < _QUIET_BREACHES
        return rows


def _generate(order: Order) -> pa.Table:
    return pa.Table.from_batches(Complaints().batches(order))


def _texts(table: pa.Table) -> list[str]:
    texts: list[str] = pc.binary_join_element_wise(
        table["product"], table["complaint_text"], ": "
    ).to_pylist()
    return texts


PAGE = Path(__file__).parents[1] / "results/monitoring.md"


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
