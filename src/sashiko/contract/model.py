"""The data contract as frozen records: what the rest of the project knows about a data set."""

import datetime as dt
from typing import Literal

from pydantic import Field, model_validator

from sashiko.contract.columns import Column, Facet, Label, LakeName, QualityRule
from sashiko.core.yaml_models import Frozen

View = Literal["training", "facets", "all"]
# Who reads the lake by a governed SELECT; the same words as the roles' names.
Reader = Literal["bias-evaluator", "broker", "data-scientist"]
Delimiter = Literal[",", ";", "\t", "|"]
# Of those that Python and Java both know by these names, what spreadsheets and databases write.
Encoding = Literal[
    "utf-8", "utf-16", "windows-1250", "windows-1251", "windows-1252", "iso-8859-2", "iso-8859-15"
]


class TimeSplit(Frozen):
    """Rows before `validation_from` train; from `test_from` on they test (midnight, UTC)."""

    kind: Literal["time"] = "time"
    column: str
    validation_from: dt.date
    test_from: dt.date


class TextHashSplit(Frozen):
    """Rows go to a split by a hash of their normalised text, so equal texts stay together.

    Attributes:
        validation_share: of the texts, 0 to 1.
        test_share: of the texts, 0 to 1.
        salt: goes into the hash. Another one draws other splits: change it when choices were made
            with the test split in view.
    """

    kind: Literal["text_hash"] = "text_hash"
    validation_share: float = Field(gt=0, lt=1)
    test_share: float = Field(gt=0, lt=1)
    salt: str = ""


class Ingest(Frozen):
    """How raw text becomes the typed table in the lake.

    Attributes:
        trim: cut blanks off both ends of every text value.
        null_values: texts that mean "missing", compared after trimming; by default the empty one,
            so that a required column cannot be satisfied by nothing.
        delimiter: what stands between the values of a CSV file.
        encoding: of a CSV file; with `utf-8` a byte order mark may come first.
        decimal: the decimal mark of number columns.
        thousands: what may stand between groups of three digits of number and integer columns.
        row_number: an integer column that the file lacks: the row's position in it, from 0. An
            unnamed first column of the file, such as a written-out index, is then skipped.
    """

    trim: bool = False
    null_values: tuple[str, ...] = ("",)
    delimiter: Delimiter = ","
    encoding: Encoding = "utf-8"
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ""
    row_number: str | None = None

    @model_validator(mode="after")
    def _marks_differ(self) -> "Ingest":
        if self.decimal == self.thousands:
            raise ValueError(
                f"`decimal` and `thousands` are both {self.decimal!r}; `decimal` is '.' where it "
                "is not given"
            )
        return self


class Freshness(Frozen):
    """How old the newest row may be: at most `days` days between `column`'s maximum and `as_of`.

    `as_of` is the day to which the owner vouches for the data. It is part of the contract, since
    a step that looked at the clock would judge the same data differently on another day.
    """

    column: str
    days: int = Field(ge=0)
    as_of: dt.date


class RowFilter(Frozen):
    """The rows of the table that one reader sees; who has none sees all rows.

    Attributes:
        persona: the reader.
        filter: a condition on columns, such as `product = 'Mortgage' AND received_at IS NOT NULL`.
        columns: what of the rows the reader sees, of those that the classification allows.
    """

    persona: Reader
    filter: str = Field(min_length=1)
    columns: tuple[str, ...] = Field(min_length=1)


class Contract(Frozen):
    """A data set: one table, what holds for its columns, and what it is used for.

    Attributes:
        id: ODCS's identifier of the contract.
        version: the contract's own version.
        sha256: of the contract file's bytes.
        table: the table's name in the lake.
        title: a name for people.
        description: what the data are, where they come from, under which licence.
        limitations: what they must not be used for.
        columns: in the order of the contract.
        label: what is learned.
        facets: by what bias is judged; none, said as an empty list, where no column tells groups.
        group_variable: the column on whose values CDDL and CDDPL condition; the bias evaluator
            reads it beside the facets.
        split: how rows go to train, validation and test.
        text_columns: what a recipe's text template may use.
        ingest: how raw values are cleaned.
        freshness: how old the newest row may be, where rows have a time.
        quality: rules of the table as a whole.
        domain: the part of the organisation that the data are from, where the contract says it.
        row_filters: readers who see only part of the rows.
    """

    id: str
    version: str
    sha256: str
    table: LakeName
    title: str
    description: str
    limitations: str
    columns: tuple[Column, ...] = Field(min_length=1)
    label: Label
    facets: tuple[Facet, ...]
    group_variable: str | None = None
    split: TimeSplit | TextHashSplit = Field(discriminator="kind")
    text_columns: tuple[str, ...] = Field(min_length=1)
    ingest: Ingest = Ingest()
    freshness: Freshness | None = None
    quality: tuple[QualityRule, ...] = ()
    domain: str | None = None
    row_filters: tuple[RowFilter, ...] = ()

    @property
    def key(self) -> str:
        """The name of the primary key's column."""
        return next(column.name for column in self.columns if column.primary_key)

    def column(self, name: str) -> Column:
        """Returns the column called `name`; a KeyError names what is not there."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def view_columns(self, view: View) -> tuple[Column, ...]:
        """Returns the columns that a governed view shows, in the contract's order.

        `training` shows key, label and what is classified none; `facets` shows key, label, group
        variable and what is classified sensitive; `all` is the whole table, as the owner of the
        data sees it.
        """
        if view == "all":
            return self.columns
        shown = "none" if view == "training" else "sensitive"
        always = {self.key, self.label.column}
        if view == "facets" and self.group_variable is not None:
            always.add(self.group_variable)
        return tuple(c for c in self.columns if c.classification == shown or c.name in always)
