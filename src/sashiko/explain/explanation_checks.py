"""Counterfactual check: how far the score moves when the words of a facet are swapped.

A contract's facet lists word pairs that identify the groups. Each such word of a text is replaced
by its counterpart, all at once and in both directions, and the text is scored again. Only the
columns' values change; the template's own words are the same in every row.

Source: S. Garg et al., Counterfactual Fairness in Text Classification through Robustness (AIES
2019), whose token fairness this measures.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sashiko.contract.columns import Facet
from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints
from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.evaluation.metrics.uncertainty import Estimate, estimate
from sashiko.explain.attribution import RowAttribution
from sashiko.explain.explanation_record import (
    SMALLEST,
    TOP,
    Agreement,
    DeletionPoint,
    DeletionTest,
    FacetSwap,
    ShapleyCheck,
    SwappedText,
)
from sashiko.explain.importance import mean_estimate
from sashiko.explain.tokens import Piece, Row

# The deletion test: whether removing the top tokens lowers the score more than random ones.
#
# Tokens are removed without replacement, so that the test does not depend on the attributions'
# baseline. It measures how far the probability of the predicted label falls, by the share of
# removed tokens.
#
# Source: comprehensiveness, J. DeYoung et al., ERASER (ACL 2020), compared with random tokens.


SHARES = (0.1, 0.2, 0.3, 0.5)


DRAWS = 3


# Smallest lead, in probability, that counts as an effect.
_SMALLEST_LEAD = 0.005


def deletion_test(
    rows: Sequence[Row],
    attributions: Sequence[RowAttribution],
    *,
    predicted: Bools,
    probabilities: Callable[[Sequence[Ints]], Floats],
    seed: int,
) -> DeletionTest:
    """Removes the top tokens of each prediction, and as many random ones.

    Args:
        rows: the explained rows.
        attributions: their attributions.
        predicted: whether each is predicted positive.
        probabilities: scores token ids; P(positive) of each.
        seed: of the random removals.
    """
    testable = [index for index, row in enumerate(rows) if len(row.content) > 1]
    generator = np.random.default_rng(seed)
    texts: list[Ints] = []
    for index in testable:
        row = rows[index]
        texts.append(row.ids)
        signed = attributions[index].tokens if predicted[index] else -attributions[index].tokens
        for share in SHARES:
            texts += _shorten(row, signed, share=share, generator=generator)
    if not testable:
        return _compare(np.empty((0, len(SHARES))), np.empty((0, len(SHARES))))
    scores = probabilities(texts).reshape(len(testable), 1 + len(SHARES) * (1 + DRAWS))
    sign = np.where(predicted[testable], 1.0, -1.0)[:, None]
    falls = sign * (scores[:, :1] - scores[:, 1:])
    falls = falls.reshape(len(testable), len(SHARES), 1 + DRAWS)
    return _compare(falls[:, :, 0], falls[:, :, 1:].mean(axis=2))


def _shorten(
    row: Row, signed: Floats, *, share: float, generator: np.random.Generator
) -> list[Ints]:
    """Returns the row without its top tokens, then without random ones, `DRAWS` times."""
    content = row.content
    count = max(1, round(share * len(content)))
    top = content[np.argsort(-signed[content], kind="stable")[:count]]
    random_tokens = [generator.choice(content, count, replace=False) for _ in range(DRAWS)]
    return [np.delete(row.ids, removed) for removed in (top, *random_tokens)]


def _compare(top: Floats, random: Floats) -> DeletionTest:
    """Compares the falls in probability, both of shape (rows, shares)."""
    points = tuple(
        DeletionPoint(
            removed=share, top=mean_estimate(top[:, index]), random=mean_estimate(random[:, index])
        )
        for index, share in enumerate(SHARES)
    )
    lead = mean_estimate((top - random).mean(axis=1))
    return DeletionTest(
        rows=len(top),
        draws=DRAWS,
        points=points,
        lead=lead,
        faithful=lead.low is not None and lead.low > _SMALLEST_LEAD,
    )


# Checks whether two attribution methods agree beyond chance.
#
# The measures are S. Krishna et al., The Disagreement Problem in Explainable Machine Learning (TMLR
# 2024): rank correlation and feature agreement.


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


_LETTER = r"[\w\u0300-\u036f]"  # an accent may be a character of its own


Part = tuple[str, str | None]  # a text, and its replacement


@dataclass(frozen=True)
class TextSwap:
    """A text with words of a facet."""

    parts: tuple[Part, ...]  # the text, in its order
    side: int  # 1 if it has words of the group only, -1 of the others only, 0 of both

    @property
    def before(self) -> str:
        """The original text."""
        return "".join(text for text, _ in self.parts)

    @property
    def after(self) -> str:
        """The text with each word replaced by its counterpart."""
        return "".join(text if partner is None else partner for text, partner in self.parts)


def swap(pieces: Sequence[Piece], words: Sequence[tuple[str, str]]) -> TextSwap | None:
    """Finds the words in the columns' values; None if there are none."""
    partners: dict[str, tuple[str, int]] = {}
    for one, other in words:
        partners.setdefault(one.casefold(), (other, 1))
        partners.setdefault(other.casefold(), (one, -1))
    longest_first = "|".join(re.escape(word) for word in sorted(partners, key=len, reverse=True))
    pattern = re.compile(rf"(?<!{_LETTER})(?:{longest_first})(?!{_LETTER})", re.IGNORECASE)
    parts: list[Part] = []
    sides: set[int] = set()
    for column, text in pieces:
        end = 0
        for match in pattern.finditer(text) if column is not None else ():
            if (word := match[0].casefold()) not in partners:
                continue  # IGNORECASE matches the dotted capital I, casefold does not
            partner, side = partners[word]
            parts += [(text[end : match.start()], None), (match[0], _match_case(match[0], partner))]
            sides.add(side)
            end = match.end()
        parts.append((text[end:], None))
    if not sides:
        return None
    return TextSwap(parts=tuple(part for part in parts if part[0]), side=sum(sides))


