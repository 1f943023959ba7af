"""The three splits, and Prepare's summary of them in `meta/split.json`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from sashiko.base.yaml_models import Frozen, read_record
from sashiko.contract.model import SplitDates

SPLITS = ("train", "validation", "test")
META_FILE = "split.json"
# Of all three splits together; with fewer rows no figure of a model means anything.
FEWEST_ROWS = 50
FEWEST_OF_A_LABEL = 5

ColumnKind = Literal["text", "number", "date", "category"]


class SplitSummary(Frozen):
    """One split."""

    rows: int
    positive_rate: float  # share of rows of a favourable class
    repeated_rows: int  # whose normalised text an earlier row of the split has too
    # Whose normalised text has several classes in the split. They stay: a model must learn that the
    # same facts can have several outcomes.
    contradicting_rows: int
    class_rows: tuple[int, ...] = ()  # rows of each class; empty in older runs


class NumberSummary(Frozen):
    """A label that is a number: its bound, and its values in the train rows, unweighted."""

    above: float  # the contract's bound, in the label's unit like all below
    mean: float
    standard_deviation: float = Field(gt=0)  # of the rows themselves, divided by their number
    least: float
    most: float


class SplitMeta(Frozen):
    """Prepare's summary."""

    kind: Literal["time", "text_hash"]  # how rows were assigned
    labels: tuple[str, ...]  # the classes in the order of their indices, favourable ones last
    first_favourable: int = 1  # the index of the first favourable one
    columns: tuple[str, ...]  # of the text
    # How a linear model reads each of them; empty in older runs.
    kinds: dict[str, ColumnKind] = Field(default_factory=dict)
    splits: dict[str, SplitSummary]
    removed_repeats: dict[str, int]  # validation, test -> rows whose text an earlier split has
    removed_over_limit: int  # rows removed by the limits of `data`
    dates: SplitDates | None = None  # of a time split; None otherwise, and in older runs
    # Of a label that is a number; `labels` are then the two outcomes at its bound.
    number: NumberSummary | None = Field(None, exclude_if=lambda number: number is None)

    @field_validator("kinds")
    @classmethod
    def _order_kinds(
        cls, kinds: dict[str, ColumnKind], info: ValidationInfo
    ) -> dict[str, ColumnKind]:
        """Puts the kinds in the order of the columns, which the file sorts by name."""
        return {name: kinds[name] for name in info.data.get("columns", ()) if name in kinds}


def read_split_meta(folder: Path) -> SplitMeta:
    """Reads Prepare's `meta` output.

    Raises:
        InputError: if the file is missing or not valid.
    """
    return read_record(SplitMeta, folder / META_FILE)
