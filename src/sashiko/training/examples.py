"""Reads the channels' rows and tokenises them once for all epochs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sashiko.base.parquet import read_columns
from sashiko.data.splits import NumberSummary
from sashiko.errors import InputError
from sashiko.serving.container.prompt import RowTokenizer
from sashiko.settings.recipe_train import LONGEST_ROW

Tokenize = Callable[[list[str]], list[list[int]]]


@dataclass(frozen=True)
class Examples:
    """Tokenised rows, concatenated in one array."""

    tokens: npt.NDArray[np.int32]  # int32, all rows' token ids one after the other
    offsets: npt.NDArray[np.int64]  # int64, n + 1; row i has `tokens[offsets[i]:offsets[i + 1]]`
    # n; the index of the row's class, int64; or its number as of `read_labels`, float32
    labels: npt.NDArray[np.int64] | npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]  # float32, n; the row's weight in the loss

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens per row, special tokens included."""
        return np.diff(self.offsets)


def read_split(folder: Path, *, is_number: bool = False) -> pa.Table:
    """Reads a split that Prepare wrote: columns key, text and label, and value of a number.

    Raises:
        InputError: if the file is missing, damaged, empty, or lacks a column.
    """
    columns = ("key", "text", "label", *(["value"] if is_number else []))
    return read_columns(folder / "data.parquet", columns)


def read_labels(table: pa.Table, number: NumberSummary | None) -> npt.NDArray[Any]:
    """Returns what a model learns of the rows of a split, shape (rows,).

    It is the index of a row's class, int64; or its number less the train split's mean, over the
    standard deviation there, float64.
    """
    if number is None:
        return np.asarray(table["label"], dtype=np.int64)
    values = np.asarray(table["value"], dtype=np.float64)
    return (values - number.mean) / number.standard_deviation


def read_weights(folder: Path, keys: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    """Reads the weights channel in the order of `keys`; without its folder each row counts 1.

    Returns:
        float32, one per key.

    Raises:
        InputError: if the keys of the two differ, or a weight is not a positive number.
    """
    if not folder.exists():
        return np.ones(len(keys), dtype=np.float32)
    path = folder / "weights.parquet"
    table = read_columns(path, ("key", "weight"))
    by_key = dict(zip(table["key"].to_pylist(), table["weight"].to_pylist(), strict=True))
    train_keys = keys.to_pylist()
    missing = [key for key in train_keys if key not in by_key]
    if missing or len(train_keys) != table.num_rows:
        raise InputError(
            f"{path} and the train split differ: {len(missing)} of {len(train_keys)} train "
            f"keys have no weight and {len(by_key.keys() - set(train_keys))} weights no train key; "
            "make both from the same Prepare output"
        )
    weights = np.array([by_key[key] for key in train_keys], dtype=np.float32)
    if not (np.isfinite(weights) & (weights > 0)).all():
        raise InputError(f"{path}: column `weight` has values that are not positive numbers")
    return weights


def encoder_rows(tokenizer: Any, *, max_length: int, truncate: bool) -> Tokenize:
    """Returns what tokenizes texts for an encoder, as the served model does; rows may be cut."""
    content = tokenizer.backend_tokenizer.to_str()
    return RowTokenizer(content, max_length=max_length, truncate=truncate).rows


def tokenise(
    table: pa.Table,
    tokenize: Tokenize,
    *,
    source: str,
    max_length: int,
    number: NumberSummary | None = None,
    weights: npt.NDArray[np.float32] | None = None,
) -> Examples:
    """Tokenises a split for all epochs.

    Raises:
        InputError: if rows are longer than `max_length`.
    """
    rows = tokenize(table["text"].to_pylist())
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    if lengths.max() > max_length:
        raise InputError(
            f"{source}: {int((lengths > max_length).sum())} of {len(rows)} texts are longer than "
            f"{max_length} tokens (the longest has {lengths.max()}): raise the recipe's longest "
            f"compile.sequence_lengths ({LONGEST_ROW} at most), or set text.truncate: true to cut "
            "them"
        )
    labels = read_labels(table, number)
    return Examples(
        tokens=np.fromiter((token for row in rows for token in row), dtype=np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        labels=labels.astype(np.float32) if number else labels,
        weights=np.ones(len(rows), dtype=np.float32) if weights is None else weights,
    )
