"""The draft: everything that contract and recipe will say, each guess with its reason."""

import datetime as dt
from dataclasses import dataclass

from sashiko.contract.columns import Classification, LogicalType
from sashiko.data.draft.csv_format import CsvFormat
from sashiko.data.draft.numbers import NumberMarks


@dataclass(frozen=True)
class ColumnDraft:
    """A column of the contract.

    Attributes:
        name: its name in the lake.
        physical_name: its name in the file.
        logical_type: the contract's type.
        type_why: why that one.
        classification: who may read it.
        class_why: why.
        key: whether it is the primary key, and `key_why` says why.
        key_why: empty for other columns.
        missing_percent: of the rows, rounded up; 0 where no value is missing.
        allowed: all values that it may take; none if they are not listed.
        minimum: the smallest value seen; None where there is no range.
        maximum: the largest one; None for dates, which go on.
        date_format: how its dates are written; empty for ISO 8601 and for what is none.
    """

    name: str
    physical_name: str
    logical_type: LogicalType
    type_why: str
    classification: Classification
    class_why: str
    key: bool = False
    key_why: str = ""
    missing_percent: int = 0
    allowed: tuple[str, ...] = ()
    minimum: int | float | str | None = None
    maximum: int | float | str | None = None
    date_format: str = ""


@dataclass(frozen=True)
class LabelDraft:
    """The label's column and values."""

    column: str
    positive: str
    negative: str
    why: str


@dataclass(frozen=True)
class FacetDraft:
    """A facet, and the group of which fewest have the positive label."""

    column: str
    disadvantaged: str
    why: str


@dataclass(frozen=True)
class SplitDraft:
    """How rows are split: by time if there is a column, else by a hash of the text."""

    why: str
    column: str = ""
    validation_from: dt.date | None = None
    test_from: dt.date | None = None


@dataclass(frozen=True)
class TextDraft:
    """What the model reads.

    Attributes:
        columns: what a template may use.
        template: the recipe's template.
        tokens: the longest compiled sequence, an estimate that 95 of 100 texts fit in.
        foreign_percent: of the rows, whose texts have letters that English has not.
    """

    columns: tuple[str, ...]
    template: str
    tokens: int
    foreign_percent: int


@dataclass(frozen=True)
class Repeats:
    """Rows that are equal to an earlier one.

    Attributes:
        rows: how many.
        examples: the first of them, from 1.
        but_for: the columns in which they differ, which are keys.
    """

    rows: int
    examples: tuple[int, ...]
    but_for: tuple[str, ...]


@dataclass(frozen=True)
class Draft:
    """A contract and a recipe, before they are written.

    Attributes:
        name: of the recipe, and of the files.
        table: of the lake.
        file: the data file's own name.
        source: the data file, as the recipe names it.
        rows: how many it has.
        columns: in the order of the file.
        label: what is learned.
        facets: by what bias is judged; none where nobody named one.
        groups: columns that look like facets and are none.
        split: of the rows.
        text: what the model reads.
        row_number: the key that the file lacks; empty where it has one.
        trim: whether blanks around values are cut.
        stand_ins: texts that mean "missing".
        csv: what a CSV file is read with.
        marks: how its numbers are written.
        repeats: the rows that repeat an earlier one.
        notes: what a person should know before reading the files.
    """

    name: str
    table: str
    file: str
    source: str
    rows: int
    columns: tuple[ColumnDraft, ...]
    label: LabelDraft
    facets: tuple[FacetDraft, ...]
    groups: tuple[str, ...]
    split: SplitDraft
    text: TextDraft
    row_number: str
    trim: bool
    stand_ins: tuple[str, ...]
    csv: CsvFormat
    marks: NumberMarks
    repeats: Repeats
    notes: tuple[str, ...]

    @property
    def is_written_otherwise(self) -> bool:
        """Whether the file is not written as a contract takes for granted."""
        marks = (self.marks.decimal, self.marks.thousands)
        return (self.csv.delimiter, self.csv.encoding, *marks) != (",", "utf-8", ".", "")
