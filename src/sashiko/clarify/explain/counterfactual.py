"""The same text, had somebody of the other group written it: how far does the score move?

A contract's facet names pairs of words by which a text tells the groups apart. Where a text has
any, each is put in its partner's place, all at once and both ways, and the text is scored again.
Only the columns' values are changed: what the template says by itself is the same in every row.

Source: S. Garg et al., Counterfactual Fairness in Text Classification through Robustness (AIES
2019), whose token fairness this measures.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sashiko.clarify.explain.check_records import FacetSwap, SwappedText
from sashiko.clarify.explain.importance import mean_estimate
from sashiko.clarify.explain.tokens import Piece
from sashiko.contract.columns import Facet
from sashiko.evaluation.metrics.arrays import Bools, Floats
from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.evaluation.metrics.uncertainty import Estimate

_LETTER = r"[\w\u0300-\u036f]"  # an accent may be a character of its own

Part = tuple[str, str | None]  # a text, and what is put in its place


@dataclass(frozen=True)
class Swapped:
    """A text with words of a facet.

    Attributes:
        parts: the text, in its order.
        side: 1 if it has words of the group alone, -1 if of the others alone, 0 if of both.
    """

    parts: tuple[Part, ...]
    side: int

    @property
    def before(self) -> str:
        """The text as it is."""
        return "".join(text for text, _ in self.parts)

    @property
    def after(self) -> str:
        """The text with each word's partner in its place."""
        return "".join(text if instead is None else instead for text, instead in self.parts)


def swap(pieces: Sequence[Piece], words: Sequence[tuple[str, str]]) -> Swapped | None:
    """Finds the words in the columns' values; None where there is none.

    Args:
        pieces: of the text.
        words: pairs of a facet, see `Facet.words`.
    """
    instead: dict[str, tuple[str, int]] = {}
    for one, other in words:
        instead.setdefault(one.casefold(), (other, 1))
        instead.setdefault(other.casefold(), (one, -1))
    longest_first = "|".join(re.escape(word) for word in sorted(instead, key=len, reverse=True))
    pattern = re.compile(rf"(?<!{_LETTER})(?:{longest_first})(?!{_LETTER})", re.IGNORECASE)
    parts: list[Part] = []
    sides: set[int] = set()
    for column, text in pieces:
        end = 0
        for match in pattern.finditer(text) if column is not None else ():
            if (word := match[0].casefold()) not in instead:
                continue  # IGNORECASE knows letters that casefold does not: the dotted capital I
            partner, side = instead[word]
            parts += [(text[end : match.start()], None), (match[0], _in_case_of(match[0], partner))]
            sides.add(side)
            end = match.end()
        parts.append((text[end:], None))
    if not sides:
        return None
    return Swapped(parts=tuple(part for part in parts if part[0]), side=sum(sides))


def _in_case_of(word: str, partner: str) -> str:
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
        rows: key and pieces, drawn by chance, in the order of the draw.
        probabilities: scores texts; P(positive) of each.
        threshold: from which on a row is predicted positive.
        most: rows to score.
        worst: rows with the largest moves to write out.
    """
    found = [(key, swapped) for key, pieces in rows if (swapped := swap(pieces, facet.words))]
    chosen = found[:most]
    texts = [text for _, swapped in chosen for text in (swapped.before, swapped.after)]
    scores = np.empty((0, 2)) if not texts else probabilities(texts).reshape(-1, 2)
    moves = scores[:, 1] - scores[:, 0]
    sides = np.array([swapped.side for _, swapped in chosen], dtype=np.int64)
    decisions = scores >= threshold
    record = FacetSwap(
        facet=facet.column,
        group=facet.disadvantaged,
        looked=len(rows),
        with_words=len(found),
        rows=len(chosen),
        one_sided=int(np.count_nonzero(sides)),
        lead=mean_estimate((sides * moves)[sides != 0]),
        size=mean_estimate(np.abs(moves)),
        largest=float(np.abs(moves).max()) if chosen else None,
        flips=_share(decisions[:, 0] != decisions[:, 1]),
    )
    most_moved = np.argsort(-np.abs(moves), kind="stable")[:worst].tolist()
    return record, tuple(
        SwappedText(
            key=chosen[at][0],
            facet=facet.column,
            score=float(scores[at, 0]),
            swapped_score=float(scores[at, 1]),
            parts=chosen[at][1].parts,
        )
        for at in most_moved
    )


def _share(flags: Bools) -> Estimate:
    """Returns a share whose interval stays open where no row has it, as resampling's does not."""
    if not len(flags):
        return Estimate(value=None, low=None, high=None)
    share = float(flags.mean())
    low, high = wilson_interval(share, len(flags))
    return Estimate(value=share, low=low, high=high)
