"""How often all intervals of a family hold at once: widened by Bonferroni, and each on its own.

    python -m verification.benchmarks.several_looks --rows 20000 --samples 2000

Draws test splits of three facets with 2, 4 and 8 groups, whose pairs give 56 combinations, from
known rates; measures each combination against the rest; and counts the draws in which every
interval holds its true value. The widened ones claim 95 % or more.
"""

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.evaluation.metrics.bias import intervals, measure
from sashiko.evaluation.metrics.counts import Counts, FacetTable
from verification.benchmarks.bench import options, show, table

_SIZES = (2, 4, 8)
_METRICS = ("DPPL", "DI", "RD")
_SCALE = 10**9  # the true rates as counts, so that the formulas give the true values


def main() -> None:
    """Prints a line for each metric."""
    chosen = options(__doc__, rows=10_000, samples=500, replicates=11_200, seed=0)
    generator = np.random.default_rng(chosen.seed)
    rates = _rates(generator)
    truth = _pairs(np.rint(rates * _SCALE).astype(np.int64))
    covered = {(name, looks): 0 for name in _METRICS for looks in (1, len(truth))}
    for _ in range(chosen.samples):
        drawn = generator.multinomial(chosen.rows, rates.ravel()).reshape(rates.shape)
        pairs = list(zip(_pairs(drawn), truth, strict=True))
        for name, looks in covered:
            covered[name, looks] += all(
                _holds(name, one, true, looks=looks, replicates=chosen.replicates)
                for one, true in pairs
            )
    smallest = min(one.n_disadvantaged for one in truth) * chosen.rows // _SCALE
    print(f"{len(truth)} combinations, the smallest of about {smallest} of {chosen.rows:,} rows\n")
    rows = (
        (name, *(f"{covered[name, looks] / chosen.samples:.1%}" for looks in (1, len(truth))))
        for name in _METRICS
    )
    show(table(("metric", "all hold at once, each of one look", "widened over all"), rows))


def _rates(generator: np.random.Generator) -> Floats:
    """Draws shares by [facet, facet, facet, label, predicted], which sum to 1."""
    share = generator.uniform(0.5, 1.5, _SIZES)
    positive = generator.uniform(0.3, 0.5, _SIZES)
    recall, mistaken = generator.uniform(0.6, 0.8, _SIZES), generator.uniform(0.15, 0.3, _SIZES)
    cells: Floats = np.stack(
        [
            np.stack([(1 - positive) * (1 - mistaken), (1 - positive) * mistaken], axis=-1),
            np.stack([positive * (1 - recall), positive * recall], axis=-1),
        ],
        axis=-2,
    )
    cells *= share[..., None, None]
    return cells / cells.sum()


def _pairs(cells: Ints) -> list[Counts]:
    """Sets every combination of two facets' groups against the rest."""
    differences = []
    for other in reversed(range(len(_SIZES))):
        crossed = cells.sum(axis=other).reshape(1, -1, 2, 2)
        one = FacetTable(crossed, np.array([False, True]), missing=0, stratified=False)
        differences += [one.one_vs_rest(group) for group in np.eye(crossed.shape[1], dtype=bool)]
    return differences


def _holds(name: str, counts: Counts, truth: Counts, *, looks: int, replicates: int) -> bool:
    """Says whether an interval holds the true value; a metric without one does not."""
    ends = intervals([name], counts, replicates=replicates, seed=0, looks={name: looks}).get(name)
    true = measure(name, truth).value
    return ends is not None and true is not None and ends.low <= true <= ends.high


if __name__ == "__main__":
    main()
