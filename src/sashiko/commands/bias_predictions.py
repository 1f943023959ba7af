"""Reads a file of predictions for `sashiko bias`: by key, as labels of the contract."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.bias.clarify.contract_config import PREDICTED_LABEL
from sashiko.bias.clarify.criteria import same
from sashiko.bias.clarify.dataset import Column
from sashiko.commands.bias_rows import as_text, is_json_lines, json_batch
from sashiko.contract.model import Contract
from sashiko.data.raw_files import raw_batches
from sashiko.errors import InputError

SEEN = "label seen by the run"
_DEFAULT_THRESHOLD = 0.5  # Clarify's
_RUN_COLUMNS = {"key", "split", "label", "predicted"}


@dataclass(frozen=True)
class Predictions:
    """A file of predictions."""

    path: Path  # CSV, Parquet or JSON Lines with the key and a prediction for each row to be judged
    column: str | None = None  # the predictions' column; `predicted_label` or `predicted` if None
    # Set if they are probabilities of the positive label; positive above it.
    threshold: float | None = None


def read_predictions(source: Predictions, contract: Contract) -> pa.Table:
    """Reads predictions.

    A run's own file holds the labels that it saw and a column `split`; of it the rows of the test
    split are taken.

    Returns:
        The contract's key; `predicted_label`, a label of the contract; and `SEEN`, likewise, where
        the file is a run's.

    Raises:
        InputError: if the file cannot be read or lacks a column, or a prediction is no label and
            no probability.
    """
    path, column = source.path, source.column
    batches = [json_batch(path)] if is_json_lines(path) else raw_batches(path)
    table = pa.Table.from_batches(batches)
    from_a_run = set(table.column_names) >= _RUN_COLUMNS
    if from_a_run:
        table = table.filter(pc.equal(table["split"], "test"))
        if not table.num_rows:
            raise InputError(f"{path} is of a run and has no rows of split `test`")
        print(f"{path} is of a run: its rows of split `test` are used", file=sys.stderr)
    key = _column(table, path, [contract.key, contract.column(contract.key).physical_name, "key"])
    name = _column(table, path, [column] if column else [PREDICTED_LABEL, "predicted"])
    texts = as_text(table[name])
    if texts.null_count or pc.any(pc.is_in(texts, pa.array(["nan", "NaN"]))).as_py():
        raise InputError(f"{path}: column `{name}` has empty values; a row needs a prediction")
    raw = Column(name, texts, path)
    labels = _apply_threshold(raw, source.threshold)
    coded = from_a_run or labels is not raw
    columns = {
        contract.key: table[key].cast(pa.string()),
        PREDICTED_LABEL: _labels(labels, contract, coded=coded),
    }
    if from_a_run:
        seen = Column("label", table["label"].cast(pa.string()), path)
        columns[SEEN] = _labels(seen, contract, coded=True)
    return pa.table(columns)


def _column(table: pa.Table, path: Path, names: Sequence[str]) -> str:
    for name in names:
        if name in table.column_names:
            return name
    raise InputError(
        f"{path} has no column `{'` or `'.join(dict.fromkeys(names))}`; it has "
        f"{', '.join(table.column_names)}"
    )


def _labels(column: Column, contract: Contract, *, coded: bool) -> pa.ChunkedArray:
    """Turns predictions into the contract's labels; 1 is the positive one where they are coded."""
    label = contract.label
    contract_labels = (
        {} if coded else {label.positive: label.positive, label.negative: label.negative}
    )
    mapping = {}
    for text in pc.unique(column.values).to_pylist():
        if text in contract_labels:
            mapping[text] = contract_labels[text]
        elif same(text, 1) or same(text, 0):
            mapping[text] = label.positive if same(text, 1) else label.negative
        else:
            raise InputError(
                f"{column.file}: column `{column.name}` has {text!r}, which is neither a label of "
                f"the contract ({label.positive}, {label.negative}) nor 1 or 0"
            )
    places = pc.index_in(column.values, value_set=pa.array(list(mapping), pa.string()))
    return pc.take(pa.array(list(mapping.values()), pa.string()), places)


def _apply_threshold(column: Column, threshold: float | None) -> Column:
    """Turns probabilities into labels, `1` above the threshold, else `0`.

    Without a threshold, numbers with a fraction are probabilities, and other columns are returned
    as they are.
    """
    try:
        scores = np.asarray(pc.cast(column.values, pa.float64()))
    except pa.ArrowException:
        scores = None
    if threshold is None:
        if scores is None or bool((scores == np.floor(scores)).all()):
            return column
        threshold = _DEFAULT_THRESHOLD
        print(
            f"{column.file}: column `{column.name}` holds probabilities: above {threshold} "
            "counts as 1, which --probability-threshold changes",
            file=sys.stderr,
        )
    if scores is None:
        raise InputError(
            f"{column.file}: column `{column.name}` holds texts, not probabilities; leave "
            "--probability-threshold out"
        )
    outside = int((~((scores >= 0) & (scores <= 1))).sum())
    if outside:
        raise InputError(
            f"{column.file}: column `{column.name}` has {outside} values of {len(scores)} "
            "outside 0 to 1"
        )
    labels = pa.array(np.where(scores > threshold, "1", "0"), pa.string())
    return replace(column, values=pa.chunked_array([labels]))
