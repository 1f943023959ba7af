"""How often all intervals of a family hold at once: widened by Bonferroni, and each on its own.

    python -m verification.benchmarks.several_looks
    python -m verification.benchmarks.several_looks --rows 20000 --samples 2000

Draws test splits of three facets with 2, 4 and 8 groups, whose pairs give 56 combinations, from
known rates; measures each combination against the rest; and counts the draws in which every
interval holds its true value. The widened ones claim 95 % or more.
"""

import argparse
from itertools import combinations

import numpy as np

from sashiko.evaluation.metrics.arrays import Ints
from sashiko.evaluation.metrics.bias import intervals, measure
from sashiko.evaluation.metrics.counts import Counts, FacetTable

_SIZES = (2, 4, 8)
_METRICS = ("DPPL", "DI", "RD")
_SCALE = 10**9  # the true rates as counts, so that the formulas give the true values


def main() -> None:
    """Prints a line for each metric."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000, help="of a test split")
    parser.add_argument("--samples", type=int, default=500, help="test splits that are drawn")
    parser.add_argument("--replicates", type=int, default=11_200, help="resamples of each")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    generator = np.random.default_rng(options.seed)
    rates = rates_of(generator)
    truth = pairs(np.rint(rates * _SCALE).astype(np.int64))
    covered = {(name, looks): 0 for name in _METRICS for looks in (1, len(truth))}
    for _ in range(options.samples):
        drawn = generator.multinomial(options.rows, rates.ravel()).reshape(rates.shape)
        estimates = pairs(drawn)
        for name, looks in covered:
            covered[name, looks] += all(
                holds(name, one, true, looks=looks, replicates=options.replicates)
                for one, true in zip(estimates, truth, strict=True)
            )
    smallest = min(one.n_disadvantaged for one in truth) * options.rows // _SCALE
    print(f"{len(truth)} combinations, the smallest of about {smallest} of {options.rows:,} rows\n")
    print("| metric | all hold at once, each of one look | widened over all |\n|---|---|---|")
    for name in _METRICS:
        single, wide = (covered[name, looks] / options.samples for looks in (1, len(truth)))
        print(f"| {name} | {single:.1%} | {wide:.1%} |")


def rates_of(generator: np.random.Generator) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """Draws shares by [facet, facet, facet, label, predicted], which sum to 1."""
    share = generator.uniform(0.5, 1.5, _SIZES)
    positive = generator.uniform(0.3, 0.5, _SIZES)
    recall, mistaken = generator.uniform(0.6, 0.8, _SIZES), generator.uniform(0.15, 0.3, _SIZES)
    cells = np.stack(
        [
            np.stack([(1 - positive) * (1 - mistaken), (1 - positive) * mistaken], axis=-1),
            np.stack([positive * (1 - recall), positive * recall], axis=-1),
        ],
        axis=-2,
    )
    cells *= share[..., None, None]
    return cells / cells.sum()


def pairs(cells: Ints) -> list[Counts]:
    """Sets every combination of two facets' groups against the rest."""
    differences = []
    for pair in combinations(range(len(_SIZES)), 2):
        (other,) = set(range(len(_SIZES))) - set(pair)
        crossed = cells.sum(axis=other).reshape(1, -1, 2, 2)
        table = FacetTable(crossed, np.array([False, True]), missing=0, stratified=False)
        differences += [table.one_vs_rest(one) for one in np.eye(crossed.shape[1], dtype=bool)]
    return differences


def holds(name: str, counts: Counts, truth: Counts, *, looks: int, replicates: int) -> bool:
    """Says whether an interval holds the true value; a metric without one does not."""
    ends = intervals([name], counts, replicates=replicates, seed=0, looks={name: looks}).get(name)
    true = measure(name, truth).value
    return ends is not None and true is not None and ends.low <= true <= ends.high


if __name__ == "__main__":
    main()
