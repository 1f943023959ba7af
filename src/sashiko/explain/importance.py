"""Aggregates token attributions by column, and a row's by word, also in Clarify's formats."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sashiko.evaluation.metrics.arrays import Bools, Floats, ratio
from sashiko.evaluation.metrics.uncertainty import Estimate, estimate, resampled_weights
from sashiko.explain.attribution import RowAttribution
from sashiko.explain.explanation_record import (
    TEMPLATE,
    ColumnImportance,
    FeatureAttributions,
    PartAttribution,
    PartDescription,
)
from sashiko.explain.tokens import Row

REPLICATES = 2000
_SEED = 0


@dataclass(frozen=True)
class Span:
    """A word in a row."""

    piece: int  # index of the row's piece that holds it
    start: int  # its first character in the text
    end: int  # the character after it
    attribution: float  # the sum over its tokens


def column_importance(
    rows: Sequence[Row],
    attributions: Sequence[RowAttribution],
    *,
    predicted: Bools,
    labels: tuple[str, str],
) -> tuple[ColumnImportance, ...]:
    """Sums token attributions by column.

    A column's share of a row is the absolute value of its sum, relative to those of all columns.
    Absolute values of single tokens are not summed: tokens that cancel out do not move the score,
    and would weigh more in longer texts. `predicted` says of each row whether the second of
    `labels` is.

    Returns:
        The template's columns by descending share; `(template)` for its own words.
    """
    # In the order of the template, its own words last.
    owners = dict.fromkeys(column or TEMPLATE for column, _ in rows[0].pieces)
    names = sorted(owners, key=lambda name: name == TEMPLATE)
    added = np.zeros((len(rows), len(names)))
    for number, (row, attribution) in enumerate(zip(rows, attributions, strict=True)):
        for position in row.content:
            column = names.index(row.column(int(row.pieces_of[position])))
            added[number, column] += attribution.tokens[position]
    sizes = np.abs(added)
    shares = ratio(sizes, np.broadcast_to(sizes.sum(axis=1, keepdims=True), sizes.shape))
    columns = [
        ColumnImportance(
            name=name,
            share=mean_estimate(shares[:, index]),
            by_predicted={
                label: mean_estimate(shares[predicted == bool(value), index])
                for value, label in enumerate(labels)
            },
            mean_absolute=float(sizes[:, index].mean()),
            rows_cut=sum(name in row.cut for row in rows),
        )
        for index, name in enumerate(names)
    ]
    return tuple(sorted(columns, key=lambda column: -(column.share.value or 0.0)))


def mean_estimate(values: Floats) -> Estimate:
    """Returns the mean with its bootstrap interval, ignoring NaN; undefined without values."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return Estimate(value=None, low=None, high=None)
    weights = resampled_weights(len(defined), replicates=REPLICATES, seed=_SEED)
    means = np.concatenate([block @ defined / len(defined) for block in weights])
    return estimate(float(defined.mean()), means)


def word_spans(row: Row, attribution: RowAttribution) -> Iterator[Span]:
    """Yields the words of a row in order; a word across two pieces counts as two."""
    for tokens in row.word_tokens:
        yield Span(
            piece=int(row.pieces_of[tokens[0]]),
            start=int(row.starts[tokens[0]]),
            end=int(row.ends[tokens[-1]]),
            attribution=float(attribution.tokens[tokens].sum()),
        )


def features(row: Row, attribution: RowAttribution) -> tuple[FeatureAttributions, ...]:
    """Converts a row's words to Clarify's text attributions, each piece a feature."""
    starts = [0]
    for _, text in row.pieces:
        starts.append(starts[-1] + len(text))
    parts: list[list[PartAttribution]] = [[] for _ in row.pieces]
    for span in word_spans(row, attribution):
        text, start = row.text[span.start : span.end], span.start - starts[span.piece]
        description = PartDescription(partial_text=text, start_idx=start)
        part = PartAttribution(attribution=(span.attribution,), description=description)
        parts[span.piece].append(part)
    return tuple(
        FeatureAttributions(feature_name=column or TEMPLATE, attributions=tuple(attributions))
        for (column, _), attributions in zip(row.pieces, parts, strict=True)
    )
