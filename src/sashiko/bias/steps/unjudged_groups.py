"""Reports groups of a facet with too few test rows to judge."""

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.bias.clarify.criteria import distinct
from sashiko.bias.clarify.dataset import Dataset
from sashiko.contract.model import Contract
from sashiko.evaluation.gates.verdict import Check
from sashiko.settings.bias import BiasSection

_MOST_NAMED = 10  # of a facet

# Facet -> value -> rows.
GroupRows = Mapping[str, Mapping[str, int]]


def group_rows(data: Dataset) -> GroupRows:
    """Counts the rows of each value of each facet; rows without a value are ignored."""
    counts = {}
    for column in data.facets:
        texts = distinct(column.values)
        places = pc.index_in(column.values, value_set=pa.array(texts, pa.string()))
        valid = np.asarray(pc.is_valid(places))
        weights = None if data.counts is None else data.counts[valid]
        rows = np.bincount(np.asarray(places.drop_null()), weights, minlength=len(texts))
        counts[column.name] = {text: int(rows[place]) for place, text in enumerate(texts)}
    return counts


def unjudged_groups(
    contract: Contract, section: BiasSection, *, snapshot_rows: GroupRows, test_rows: GroupRows
) -> Iterator[Check]:
    """Yields an unjudged check for each group with too few rows in the test split.

    A group is a value that the contract allows or that occurs in any split. A group with its own
    gate is omitted, because it fails that gate; a group that the contract joins with others is
    judged with them, and is reported here separately.
    """
    gated = {gate.facet for gate in section.gates}
    for facet in contract.facets:
        allowed = [str(value) for value in contract.column(facet.column).allowed_values]
        rows = Counter(test_rows.get(facet.column, {}))
        small = sorted(
            (rows[value], value)
            for value in {*allowed, *snapshot_rows.get(facet.column, {})}
            if rows[value] < section.minimum_group_size
            and not (facet.column in gated and facet.disadvantaged == (value,))
        )
        for count, value in small[:_MOST_NAMED]:
            total = snapshot_rows.get(facet.column, {}).get(value, 0)
            is_joined = value in facet.disadvantaged and len(facet.disadvantaged) > 1
            yield Check(
                name=f"{facet.column}={value}",
                passed=True,
                judged=False,
                reason=f"{_count(count)} in the test split, {total:,} in all the data; "
                f"at least {section.minimum_group_size} are needed to judge it"
                + (f" but as part of {','.join(facet.disadvantaged)}" if is_joined else ""),
            )
        if rest := small[_MOST_NAMED:]:
            yield Check(
                name=f"{len(rest)} more groups of {facet.column}",
                passed=True,
                judged=False,
                reason=f"{rest[0][0]} to {_count(rest[-1][0])} each in the test split; "
                f"at least {section.minimum_group_size} are needed to judge one",
            )


def _count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"
