"""Finds columns that tell the label apart alone, such as one that is filled in after the decision.

Each column is compared with the label by itself: numbers and dates by their order, all columns by
their repeated values, and missing values count as a value. A free text, whose values do not repeat,
is only compared as present or missing.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.parquet import TableStream
from sashiko.contract.derive import outcomes
from sashiko.contract.model import Contract
from sashiko.evaluation.gates.verdict import Check
from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints

_FOLDS = 5
_ROWS_A_VALUE = 10  # rarer values count as one, so that a key or a free text has no values


def order_auc(values: Floats, positive: Bools) -> float:
    """Returns the AUC of a column of numbers or times, in the direction that is better.

    Missing values count as the lowest or as the highest, whichever is better.

    Args:
        values: shape (rows,), NaN where missing.
        positive: whether each row has the positive label, shape (rows,); both labels occur.
    """
    missing = np.isnan(values)
    ends = (-np.inf, np.inf) if missing.any() else (np.inf,)
    aucs = [_auc(np.where(missing, end, values), positive) for end in ends]
    return max(max(auc, 1 - auc) for auc in aucs)


def category_auc(codes: Ints, positive: Bools) -> float:
    """Returns the AUC of a column of categories, where a row's score is its value's positive rate.

    The rate is that of the rows in the other four of five folds, so that a value does not predict
    the rows from which its rate was taken. Values of fewer than ten rows count as one value.

    Args:
        codes: the number of each row's value from 0, shape (rows,); a missing value is a value.
        positive: whether each row has the positive label, shape (rows,); both labels occur.
    """
    counts = np.bincount(codes)
    rare = len(counts)
    codes = np.where(counts[codes] < _ROWS_A_VALUE, rare, codes)
    generator = np.random.default_rng(0)
    folds = np.empty(len(positive), dtype=np.int64)
    for label in (False, True):  # which have equal shares in the folds
        members = generator.permutation(np.flatnonzero(positive == label))
        folds[members] = np.arange(len(members)) % _FOLDS
    cells, shape = folds * (rare + 1) + codes, (_FOLDS, rare + 1)
    rows, positives = (
        np.bincount(part, minlength=_FOLDS * (rare + 1)).reshape(shape)
        for part in (cells, cells[positive])
    )
    other_rows = rows.sum(axis=0) - rows
    rates = np.full(shape, positive.mean())
    np.divide(positives.sum(axis=0) - positives, other_rows, out=rates, where=other_rows > 0)
    return max(_auc(rates[folds, codes], positive), 0.5)


def _auc(scores: Floats, positive: Bools) -> float:
    """Returns the AUC from the mean ranks of the positive rows (Mann and Whitney's U)."""
    _, codes, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    positives = int(positive.sum())
    wins = ranks[codes][positive].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * (len(positive) - positives)))


LEAK = 0.99  # a higher AUC of one column is a finding
SUSPICIOUS = 0.95  # a higher one is a question
FEWEST_ROWS = 10  # of each label
_SAMPLE_ROWS = 100_000
_CHARACTERS = 64  # of a text, which are enough to compare values


def column_auc(values: pa.Array, positive: Bools) -> float:
    """Returns the AUC of one column against the label, from 0.5 to 1.

    Args:
        values: one of `derive.ARROW_TYPES`.
        positive: whether each row has the positive label, shape (rows,); both labels occur.
    """
    codes = values.dictionary_encode(null_encoding="encode").indices.to_numpy()
    auc = category_auc(codes.astype(np.int64), positive)
    kind = values.type
    if pa.types.is_temporal(kind):
        values = values.cast(pa.timestamp("us")).cast(pa.int64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return auc
    numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return max(auc, order_auc(numbers, positive))


def class_auc(values: pa.Array, codes: Ints, *, classes: int) -> tuple[float, int] | None:
    """Returns the largest AUC of one column against one class and all others, and that class.

    Args:
        values: one of `derive.ARROW_TYPES`.
        codes: class of each row, from 0, shape (rows,).
        classes: the number of classes; of two the second is taken.

    Returns:
        The AUC, from 0.5 to 1, and the class; None if no class has enough rows, and others enough.
    """
    rows = np.bincount(codes, minlength=classes)
    judged = [
        place
        for place in range(1 if classes == 2 else 0, classes)
        if FEWEST_ROWS <= rows[place] <= len(codes) - FEWEST_ROWS
    ]
    aucs = [(column_auc(values, codes == place), place) for place in judged]
    return max(aucs, key=lambda pair: pair[0], default=None)


def leak_checks(stream: TableStream, contract: Contract) -> Iterator[Check]:
    """Yields a check for each column that a text may use.

    A column with an AUC above `LEAK` fails unless the contract accepts it with a reason. A table of
    more than 100,000 rows is judged on an even sample of them.
    """
    table = _sample(stream, (contract.label.column, *contract.text_columns))
    classes = contract.classes
    labels = outcomes(table[contract.label.column], contract)
    places = pc.index_in(labels, value_set=pa.array(classes, pa.string()))
    codes = np.asarray(pc.fill_null(places, 0), dtype=np.int64)
    accepted = {item.column: item.reason for item in contract.accepted_leaks}
    for name in contract.text_columns:
        closest = class_auc(table[name].combine_chunks(), codes, classes=len(classes))
        if closest is None:
            fewest = np.sort(np.bincount(codes, minlength=len(classes)))[-2:].min()
            yield Check(
                name="each column alone against the label",
                passed=True,
                judged=False,
                reason=f"{fewest} rows of the rarer label, {FEWEST_ROWS} are needed",
            )
            return
        what = "the label" if len(classes) == 2 else f"the label {classes[closest[1]]!r}"
        yield _check(name, closest[0], what=what, accepted=accepted.get(name, ""))


def _check(column: str, auc: float, *, what: str, accepted: str) -> Check:
    name = f"{column}: AUC alone against {what}"
    if auc > LEAK and accepted:
        reason = f"accepted by the contract: {accepted}"
        return Check(name=name, value=auc, passed=True, reason=reason)
    judged = partial(Check, name=name, value=auc, threshold=LEAK, comparison="<=")
    if auc > LEAK:
        return judged(
            passed=False,
            reason=f"the column alone predicts {what}, as one that is filled in later would",
            try_=f"remove `{column}` from `textColumns`; if it is known when the model predicts, "
            f"say why under `acceptedLeaks: [{{column: {column}, reason: ...}}]`",
        )
    question = "is the column known when the model predicts?" if auc > SUSPICIOUS else ""
    return judged(passed=True, reason=question)


def _sample(stream: TableStream, names: tuple[str, ...]) -> pa.Table:
    """Returns every n-th row, at most `_SAMPLE_ROWS` of them, with shortened texts."""
    schema = pa.schema([stream.schema.field(name) for name in names])
    table, step, start = schema.empty_table(), 1, 0
    for batch in stream.read(names):
        rows = np.arange(-start % step, batch.num_rows, step)
        columns = [
            pc.utf8_slice_codeunits(column, 0, _CHARACTERS)
            if pa.types.is_string(column.type)
            else column
            for column in batch.take(pa.array(rows)).columns
        ]
        table = pa.concat_tables([table, pa.Table.from_arrays(columns, schema=schema)])
        start += batch.num_rows
        while table.num_rows > _SAMPLE_ROWS:
            table, step = table.take(pa.array(np.arange(0, table.num_rows, 2))), 2 * step
    return table
