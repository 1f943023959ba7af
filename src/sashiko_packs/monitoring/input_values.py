"""Captured values in the contract's types."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.columns import Column
from sashiko.contract.derive import ARROW_TYPES
from sashiko.contract.model import Ingest
from sashiko.data.ingest import clean_texts
from sashiko.data.values import can_cast, cast_values

# JSON does not distinguish 40.0 from 40, and the model reads both as 40.
_WHOLE: Final = r"^([+-]?\d+)\.0+$"


def typed_values(
    texts: pa.Array, column: Column, rules: Ingest
) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """Converts a column's captured values as ingestion does.

    A request is JSON, whose numbers have a decimal point and whose times are ISO 8601, however the
    contract's raw file writes them.

    Args:
        texts: the values as `read_captures` has them, shape (rows,).
        column: their column.
        rules: of the contract, for blanks and missing values.

    Returns:
        The values of the column's type, null where there is none or it does not have the type, and
        whether each has it or is none, both of shape (rows,).
    """
    kind = ARROW_TYPES[column.logical_type]
    values = clean_texts(texts, column, rules)
    if column.logical_type == "integer":
        values = pc.replace_substring_regex(values, _WHOLE, r"\1")
    encoded = values.dictionary_encode()
    is_readable = pa.array(_castable(encoded.dictionary, kind))
    readable = pc.fill_null(is_readable.take(encoded.indices), True)
    absent = pa.scalar(None, values.type)
    return (
        cast_values(pc.if_else(readable, values, absent), kind),
        readable.to_numpy(zero_copy_only=False),
    )


def _castable(texts: pa.Array, kind: pa.DataType) -> npt.NDArray[np.bool_]:
    """Returns which texts have the type, by halves: a cast refuses them all if it refuses one."""
    if can_cast(texts, kind):
        return np.ones(len(texts), dtype=np.bool_)
    if len(texts) == 1:
        return np.zeros(1, dtype=np.bool_)
    middle = len(texts) // 2
    return np.concatenate([_castable(texts[:middle], kind), _castable(texts[middle:], kind)])
