"""How often a 95 % interval holds the true value, by metric and by the rows that it is made of.

    python -m verification.benchmarks.interval_coverage
    python -m verification.benchmarks.interval_coverage --metrics bias --least 0

Draws test splits from known rates, makes their intervals by the functions that the pipeline uses,
and counts those that hold the true value. Where a gate judges, 93 to 97 % of them must. `--least`
is how many rows of a kind a bias interval needs; 0 shows all.
Bias is measured of a group that is a quarter of the rows, against the rest; quality of scores that
are normal in each class, and the lead over a second model whose scores correlate with them. Either
is drawn with common labels, and with rare ones.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from sashiko.bias.metrics import bias_table
from sashiko.evaluation.metrics.arrays import Floats, Ints, ModelScores, two_classes
from sashiko.evaluation.metrics.counts import Counts
from sashiko.evaluation.metrics.quality import difference, evaluate_scores
from sashiko.evaluation.metrics.uncertainty import Estimate, Interval
from verification.benchmarks.bench import options, show, table

_SCALE = 10**9  # the true rates as counts, so that the formulas give the true values
_BIAS = ("DPL", "DPPL", "DI", "AD", "RD", "SD", "DAR", "DRR", "DCA", "DCR", "TE")
_GROUP_ROWS = (25, 50, 100, 200, 500, 1000)
_SPLIT_ROWS = (100, 200, 500, 1000)
_OF_ALL = 4  # the group is a quarter of the rows
_POSITIVE = {"common": (0.40, 0.30), "rare": (0.06, 0.05)}  # of the rest, of the group
_RECALL, _FALSE_POSITIVES = (0.80, 0.72), (0.16, 0.13)
_SEPARATION, _OTHER_SEPARATION, _CORRELATION = 1.6, 1.3, 0.7
_FEW = 0.05  # of the intervals shown say too little of how often they hold
_THRESHOLD = 0.9  # of a score on the normal scale


@dataclass
class Tally:
    """Splits that were drawn, those with an interval, and those whose interval holds the truth."""

    samples: int = 0
    shown: int = 0
    covered: int = 0

    def add(self, ends: Interval | Estimate | None, true: float) -> None:
        """Counts one split."""
        self.samples += 1
        if ends is not None and ends.low is not None and ends.high is not None:
            self.shown += 1
            self.covered += ends.low <= true <= ends.high

    def __str__(self) -> str:
        """Writes the coverage of those shown, and how many of all are, where some are not."""
        if not self.shown:
            return "none"
        share = self.shown / self.samples
        if share < _FEW:
            return f"({share:.0%} shown)"
        coverage = f"{self.covered / self.shown:.1%}"
        return coverage if self.shown == self.samples else f"{coverage} ({share:.0%} shown)"


Tallies = defaultdict[tuple[str, int], Tally]  # metric, rows


def main() -> None:
    """Prints a table for each kind of metric and share of positive labels."""
    chosen = options(
        __doc__, metrics=["bias", "quality"], samples=2000, replicates=1000,
        least=bias_table.MIN_COUNT,
        seed=0,
    )  # fmt: skip
    bias_table.MIN_COUNT = chosen.least
    amount = {"samples": chosen.samples, "replicates": chosen.replicates, "seed": chosen.seed}
    for labels in _POSITIVE:
        for kind in chosen.metrics:
            of_bias = kind == "bias"
            sizes = _GROUP_ROWS if of_bias else _SPLIT_ROWS
            rows_of = "the group" if of_bias else "the split"
            print(f"\n{kind}, {labels} labels, by rows of {rows_of}\n")
            tallies = (bias_coverage if of_bias else _quality_coverage)(labels, **amount)
            names = dict.fromkeys(metric for metric, _ in tallies)
            cells = ((name, *(tallies[name, rows] for rows in sizes)) for name in names)
            show(table(("metric", *(f"{rows:,}" for rows in sizes)), cells))


def bias_coverage(
    labels: str, *, samples: int, replicates: int, seed: int, sizes: tuple[int, ...] = _GROUP_ROWS
) -> Tallies:
    """Covers bias metrics of a group of these sizes against the rest."""
    groups = []  # shares by [disadvantaged, label, predicted positive], which sum to 1
    for share, rate, recall, mistaken in zip(
        (1 - 1 / _OF_ALL, 1 / _OF_ALL), _POSITIVE[labels], _RECALL, _FALSE_POSITIVES, strict=True
    ):
        negatives = [(1 - rate) * (1 - mistaken), (1 - rate) * mistaken]
        positives = [rate * (1 - recall), rate * recall]
        groups.append(share * np.array([negatives, positives]))
    rates = np.stack(groups)[None]
    truth = Counts(np.rint(rates * _SCALE).astype(np.int64), np.array([False, True]))
    true = {name: bias_table.measure(name, truth).value for name in _BIAS}
    generator, tallies = np.random.default_rng(seed), Tallies(Tally)
    for rows in sizes:
        for number in range(samples):
            cells = generator.multinomial(rows * _OF_ALL, rates.ravel()).reshape(rates.shape)
            counts = Counts(cells, truth.positive)
            estimates = bias_table.intervals(_BIAS, counts, replicates=replicates, seed=number)
            for name, value in true.items():
                if value is not None:
                    tallies[name, rows].add(estimates.get(name), value)
    return tallies


def _quality_coverage(labels: str, *, samples: int, replicates: int, seed: int) -> Tallies:
    """Covers metrics of a model, and its lead over another one."""
    rate = _POSITIVE[labels][0]
    ours, theirs = (_true_quality(rate, by) for by in (_SEPARATION, _OTHER_SEPARATION))
    threshold = float(_on_scale(np.array(_THRESHOLD)))
    generator, tallies = np.random.default_rng(seed), Tallies(Tally)
    for rows in _SPLIT_ROWS:
        for number in range(samples):
            drawn, own, other = _scores(generator, rows, rate)
            if not 0 < drawn.sum() < rows:
                continue
            models = [ModelScores(two_classes(each), threshold) for each in (own, other)]
            quality = evaluate_scores(drawn, models[0], replicates=replicates, seed=number)
            leads = difference(drawn, *models, replicates=replicates, seed=number)
            for name, true in ours.items():
                tallies[name, rows].add(quality[name], true)
                tallies[f"lead in {name}", rows].add(leads[name], true - theirs[name])
    return tallies


def _true_quality(rate: float, separation: float) -> Mapping[str, float]:
    normal = NormalDist()
    recall, specificity = normal.cdf(separation - _THRESHOLD), normal.cdf(_THRESHOLD)
    positives, mistaken = rate * recall, (1 - rate) * (1 - specificity)
    return {
        "auc": normal.cdf(separation / math.sqrt(2)),
        "accuracy": positives + (1 - rate) * specificity,
        "balanced_accuracy": (recall + specificity) / 2,
        "f1": 2 * positives / (positives + mistaken + rate),
    }


def _scores(generator: np.random.Generator, rows: int, rate: float) -> tuple[Ints, Floats, Floats]:
    labels = (generator.random(rows) < rate).astype(np.int64)
    first, second = generator.normal(size=(2, rows))
    second = _CORRELATION * first + math.sqrt(1 - _CORRELATION**2) * second
    own, other = first + _SEPARATION * labels, second + _OTHER_SEPARATION * labels
    return labels, _on_scale(own), _on_scale(other)


def _on_scale(values: Floats) -> Floats:
    """Brings normal scores into 0 to 1, without changing their order."""
    scores: Floats = 1 / (1 + np.exp(-values))
    return scores


if __name__ == "__main__":
    main()
