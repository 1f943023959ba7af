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

import numpy as np

from sashiko.contract.columns import Facet
from sashiko.evaluation.metrics.arrays import Bools, Floats
from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.explain.check_records import FacetSwap, SwappedText
from sashiko.explain.importance import mean_estimate
from sashiko.explain.tokens import Piece

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