def _match_case(word: str, partner: str) -> str:
    if len(word) > 1 and word.isupper():
        return partner.upper()
    return partner[0].upper() + partner[1:] if word[0].isupper() else partner


def swap_check(
    facet: Facet,
    rows: Sequence[tuple[str, tuple[Piece, ...]]],
    *,
    probabilities: Callable[[Sequence[str]], Floats],
    threshold: float,
    most: int,
    worst: int,
) -> tuple[FacetSwap, tuple[SwappedText, ...]]:
    """Swaps a facet's words in the first rows that have any, and scores both texts.

    Args:
        facet: with words.
        rows: key and pieces of sampled rows, in the order of the draw.
        probabilities: scores texts; P(positive) of each.
        threshold: lowest score that is predicted positive.
        most: number of rows to score.
        worst: number of rows with the largest changes to write out.
    """
    candidates = [
        (key, text_swap) for key, pieces in rows if (text_swap := swap(pieces, facet.words))
    ]
    scored = candidates[:most]
    texts = [text for _, text_swap in scored for text in (text_swap.before, text_swap.after)]
    scores = np.empty((0, 2)) if not texts else probabilities(texts).reshape(-1, 2)
    moves = scores[:, 1] - scores[:, 0]
    sides = np.array([text_swap.side for _, text_swap in scored], dtype=np.int64)
    decisions = scores >= threshold
    record = FacetSwap(
        facet=facet.column,
        group=facet.disadvantaged,
        sample_size=len(rows),
        with_words=len(candidates),
        rows=len(scored),
        one_sided=int(np.count_nonzero(sides)),
        lead=mean_estimate((sides * moves)[sides != 0]),
        size=mean_estimate(np.abs(moves)),
        largest=float(np.abs(moves).max()) if scored else None,
        flips=_share(decisions[:, 0] != decisions[:, 1]),
    )
    most_moved = np.argsort(-np.abs(moves), kind="stable")[:worst].tolist()
    return record, tuple(
        SwappedText(
            key=scored[index][0],
            facet=facet.column,
            score=float(scores[index, 0]),
            swapped_score=float(scores[index, 1]),
            parts=scored[index][1].parts,
        )
        for index in most_moved
    )


def _share(flags: Bools) -> Estimate:
    """Returns a share with its Wilson interval, which has a width even at 0 or 1."""
    if not len(flags):
        return Estimate(value=None, low=None, high=None)
    share = float(flags.mean())
    low, high = wilson_interval(share, len(flags))
    return Estimate(value=share, low=low, high=high)
