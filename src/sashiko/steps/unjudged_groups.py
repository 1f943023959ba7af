"""Groups of a facet that the test split has too few rows of: nothing is known of how they fare."""

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.clarify.bias.criteria import distinct
from sashiko.clarify.bias.dataset import Dataset
from sashiko.contract.model import Contract
from sashiko.evaluation.gates.verdict import Check
from sashiko.settings.bias import BiasSection

_MOST_NAMED = 10  # of a facet

# Facet -> value -> rows.
GroupRows = Mapping[str, Mapping[str, int]]


def group_rows(data: Dataset) -> GroupRows:
    """Counts the rows of each value of each facet; a row without a value is of none."""
    found = {}
    for column in data.facets:
        texts = distinct(column.values)
        places = pc.index_in(column.values, value_set=pa.array(texts, pa.string()))
        known = np.asarray(pc.is_valid(places))
        weights = None if data.counts is None else data.counts[known]
        rows = np.bincount(np.asarray(places.drop_null()), weights, minlength=len(texts))
        found[column.name] = {text: int(rows[place]) for place, text in enumerate(texts)}
    return found


def unjudged_groups(
    contract: Contract, section: BiasSection, *, known: GroupRows, tested: GroupRows
) -> Iterator[Check]:
    """Yields a check that judges nothing for each group that has too few rows in the test split.

    A group is a value that the contract allows or that the data hold, in whatever split. One that a
    gate judges by itself fails that gate; one that the contract joins with others is judged with
    them, and named here for itself.

    Args:
        contract: names the facets and their values.
        section: the recipe's gates and its smallest group.
        known: of the facet snapshot, which has the rows of every split.
        tested: of the test split.
    """
    gated = {gate.facet for gate in section.gates}
    for facet in contract.facets:
        allowed = [str(value) for value in contract.column(facet.column).allowed_values]
        rows = Counter(tested.get(facet.column, {}))
        few = sorted(
            (rows[value], value)
            for value in {*allowed, *known.get(facet.column, {})}
            if rows[value] < section.minimum_group_size
            and not (facet.column in gated and facet.disadvantaged == (value,))
        )
        for count, value in few[:_MOST_NAMED]:
            total = known.get(facet.column, {}).get(value, 0)
            joined = value in facet.disadvantaged and len(facet.disadvantaged) > 1
            yield Check(
                name=f"{facet.column}={value}",
                passed=True,
                judged=False,
                reason=f"{_count(count)} in the test split, {total:,} in all the data; "
                f"at least {section.minimum_group_size} are needed to judge it"
                + (f" but as part of {','.join(facet.disadvantaged)}" if joined else ""),
            )
        if left := few[_MOST_NAMED:]:
            yield Check(
                name=f"{len(left)} more groups of {facet.column}",
                passed=True,
                judged=False,
                reason=f"{left[0][0]} to {_count(left[-1][0])} each in the test split; "
                f"at least {section.minimum_group_size} are needed to judge one",
            )


def _count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"
