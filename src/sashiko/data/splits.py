"""The three splits, and what Prepare tells of them in `meta/split.json`."""

from pathlib import Path
from typing import Literal

from sashiko.core.files import read_json
from sashiko.core.yaml_models import Frozen, validate

SPLITS = ("train", "validation", "test")
META_FILE = "split.json"


class SplitSummary(Frozen):
    """One split.

    Attributes:
        rows: how many rows it has.
        positive_rate: the share of rows with the positive label.
        repeated_rows: rows whose normalised text an earlier row of the same split has too.
        contradicting_rows: rows whose normalised text carries both labels in this split. They
            stay: that the same facts end both ways is something a model must learn.
    """

    rows: int
    positive_rate: float
    repeated_rows: int
    contradicting_rows: int


class SplitMeta(Frozen):
    """What Prepare did.

    Attributes:
        kind: how rows were assigned.
        labels: the label's (negative, positive) value; its classes 0 and 1.
        columns: the columns that the text is made of.
        splits: split name -> its summary.
        removed_repeats: validation and test -> rows removed since an earlier split has their text.
        removed_over_limit: rows removed from train by `data.train_rows`.
    """

    kind: Literal["time", "text_hash"]
    labels: tuple[str, str]
    columns: tuple[str, ...]
    splits: dict[str, SplitSummary]
    removed_repeats: dict[str, int]
    removed_over_limit: int


def read_split_meta(folder: Path) -> SplitMeta:
    """Reads Prepare's `meta` output.

    Raises:
        InputError: if the file is missing or is not what Prepare writes.
    """
    path = folder / META_FILE
    return validate(SplitMeta, read_json(path), source=str(path))
