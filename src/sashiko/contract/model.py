"""The data contract as frozen records: what the rest of the project knows about a data set."""

import datetime as dt
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from sashiko.core.yaml_models import Frozen

LogicalType = Literal["string", "integer", "number", "boolean", "date", "timestamp"]
Classification = Literal["none", "sensitive", "pii"]
View = Literal["training", "facets", "all"]
# Who reads the lake by a governed SELECT; the same words as the roles' names.
Reader = Literal["bias-evaluator", "broker", "data-scientist"]
Metric = Literal["nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount"]
Operator = Literal[
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
]
Delimiter = Literal[",", ";", "\t", "|"]
# Of those that Python and Java both know by these names, what spreadsheets and databases write.
Encoding = Literal[
    "utf-8", "utf-16", "windows-1250", "windows-1251", "windows-1252", "iso-8859-2", "iso-8859-15"
]
_WORDS = re.compile(r"\w+(?:['’ -]\w+)*")
_LAKE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def _known_to_glue(name: str) -> str:
    if not _LAKE_NAME.fullmatch(name):
        raise ValueError(
            "a name in the lake has lower-case letters, digits and `_`, at most 63 of them and a "
            "letter first: rename it"
        )
    return name


LakeName = Annotated[str, AfterValidator(_known_to_glue)]
Scalar = bool | int | float | str


class QualityRule(Frozen):
    """One ODCS library rule: `metric` of the rows, held against `value` by `operator`.

    Attributes:
        metric: ODCS's name of what is counted.
        operator: ODCS's name of the comparison.
        value: a count, a percentage if `percent`, or a (low, high) pair for the two `Between`s.
        percent: True where the rule's unit is `percent`.
        valid_values: `arguments.validValues` of `invalidValues`.
        pattern: `arguments.pattern` of `invalidValues`.
        missing_values: `arguments.missingValues` of `missingValues`; None stands for null.
        properties: `arguments.properties` of a table's `duplicateValues`.
        description: what the rule is for.
    """

    metric: Metric
    operator: Operator
    value: float | tuple[float, float]
    percent: bool = False
    valid_values: tuple[Scalar, ...] = ()
    pattern: str | None = None
    missing_values: tuple[Scalar | None, ...] = ()
    properties: tuple[str, ...] = ()
    description: str = ""


class Options(Frozen):
    """A column's ODCS `logicalTypeOptions`.

    Bounds of numbers, dates (ISO text) and lengths, and `format`: how dates and times are written
    in the raw file, such as `dd.MM.yyyy`, where not as ISO 8601.
    """

    format: str | None = None
    minimum: int | float | str | None = None
    maximum: int | float | str | None = None
    exclusiveMinimum: int | float | str | None = None  # noqa: N815 - ODCS's own spelling
    exclusiveMaximum: int | float | str | None = None  # noqa: N815 - as above
    minLength: int | None = None  # noqa: N815 - as above
    maxLength: int | None = None  # noqa: N815 - as above
    pattern: str | None = None


class Column(Frozen):
    """One column.

    Attributes:
        name: its name in the lake and everywhere after it.
        physical_name: its name in the raw file, where that differs.
        logical_type: ODCS's type; see `derive.ARROW_TYPES`.
        description: what it means.
        classification: `none` may be trained on; `sensitive` is for judging bias only; `pii` is
            read by nobody in machine learning.
        required: no nulls.
        unique: no value twice.
        primary_key: the key of the table.
        allowed_values: all values it may take; empty means any.
        options: bounds and lengths.
        quality: the column's further rules.
    """

    name: LakeName
    physical_name: str
    logical_type: LogicalType
    description: str = Field(min_length=1)
    classification: Classification
    required: bool = False
    unique: bool = False
    primary_key: bool = False
    allowed_values: tuple[Scalar, ...] = ()
    options: Options = Options()
    quality: tuple[QualityRule, ...] = ()


class Label(Frozen):
    """What the model learns to tell: a column with exactly two values."""

    column: str
    positive: str
    negative: str


def _whole_words(text: str) -> str:
    if not _WORDS.fullmatch(text):
        raise ValueError(
            "expected whole words: letters and digits, with `'`, `-` or a blank inside"
        )
    return text


FacetWord = Annotated[str, AfterValidator(_whole_words)]


class Facet(Frozen):
    """A sensitive column by which bias is judged, and the values of the group that it may harm.

    Attributes:
        column: its name.
        disadvantaged: the values of that group.
        words: (word, other word) pairs by which a text tells the groups apart: the first is said of
            the group, the second of everyone else. Case does not count; of several pairs with one
            word the first holds.
    """

    column: str
    disadvantaged: tuple[str, ...] = Field(min_length=1)
    words: tuple[tuple[FacetWord, FacetWord], ...] = ()


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
