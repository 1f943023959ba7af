"""The draft: the content of contract and recipe, each guess with its reason."""

import datetime as dt
from dataclasses import dataclass

from sashiko.contract.glue_job.spec import TextForm
from sashiko.contract.model import Classification, LogicalType
from sashiko.data.draft.csv_format import CsvFormat, NumberMarks


@dataclass(frozen=True, kw_only=True)
class ColumnType:
    """The type of a raw column."""

    kind: LogicalType  # of every value
    why: str
    form: TextForm | None = None  # how its values are written; None for the lake's default
    date_format: str = ""  # the same of dates, for the contract; empty for ISO 8601 and others
    warning: str = ""  # why it is text although it is almost all dates or numbers


@dataclass(frozen=True)
class ColumnDraft:
    """A column of the contract."""

    name: str  # in the lake
    physical_name: str  # in the file
    logical_type: LogicalType
    type_why: str
    classification: Classification
    class_why: str
    key_why: str = ""  # of the primary key; empty for other columns
    missing_percent: int = 0  # of the rows, rounded up
    allowed: tuple[str, ...] = ()  # all values; empty if they are not listed
    minimum: int | float | str | None = None
    maximum: int | float | str | None = None  # None for dates, as later ones will come
    date_format: str = ""  # empty for ISO 8601 and for other types


@dataclass(frozen=True)
class LabelDraft:
    """The label's column and values."""

    column: str
    positive: str
    negative: str
    why: str


@dataclass(frozen=True)
class FacetDraft:
    """A facet, and the group with the smallest share of positive labels."""

    column: str
    disadvantaged: str
    why: str


@dataclass(frozen=True)
class SplitDraft:
    """The split of the rows: by time if there is a column, else by a hash of the text."""

    why: str
    column: str = ""
    validation_from: dt.date | None = None
    test_from: dt.date | None = None


@dataclass(frozen=True)
class TextDraft:
    """The model's input."""

    columns: tuple[str, ...]  # allowed in a template
    template: str
    tokens: int  # longest compiled sequence: an estimate that 95 of 100 texts fit in
    foreign_percent: int  # of the rows, whose texts have letters that English does not have
    leaks: tuple[str, ...]  # columns left out, as each tells the label apart alone


@dataclass(frozen=True)
class Repeats:
    """Rows that are equal to an earlier one."""

    rows: int
    examples: tuple[int, ...]  # the first of them, from 1
    excluded: tuple[str, ...] = ()  # key columns, in which they differ


@dataclass(frozen=True)
class Draft:
    """A contract and a recipe, before they are written."""

    name: str  # of the recipe, and of the files
    table: str
    file: str  # the data file's own name
    source: str  # the data file, as the recipe names it
    rows: int
    columns: tuple[ColumnDraft, ...]  # in the order of the file
    label: LabelDraft
    facets: tuple[FacetDraft, ...]
    groups: tuple[str, ...]  # sensitive columns, if there are no facets
    split: SplitDraft
    text: TextDraft
    row_number: str  # the key of a file without one; else empty
    trim: bool  # blanks around values are cut
    null_values: tuple[str, ...]  # texts that stand for a missing value
    csv: CsvFormat
    marks: NumberMarks
    repeats: Repeats
    notes: tuple[str, ...]  # for the user, before reading the files

    @property
    def has_own_format(self) -> bool:
        """Whether the file's format differs from a contract's defaults."""
        marks = (self.marks.decimal, self.marks.thousands)
        return (self.csv.delimiter, self.csv.encoding, *marks) != (",", "utf-8", ".", "")
