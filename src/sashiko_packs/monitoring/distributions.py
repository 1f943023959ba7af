"""Distributions as the report shows them: cells with names."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from sashiko.evaluation.column_counts import ColumnCounts
from sashiko.evaluation.metrics.arrays import Ints
from sashiko_packs.monitoring.result import Distribution

_MOST_DIGITS = 17  # tell any two floats apart


def make_distribution(reference: ColumnCounts, window: Ints) -> Distribution:
    """Returns a column's rows by cell, of the reference and of the window; it hides small ones.

    Args:
        reference: the column's.
        window: rows by the same cells, shape (cells,).
    """
    return Distribution(
        name=reference.column,
        cells=cell_names(reference),
        reference=reference.counts,
        window=tuple(window.tolist()),
    )


def cell_names(counts: ColumnCounts) -> tuple[str, ...]:
    """Returns a name for each cell: a value or a range, then `other` and `none`.

    A range has its upper end, and not its lower one.
    """
    if counts.kind == "category":
        named: Sequence[str] = counts.values
    else:
        named = [f"{name} letters" if counts.kind == "text" else name
                 for name in _ranges(_numbers(counts.edges))]  # fmt: skip
    # A value may have one of these names itself.
    other = "other" if "other" not in named else "all other values"
    return (*named, other, "none" if "none" not in named else "no value")


def _ranges(edges: Sequence[str]) -> list[str]:
    if not edges:
        return ["all"]
    between = [f"{low} to {high}" for low, high in pairwise(edges)]
    return [f"up to {edges[0]}", *between, f"above {edges[-1]}"]


def _numbers(edges: Sequence[float]) -> list[str]:
    """Writes edges with three digits, or as many as tell them apart; whole ones in full."""
    for digits in range(3, _MOST_DIGITS + 1):
        texts = [_number(edge, digits) for edge in edges]
        if len(set(texts)) == len(texts):
            break
    return texts if edges else []


def _number(edge: float, digits: int) -> str:
    if edge.is_integer() and abs(edge) < 10**15:
        return f"{int(edge):,}"
    return np.format_float_positional(edge, precision=digits, fractional=False, trim="-")
