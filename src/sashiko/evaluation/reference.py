"""`reference.json`: what a version met on its held-out rows, to compare its captured requests with.

Evaluate writes it beside `metrics.json`, so Register copies it into the version's files, whose
manifest is signed. It holds counts: no text, no key and no facet.
"""

from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, model_validator

from sashiko.base.files import write_json
from sashiko.base.yaml_models import Frozen, read_record
from sashiko.evaluation.metrics.calibration import CalibrationBin
from sashiko.evaluation.metrics.quality import Confusion

REFERENCE_FILE: Final = "reference.json"
SMALLEST_COUNT: Final = 10  # a smaller count could stand for a person
UNCOUNTED: Final = 2  # cells after those of values or bins: any other value, and none


class ColumnCounts(Frozen):
    """Rows of a column by value, or by bin of a number.

    A bin holds the values above one edge, up to and with the next; the first has no lower end and
    the last no upper one.
    """

    column: str
    # A `category` has `values`, a `number` bins, a `text` bins of its length in letters.
    kind: Literal["category", "number", "text"]
    values: tuple[str, ...] = ()  # of a category, as requests write them, in alphabetical order
    edges: tuple[float, ...] = ()  # between bins, ascending
    # Rows of each value, or bin, then of any other value, then without one.
    counts: tuple[int, ...]

    @model_validator(mode="after")
    def _check_cells(self) -> "ColumnCounts":
        if self.edges if self.kind == "category" else self.values:
            raise ValueError("a category has `values`, another column `edges`")
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("`edges` must ascend")
        cells = self.named + UNCOUNTED
        if len(self.counts) != cells or min(self.counts) < 0:
            raise ValueError(f"`counts` needs {cells} numbers of rows")
        return self

    @property
    def is_ordered(self) -> bool:
        """Whether the cells are bins of a number."""
        return self.kind != "category"

    @property
    def named(self) -> int:
        """The number of values or bins."""
        return len(self.edges) + 1 if self.is_ordered else len(self.values)


class ClassCounts(Frozen):
    """The held-out rows of one of more than two classes, without those that are not answered."""

    rows: int  # labelled as it
    predicted: int  # decided as it
    right: int  # both
    scores: ColumnCounts  # of its probability, of all rows


class NumberCounts(Frozen):
    """How far off a label that is a number was predicted, of the held-out rows."""

    half_width: float  # of the interval around each predicted value, in the label's unit
    covered: int  # rows whose observed value is in it
    # Twice the half width, and never 0: an absolute error above it counts as this much.
    error_cap: float = Field(gt=0)
    capped_error: float  # the sum of the absolute errors, each of at most 1, as shares of the cap
    metrics: dict[str, float | None]  # by the names of `evaluation.metrics.numbers`


class Reference(Frozen):
    """The held-out rows of a version: its test split."""

    rows: int
    positives: int  # rows with a favourable label
    # Those of them that are predicted positive; None if an earlier engine registered the version,
    # or if there are more than two classes.
    true_positives: int | None = None
    labels: tuple[str, ...]  # of the classes, the favourable ones last
    first_favourable: int = Field(1, exclude_if=lambda index: index == 1)  # of `labels`
    # Of two classes, rows with at least this score are predicted positive; of more 0. Of a number
    # its bound, above which a value is the favourable outcome.
    threshold: float
    template: str  # which makes the model's text of the columns
    missing: str  # what stands for a null in that text
    columns: tuple[ColumnCounts, ...]  # those of the template, in its order
    scores: ColumnCounts  # of the probability of a favourable class, or of the predicted value
    # Of a number; None of classes.
    number: NumberCounts | None = Field(None, exclude_if=lambda counts: counts is None)
    # Of more than two classes each, in the order of `labels`, and the probability of the predicted
    # one; else empty and None.
    classes: tuple[ClassCounts, ...] = Field((), exclude_if=lambda classes: not classes)
    confidence: ColumnCounts | None = Field(None, exclude_if=lambda counts: counts is None)
    # Rows that were decided as labelled, by the cells of `confidence`, or without it of `scores`.
    right: tuple[int, ...]
    calibration: tuple[CalibrationBin, ...]  # the reliability curve
    artifact_sha256: str  # of `model.tar.gz`, which scored the rows
    test_sha256: str  # of the files of the test split
    columns_sha256: str  # of the files that the columns were read from

    @property
    def accuracy(self) -> float:
        """The share of the rows that were decided as labelled."""
        return sum(self.right) / self.rows

    @property
    def confusion(self) -> Confusion | None:
        """The rows by label and decision; None without `true_positives`."""
        if self.true_positives is None:
            return None
        true_negatives = sum(self.right) - self.true_positives
        return Confusion(
            true_positives=self.true_positives,
            false_positives=self.rows - self.positives - true_negatives,
            false_negatives=self.positives - self.true_positives,
            true_negatives=true_negatives,
        )


def write_reference(reference: Reference, folder: Path) -> None:
    """Writes `reference.json`."""
    write_json(folder / REFERENCE_FILE, reference.model_dump(mode="json"))


read_reference = partial(read_record, Reference)
