"""From tokens to columns and words: what moves the score in all, and how sure that is."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sashiko.clarify.explain.attribution import Attributed
from sashiko.clarify.explain.record import FEWEST_ROWS, TEMPLATE, ColumnImportance, Word, Words
from sashiko.clarify.explain.tokens import Row
from sashiko.evaluation.metrics.arrays import Bools, Floats, ratio
from sashiko.evaluation.metrics.uncertainty import Estimate, estimate, resampled_weights

REPLICATES = 2000
_SEED = 0
_WORDS = 10


@dataclass(frozen=True)
class Span:
    """A word in a row.

    Attributes:
        piece: which of the row's pieces it stands in.
        start: its first character in the text.
        end: the character behind it.
        attribution: the sum of its tokens'.
    """

    piece: int
    start: int
    end: int
    attribution: float


def column_importance(
    rows: Sequence[Row], found: Sequence[Attributed], *, predicted: Bools, labels: tuple[str, str]
) -> tuple[ColumnImportance, ...]:
    """Adds up tokens by column.

    A column adds to a row's score the sum of its tokens; its share is the size of that sum among
    those of all columns. Sizes of single tokens are not added: what cancels out in a column does
    not move the score, and would count the more the longer a text is.

    Args:
        rows: the explained rows.
        found: their attributions.
        predicted: whether each is predicted positive.
        labels: the negative and the positive one.

    Returns:
        Every column of the template by falling share; `(template)` for its own words.
    """
    names = _names(rows)
    added = np.array([_by_column(row, item, names) for row, item in zip(rows, found, strict=True)])
    sizes = np.abs(added)
    shares = ratio(sizes, np.broadcast_to(sizes.sum(axis=1, keepdims=True), sizes.shape))
    columns = [
        ColumnImportance(
            name=name,
            share=mean_estimate(shares[:, at]),
            by_predicted={
                label: mean_estimate(shares[predicted == bool(value), at])
                for value, label in enumerate(labels)
            },
            mean_absolute=float(sizes[:, at].mean()),
            rows_cut=sum(name in row.cut for row in rows),
        )
        for at, name in enumerate(names)
    ]
    return tuple(sorted(columns, key=lambda column: -(column.share.value or 0.0)))


def mean_estimate(values: Floats) -> Estimate:
    """Returns the mean of rows with its bootstrap interval; NaN are left out, none is undefined."""
    known = values[~np.isnan(values)]
    if not len(known):
        return Estimate(value=None, low=None, high=None)
    weights = resampled_weights(len(known), replicates=REPLICATES, seed=_SEED)
    means = np.concatenate([block @ known / len(known) for block in weights])
    return estimate(float(known.mean()), means)


def top_words(rows: Sequence[Row], found: Sequence[Attributed]) -> Words:
    """Returns the words that move the score most, of those that at least five rows have."""
    sums: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for number, (row, item) in enumerate(zip(rows, found, strict=True)):
        for span in word_spans(row, item):
            name = (row.text[span.start : span.end].casefold(), row.column(span.piece))
            sums[name][number] = sums[name].get(number, 0.0) + span.attribution
    words = [
        Word(word=word, column=column, rows=len(of), attribution=float(np.mean(list(of.values()))))
        for (word, column), of in sorted(sums.items())
        if len(of) >= FEWEST_ROWS and any(character.isalnum() for character in word)
    ]
    rising = sorted(words, key=lambda word: word.attribution)
    return Words(
        towards_positive=tuple(word for word in rising[::-1][:_WORDS] if word.attribution > 0),
        towards_negative=tuple(word for word in rising[:_WORDS] if word.attribution < 0),
    )


def word_spans(row: Row, item: Attributed) -> Iterator[Span]:
    """Yields the words of a row, in their order; one that goes over two pieces counts as two."""
    for tokens in row.word_tokens:
        yield Span(
            piece=int(row.pieces_of[tokens[0]]),
            start=int(row.starts[tokens[0]]),
            end=int(row.ends[tokens[-1]]),
            attribution=float(item.tokens[tokens].sum()),
        )


def _names(rows: Sequence[Row]) -> list[str]:
    """Names the columns in the order of the template, its own words last."""
    found = dict.fromkeys(column or TEMPLATE for column, _ in rows[0].pieces)
    return sorted(found, key=lambda name: name == TEMPLATE)


def _by_column(row: Row, item: Attributed, names: Sequence[str]) -> Floats:
    added = np.zeros(len(names))
    for at in row.content:
        added[names.index(row.column(int(row.pieces_of[at])))] += item.tokens[at]
    return added
