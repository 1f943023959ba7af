"""The flip test of a data set's rows, over the columns with no other role."""

from collections.abc import Sequence

import numpy as np

from sashiko.clarify.bias.criteria import as_numbers
from sashiko.clarify.bias.dataset import Column
from sashiko.evaluation.metrics.arrays import Bools, Ints
from sashiko.evaluation.metrics.flip_test import DESCRIPTION, FlipTest, flip_test

_SEED = 0


def flip(features: Sequence[Column], codes: Ints, group: Bools, predicted: Bools) -> FlipTest:
    """Runs the flip test of a group against all other rows.

    Args:
        features: of the rows; the test is undefined if one is not numeric.
        codes: number of the row's facet value; -1 where it has none; shape (rows,).
        group: which of these numbers are the group's, shape (values,).
        predicted: whether a row is predicted positive, shape (rows,).
    """
    missing = int(np.count_nonzero(codes < 0))
    if missing:
        share = f"{missing} of {len(codes)} rows"
        return FlipTest(None, 0, f"{share} have no value of the facet")
    columns = []
    for column in features:
        numbers = as_numbers(column.values)
        if numbers is None:
            return FlipTest(
                None,
                0,
                f"column `{column.name}` holds text, which has no distance; name it in "
                "`excluded_columns`",
            )
        columns.append(numbers)
    table = np.column_stack(columns) if columns else np.empty((len(codes), 0))
    return flip_test(table, group[codes], predicted, seed=_SEED)


def description(test: FlipTest, *, rows: int) -> str:
    """Describes the metric and, where rows were sampled, the sample."""
    if test.value is None or test.rows == rows:
        return DESCRIPTION
    return f"{DESCRIPTION}, on a sample of {test.rows:,} of {rows:,} rows"
