"""Checks of explanations: the deletion test, and swapped words of facets."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sashiko.contract.model import Facet
from sashiko.evaluation.metrics.arrays import (
    Bools,
    Floats,
    Ints,
    favourable_scores,
    predict_classes,
)
from sashiko.evaluation.metrics.calibration import share_estimate
from sashiko.explain.attribution import RowAttribution
from sashiko.explain.explanation_record import (
    DeletionPoint,
    DeletionTest,
    FacetSwap,
    SwappedText,
)
from sashiko.explain.importance import mean_estimate
from sashiko.explain.tokens import Piece, Row

_SHARES = (0.1, 0.2, 0.3, 0.5)
_DRAWS = 3
# In probability, that counts as an effect; of a number in standard deviations.
_SMALLEST_LEAD = 0.005
_LETTER = r"[\w\u0300-\u036f]"  # an accent may be a character of its own

Part = tuple[str, str | None]  # a text, and its replacement


# The deletion test: whether removing the top tokens lowers the score more than random ones.
#
# Tokens are removed without replacement, so that the test does not depend on the attributions'
# baseline. It measures how far the probability of the predicted label falls, by the share of
# removed tokens.
#
# Source: comprehensiveness, J. DeYoung et al., ERASER (ACL 2020), compared with random tokens.


def deletion_test(
    rows: Sequence[Row],
    attributions: Sequence[RowAttribution],
    *,
    predicted: Bools,
    probabilities: Callable[[Sequence[Ints]], Floats],
    scale: float = 1.0,
    seed: int,
) -> DeletionTest:
    """Removes the top tokens of each prediction, and as many random ones.

    `predicted` says of each row whether a favourable class is predicted; `probabilities` scores
    token ids: the probability of the favourable classes together, or a number, whose standard
    deviation is `scale`.
    """
    testable = [index for index, row in enumerate(rows) if len(row.content) > 1]
    generator = np.random.default_rng(seed)
    texts: list[Ints] = []
    for index in testable:
        row, content = rows[index], rows[index].content
        texts.append(row.ids)
        signed = attributions[index].tokens if predicted[index] else -attributions[index].tokens
        for share in _SHARES:
            count = max(1, round(share * len(content)))
            top_tokens = content[np.argsort(-signed[content], kind="stable")[:count]]
            others = [generator.choice(content, count, replace=False) for _ in range(_DRAWS)]
            texts += [np.delete(row.ids, removed) for removed in (top_tokens, *others)]
    scores = probabilities(texts) if testable else np.empty(0)
    scores = scores.reshape(len(testable), 1 + len(_SHARES) * (1 + _DRAWS))
    sign = np.where(predicted[testable], 1.0, -1.0)[:, None] if testable else 1.0
    falls = sign * (scores[:, :1] - scores[:, 1:])
    falls = falls.reshape(len(testable), len(_SHARES), 1 + _DRAWS)
    top, random = falls[:, :, 0], falls[:, :, 1:].mean(axis=2)
    lead = mean_estimate((top - random).mean(axis=1))
    return DeletionTest(
        rows=len(top),
        draws=_DRAWS,
        points=tuple(
            DeletionPoint(
                removed=share, top=mean_estimate(top[:, n]), random=mean_estimate(random[:, n])
            )
            for n, share in enumerate(_SHARES)
        ),
        lead=lead,
        faithful=(lead.low is not None and lead.low > (_SMALLEST_LEAD * scale)),
    )


# Counterfactual check: how far the score moves when the words of a facet are swapped.
#
# A contract's facet lists word pairs that identify the groups. Each such word of a text is replaced
# by its counterpart, all at once and in both directions, and the text is scored again. Only the
# columns' values change; the template's own words are the same in every row.
#
# Source: S. Garg et al., Counterfactual Fairness in Text Classification through Robustness (AIES
# 2019), whose token fairness this measures.


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
            word = match[0]
            if word.casefold() not in partners:
                continue  # IGNORECASE matches the dotted capital I, casefold does not
            partner, side = partners[word.casefold()]
            if len(word) > 1 and word.isupper():
                partner = partner.upper()
            elif word[0].isupper():
                partner = partner[0].upper() + partner[1:]
            parts += [(text[end : match.start()], None), (word, partner)]
            sides.add(side)
            end = match.end()
        parts.append((text[end:], None))
    if not sides:
        return None
    return TextSwap(parts=tuple(part for part in parts if part[0]), side=sum(sides))


def swap_check(
    facet: Facet,
    rows: Sequence[tuple[str, tuple[Piece, ...]]],
    *,
    score: Callable[[Sequence[str]], Floats],
    first_favourable: int = 1,
    threshold: float,
    most: int,
    worst: int,
) -> tuple[FacetSwap, tuple[SwappedText, ...]]:
    """Swaps a facet's words in the first rows that have any, and scores both texts.

    `rows` are key and pieces of sampled rows in the order of the draw, of which at most `most` are
    scored, and `worst` with the largest changes written out. `score` gives the probability of each
    class, shape (texts, classes), or the predicted number, shape (texts, 1).
    """
    candidates = [
        (key, text_swap) for key, pieces in rows if (text_swap := swap(pieces, facet.words))
    ]
    scored = candidates[:most]
    texts = [text for _, text_swap in scored for text in (text_swap.before, text_swap.after)]
    by_class = score(texts) if texts else np.empty((0, 2))
    scores = favourable_scores(by_class, first=first_favourable).reshape(-1, 2)
    moves = scores[:, 1] - scores[:, 0]
    sides = np.array([text_swap.side for _, text_swap in scored], dtype=np.int64)
    decisions = predict_classes(by_class, threshold=threshold).reshape(-1, 2)
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
        flips=share_estimate(decisions[:, 0] != decisions[:, 1]),
    )
    return record, tuple(
        SwappedText(
            key=scored[index][0],
            facet=facet.column,
            score=float(scores[index, 0]),
            swapped_score=float(scores[index, 1]),
            parts=scored[index][1].parts,
        )
        for index in np.argsort(-np.abs(moves), kind="stable")[:worst].tolist()
    )
