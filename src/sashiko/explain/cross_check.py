"""Checks whether two attribution methods agree beyond chance.

The measures are S. Krishna et al., The Disagreement Problem in Explainable Machine Learning (TMLR
2024): rank correlation and feature agreement.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats
from sashiko.evaluation.metrics.uncertainty import Estimate, estimate
from sashiko.explain.attribution import RowAttribution
from sashiko.explain.check_records import SMALLEST, TOP, Agreement, ShapleyCheck
from sashiko.explain.importance import mean_estimate
from sashiko.explain.tokens import Row

_SHUFFLES = 200

Pair = tuple[Floats, Floats]  # effects of one text's words by two methods


def shapley_check(
    rows: Sequence[Row],
    attributions: Sequence[RowAttribution],
    *,
    values: Callable[[Row, np.random.Generator], Floats],
    pairs: int,
    most: int,
    seed: int,
    on_progress: Callable[[int, int], None] = lambda _, __: None,
) -> ShapleyCheck:
    """Compares integrated gradients with Shapley values of the same words.

    Args:
        rows: the explained rows.
        attributions: their attributions.
        values: samples a row's Shapley values with half of the permutations; shape (words,).
        pairs: permutations that two such calls use.
        most: number of rows to compare, sampled from those with more than three words.
        seed: of the sample, the permutations and the shuffles.
        on_progress: called with the number of finished rows and of all rows.
    """
    generator = np.random.default_rng(seed)
    eligible = [index for index, row in enumerate(rows) if len(row.word_tokens) > TOP]
    sample = sorted(generator.permutation(eligible)[:most].tolist())
    gradients, halves, deltas = [], [], []
    for done, index in enumerate(sample, start=1):
        row, attribution = rows[index], attributions[index]
        half = values(row, generator), values(row, generator)
        gradients.append(np.array([attribution.tokens[tokens].sum() for tokens in row.word_tokens]))
        halves.append(half)
        deltas.append(
            abs(float(np.mean(half, axis=0).sum()) - (attribution.score - attribution.baseline))
        )
        on_progress(done, len(sample))
    shapley = [(one + other) / 2 for one, other in halves]
    compared = list(zip(gradients, shapley, strict=True))
    agreement, itself = _agreement(compared), _agreement(halves)
    chance = _chance_agreement(compared, generator)
    return ShapleyCheck(
        rows=len(sample),
        pairs=pairs,
        largest_delta=max(deltas, default=0.0),
        agreement=agreement,
        itself=itself,
        chance=chance,
        outcome=_outcome(agreement.top, itself=itself.top, chance=chance.top),
    )


def _outcome(
    top: Estimate, *, itself: Estimate, chance: Estimate
) -> Literal["agree", "disagree", "undecided"]:
    if not _above(itself, SMALLEST):
        return "undecided"
    agree = _above(top, SMALLEST) and chance.high is not None and _above(top, chance.high)
    return "agree" if agree else "disagree"


def _above(statistic: Estimate, bound: float) -> bool:
    return statistic.low is not None and statistic.low > bound


def _agreement(texts: Sequence[Pair]) -> Agreement:
    rank, strongest, top = map(mean_estimate, np.transpose(_measures(texts)))
    return Agreement(rank=rank, strongest=strongest, top=top)


def _chance_agreement(texts: Sequence[Pair], generator: np.random.Generator) -> Agreement:
    texts = [pair for pair in texts if all(np.ptp(side) > 0 for side in pair)]
    draws: Floats = np.array([
        _measures([(generator.permutation(one), other) for one, other in texts]).mean(axis=0)
        for _ in range(_SHUFFLES if texts else 0)
    ]).reshape(-1, 3)  # fmt: skip
    rank, strongest, top = (
        estimate(float(np.mean(column)), column) if len(column) else mean_estimate(column)
        for column in np.transpose(draws)
    )
    return Agreement(rank=rank, strongest=strongest, top=top)


def _measures(texts: Sequence[Pair]) -> Floats:
    """Measures each text; shape (texts, 3): rank correlation, same strongest word, same top."""
    measures = [
        (rank_correlation(one, other), _shared(one, other, 1), _shared(one, other, TOP))
        for one, other in texts
    ]
    return np.array(measures, dtype=np.float64).reshape(-1, 3)


def rank_correlation(one: Floats, other: Floats) -> float:
    """Returns Spearman's correlation; equal values share their mean rank.

    Returns:
        -1 to 1; NaN where all values of one side are equal.
    """
    ranks = [_ranks(one), _ranks(other)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return float("nan")
    correlations: Floats = np.asarray(np.corrcoef(ranks))
    return float(correlations[0, 1])


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = np.cumsum(counts) - (counts - 1) / 2
    return ranks[inverse]


def _shared(one: Floats, other: Floats, count: int) -> float:
    tops = [set(np.argsort(-np.abs(each), kind="stable")[:count].tolist()) for each in (one, other)]
    return len(tops[0] & tops[1]) / count
