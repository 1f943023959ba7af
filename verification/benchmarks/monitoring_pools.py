"""Rows of generated weeks, quiet and shifted, that the monitoring benchmark draws its windows from.

The model is a stand-in: a logistic regression on hashed words, trained on rows of the period. What
is monitored is real: inputs, texts, scores, decisions, labels and groups of generated rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

from sashiko.data.generators.base import Order
from sashiko.data.generators.complaints import Complaints
from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints
from sashiko.evaluation.metrics.counts import Counts
from sashiko.evaluation.metrics.quality import Confusion
from sashiko.monitoring.columns import cells_of, count_reference
from sashiko.settings.shifts import Shift, ShiftKind, ShiftPlan

_TRAINED_ON = 6000
_SCORE_BINS = 50
_GROUPS = {"customer_gender": "female", "age_band": "60+"}
COLUMNS = ("product", "channel")
QUIET_BREACHES = 0.005  # of the rows of any window break a rule


@dataclass(frozen=True)
class Rows:
    """What a monitor sees of rows, column by column."""

    cells: Mapping[str, Ints]  # of `COLUMNS` and `score`
    scores: Floats
    texts: "np.ndarray[tuple[int], np.dtype[np.object_]]"
    groups: Mapping[str, Bools]  # facet -> whether a row is of the group that it may harm
    positive: Bools  # the decision
    right: Bools  # whether it agrees with the label
    breaks: Bools  # whether a row breaks a rule of the contract, as a share of quiet rows does

    def draw(self, rows: int, generator: np.random.Generator) -> "Rows":
        """Draws rows with replacement."""
        return self.take(generator.integers(0, len(self.right), rows))

    def take(self, chosen: Ints) -> "Rows":
        """Returns some of the rows."""
        return Rows(
            cells={name: cells[chosen] for name, cells in self.cells.items()},
            scores=self.scores[chosen],
            texts=self.texts[chosen],
            groups={name: group[chosen] for name, group in self.groups.items()},
            positive=self.positive[chosen],
            right=self.right[chosen],
            breaks=self.breaks[chosen],
        )

    def counts(self, column: str, *, cells: int) -> Ints:
        """Counts the rows by cell."""
        return np.bincount(self.cells[column], minlength=cells).astype(np.int64)

    def confusion(self, rows: int) -> Confusion:
        """Counts the first rows by label and decision."""
        codes = (2 * self.positive + self.right)[:rows]
        fn, tn, fp, tp = (int(count) for count in np.bincount(codes, minlength=4))
        return Confusion(
            true_positives=tp, false_positives=fp, false_negatives=fn, true_negatives=tn
        )

    def by_group(self, facet: str) -> Counts:
        """Counts decisions of the group and of the rest; the labels play no part."""
        cells = np.zeros((1, 2, 2, 2), dtype=np.int64)
        cells[0, :, 0] = np.bincount(self.decisions(facet), minlength=4).reshape(2, 2)
        return Counts(cells, np.array([False, True]))

    def decisions(self, facet: str) -> Ints:
        """Returns each row's cell of `effect_of_ratio`."""
        cells: Ints = self.groups[facet] * 2 + self.positive
        return cells


class Pools:
    """Rows of quiet weeks, and of weeks with one shift, judged by one model."""

    def __init__(self, *, rows: int, seed: int) -> None:
        self._rows, self._seed = rows, seed
        self._pools: dict[tuple[ShiftKind, float] | None, Rows] = {}
        self._words = HashingVectorizer(ngram_range=(1, 2), n_features=2**16)
        period = _generate(Order(rows=_TRAINED_ON, seed=seed + 1, bias=False))
        labels = pc.equal(period["escalate"], "yes").to_numpy()
        self._model: Any = LogisticRegression(C=10, max_iter=200).fit(
            _inputs(self._words, period), labels
        )
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
        scores = self._model.predict_proba(_inputs(self._words, week))[:, 1]
        positive = scores >= 0.5
        cells = {name: cells_of(self._columns[name], week[name]) for name in COLUMNS}
        return Rows(
            cells=cells
            | {"score": np.minimum((scores * _SCORE_BINS).astype(np.int64), _SCORE_BINS - 1)},
            scores=scores,
            texts=np.array(_texts(week), dtype=object),
            groups={
                facet: pc.equal(week[facet], group).to_numpy() for facet, group in _GROUPS.items()
            },
            positive=positive,
            right=positive == pc.equal(week["escalate"], "yes").to_numpy(),
            breaks=np.random.default_rng(self._seed).random(len(scores)) < QUIET_BREACHES,
        )


def _generate(order: Order) -> pa.Table:
    return pa.Table.from_batches(Complaints().batches(order))


def _texts(table: pa.Table) -> list[str]:
    texts: list[str] = pc.binary_join_element_wise(
        table["product"], table["complaint_text"], ": "
    ).to_pylist()
    return texts


def _inputs(words: HashingVectorizer, table: pa.Table) -> Any:
    return words.transform(_texts(table))
