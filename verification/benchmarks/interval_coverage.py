"""How often a 95 % interval holds the true value, by metric and by the rows that it is made of.

    python -m verification.benchmarks.interval_coverage
    python -m verification.benchmarks.interval_coverage --metrics bias --least 0

Draws test splits from known rates, makes their intervals by the functions that the pipeline uses,
and counts those that hold the true value. Where a gate judges, 93 to 97 % of them must.
Bias is measured of a group that is a quarter of the rows, against the rest; quality of scores that
are normal in each class, and the lead over a second model whose scores correlate with them. Either
is drawn with common labels, and with rare ones.
"""

import argparse
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from sashiko.evaluation.metrics import bias
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.metrics.bias import intervals, measure
from sashiko.evaluation.metrics.counts import Counts
from sashiko.evaluation.metrics.quality import difference, evaluate_scores
from sashiko.evaluation.metrics.uncertainty import Estimate, Interval

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
    """Coverage counts of one metric at one size.

    Attributes:
        samples: splits that were drawn.
        shown: those with an interval.
        covered: those whose interval holds the true value.
    """

    samples: int = 0
    shown: int = 0
    covered: int = 0

    def add(self, ends: Interval | None, true: float) -> None:
        """Counts one split."""
        self.samples += 1
        if ends is not None:
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


@dataclass
class Table:
    """Tallies by metric and size."""

    sizes: tuple[int, ...]
    tallies: dict[tuple[str, int], Tally] = field(default_factory=dict)

    def tally(self, metric: str, rows: int) -> Tally:
        """Returns one cell."""
        return self.tallies.setdefault((metric, rows), Tally())

    def lines(self) -> Iterator[str]:
        """Yields the table in Markdown."""
        yield "|metric|" + "|".join(f"{rows:,}" for rows in self.sizes) + "|"
        yield "|---" * (len(self.sizes) + 1) + "|"
        for name in dict.fromkeys(metric for metric, _ in self.tallies):
            yield f"|{name}|" + "|".join(str(self.tally(name, rows)) for rows in self.sizes) + "|"


def main() -> None:
    """Prints a table for each kind of metric and share of positive labels."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--metrics", choices=["bias", "quality"], nargs="+",
                        default=["bias", "quality"])  # fmt: skip
    parser.add_argument("--samples", type=int, default=2000, help="splits drawn for each cell")
    parser.add_argument("--replicates", type=int, default=1000, help="resamples of each")
    parser.add_argument("--least", type=int, default=bias.MIN_COUNT,
                        help="rows of a kind that a bias interval needs; 0: all")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    bias.MIN_COUNT = options.least
    for labels in _POSITIVE:
        for kind in options.metrics:
            rows = "the group" if kind == "bias" else "the split"
            print(f"\n{kind}, {labels} labels, by rows of {rows}\n")
            cover = bias_coverage if kind == "bias" else quality_coverage
            table = cover(
                labels, samples=options.samples, replicates=options.replicates, seed=options.seed
            )
            print("\n".join(table.lines()), flush=True)


def bias_coverage(
    labels: str,
    *,
    samples: int,
    replicates: int,
    seed: int,
    sizes: tuple[int, ...] = _GROUP_ROWS,
) -> Table:
    """Covers bias metrics of a group of these sizes against the rest."""
    rates = _bias_rates(_POSITIVE[labels])
    truth = Counts(np.rint(rates * _SCALE).astype(np.int64), np.array([False, True]))
    true = {name: value for name in _BIAS if (value := measure(name, truth).value) is not None}
    generator, table = np.random.default_rng(seed), Table(sizes)
    for rows in sizes:
        for number in range(samples):
            cells = generator.multinomial(rows * _OF_ALL, rates.ravel()).reshape(rates.shape)
            counts = Counts(cells, truth.positive)
            estimates = intervals(_BIAS, counts, replicates=replicates, seed=number)
            for name, value in true.items():
                table.tally(name, rows).add(estimates.get(name), value)
    return table


def _bias_rates(positive: tuple[float, float]) -> Floats:
    """Returns shares by [stratum, disadvantaged, label, predicted positive], which sum to 1."""
    groups = []
    for share, rate, recall, mistaken in zip(
        (1 - 1 / _OF_ALL, 1 / _OF_ALL), positive, _RECALL, _FALSE_POSITIVES, strict=True
    ):
        negatives = [(1 - rate) * (1 - mistaken), (1 - rate) * mistaken]
        positives = [rate * (1 - recall), rate * recall]
        groups.append(share * np.array([negatives, positives]))
    return np.stack(groups)[None]


def quality_coverage(labels: str, *, samples: int, replicates: int, seed: int) -> Table:
    """Covers metrics of a model, and its lead over another one."""
    (rate, _) = _POSITIVE[labels]
    ours, theirs = (
        _true_quality(rate, separation) for separation in (_SEPARATION, _OTHER_SEPARATION)
    )
    threshold = float(_on_scale(np.array(_THRESHOLD)))
    generator, table = np.random.default_rng(seed), Table(_SPLIT_ROWS)
    for rows in _SPLIT_ROWS:
        for number in range(samples):
            drawn, own, other = _scores(generator, rows, rate)
            if not 0 < drawn.sum() < rows:
                continue
            quality = evaluate_scores(
                drawn, own, threshold=threshold, replicates=replicates, seed=number
            )
            leads = difference(
                drawn,
                own,
                other,
                threshold=threshold,
                other_threshold=threshold,
                replicates=replicates,
                seed=number,
            )
            for name, true in ours.items():
                table.tally(name, rows).add(_ends(quality[name]), true)
                table.tally(f"lead in {name}", rows).add(_ends(leads[name]), true - theirs[name])
    return table


def _ends(estimate: Estimate) -> Interval | None:
    return (
        None
        if estimate.low is None or estimate.high is None
        else Interval(estimate.low, estimate.high)
    )


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
