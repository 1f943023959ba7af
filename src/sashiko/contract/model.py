"""The data contract as frozen records: columns, rules, splits, ingest, and the contract itself."""

import datetime as dt
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from sashiko.base.yaml_models import Frozen
from sashiko.errors import InputError

__all__ = ["Contract"]
LogicalType = Literal["string", "integer", "number", "boolean", "date", "timestamp"]
Classification = Literal["none", "sensitive", "pii"]
Metric = Literal["nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount"]
Operator = Literal[
    "mustBe", "mustNotBe", "mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan",
    "mustBeLessOrEqualTo", "mustBeBetween", "mustNotBeBetween",
]  # fmt: skip
_WORDS = re.compile(r"\w+(?:['’ -]\w+)*")
_LAKE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
Scalar = bool | int | float | str
View = Literal["training", "facets", "scoring", "all"]
# The roles that read the lake by a governed SELECT.
Reader = Literal["bias-evaluator", "broker", "data-scientist"]
Delimiter = Literal[",", ";", "\t", "|"]
# Common encodings of spreadsheets and databases, with names that Python and Java share.
Encoding = Literal[
    "utf-8", "utf-16", "windows-1250", "windows-1251", "windows-1252", "iso-8859-2", "iso-8859-15"
]
MOST_CLASSES = 100  # of a label; a report has a row for each
_ABOVE = "above "
MOST_VALUE = 1e100  # of a number, either sign; squares of larger ones may not be finite
_DATES = {"validation_from", "test_from"}
_DAYS = {"validation_days", "test_days"}


def _check_lake_name(name: str) -> str:
    if not _LAKE_NAME.fullmatch(name):
        raise ValueError(
            "expected lower-case letters, digits and `_`, a letter first, at most 63 characters: "
            "rename it"
        )
    return name


LakeName = Annotated[str, AfterValidator(_check_lake_name)]
# Quoted wherever it is used; Glue stores names in lower case.
GlueName = Annotated[str, Field(pattern=r"^[a-z0-9_][a-z0-9_-]{0,127}$")]


class QualityRule(Frozen):
    """One ODCS library rule, which compares `metric` with `value` by `operator`."""

    metric: Metric  # ODCS's metric
    operator: Operator  # ODCS's comparison
    # A count, a percentage if `percent`, or a (low, high) pair for the two `Between`s.
    value: float | tuple[float, float]
    percent: bool = False  # whether the rule's unit is `percent`
    valid_values: tuple[Scalar, ...] = ()  # `arguments.validValues` of `invalidValues`
    pattern: str | None = None  # `arguments.pattern` of `invalidValues`
    # `arguments.missingValues` of `missingValues`; None stands for null.
    missing_values: tuple[Scalar | None, ...] = ()
    properties: tuple[str, ...] = ()  # `arguments.properties` of a table's `duplicateValues`
    description: str = ""  # the purpose of the rule


class Options(Frozen):
    """A column's ODCS `logicalTypeOptions`.

    Bounds of numbers, dates (ISO text) and lengths, and `format`: the format of dates and times in
    the raw file, such as `dd.MM.yyyy`, if it is not ISO 8601.
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
    """One column."""

    name: LakeName  # its name in the lake and downstream
    physical_name: str  # its name in the raw file
    logical_type: LogicalType  # ODCS's type; see `derive.ARROW_TYPES`
    description: str = Field(min_length=1)  # its meaning
    # `none` may be used in training; `sensitive` only for bias metrics; `pii` is not readable by
    # any machine-learning role.
    classification: Classification
    required: bool = False  # no nulls
    unique: bool = False  # no duplicates
    primary_key: bool = False  # whether it is the key of the table
    allowed_values: tuple[Scalar, ...] = ()  # its allowed values; empty for any
    options: Options = Options()  # bounds and lengths
    quality: tuple[QualityRule, ...] = ()  # the column's further rules


class Label(Frozen):
    """The target of the model: a column whose `enum` lists its classes, or one of numbers."""

    column: str
    kind: Literal["classes", "number"] = "classes"  # what its values are
    # What is a good outcome for the person concerned: of classes at least one and not all, of a
    # number those above a bound, `{above: 0}`.
    favourable: tuple[str, ...] = ()
    # An older form of `favourable` for two classes, which are named both.
    positive: str | None = None
    negative: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_forms(cls, value: Any) -> Any:
        """Makes `positive` the one favourable class, and a number's bound the outcome above it."""
        if not isinstance(value, Mapping):
            return value
        if value.get("kind") == "number":
            return dict(value) | {"favourable": (above_bound(_bound(value)),)}
        if isinstance(value.get("favourable"), Mapping):
            raise ValueError("only a label of `kind: number` has a bound; name classes, or add it")
        if not isinstance(value.get("positive"), str):
            return value
        return {"favourable": (value["positive"],)} | dict(value)

    @model_validator(mode="after")
    def _check_form(self) -> "Label":
        if (self.positive is None) != (self.negative is None):
            missing = "positive" if self.positive is None else "negative"
            raise ValueError(f"`{missing}` is missing; or name only the `favourable` classes")
        if self.positive is not None and self.favourable != (self.positive,):
            raise ValueError("`favourable` differs from `positive`: remove `positive`, `negative`")
        return self

    @property
    def above(self) -> float | None:
        """A number's bound, which is itself not favourable: Clarify's exclusive lower bound."""
        return float(self.favourable[0].removeprefix(_ABOVE)) if self.kind == "number" else None


def bound_text(bound: float) -> str:
    """Writes a bound as short as it can be read back."""
    short = f"{bound:.15g}"
    return short if float(short) == bound else repr(float(bound))


def above_bound(bound: float) -> str:
    """Names the outcome of a number above a bound."""
    return f"{_ABOVE}{bound_text(bound)}"


def _bound(label: Mapping[str, Any]) -> float:
    """Reads the bound of a number's favourable values.

    Raises:
        ValueError: if it is not `favourable: {above: number}`.
    """
    favourable = label.get("favourable")
    if unknown := sorted({"positive", "negative"} & set(label)):
        raise ValueError(f"a number has no `{unknown[0]}`; write `favourable: {{above: 0}}`")
    if isinstance(favourable, Mapping) and "below" in favourable:
        raise ValueError(
            "a number has no `below`: where less is better, turn the sign of the column in the "
            "data, and name the bound with its sign turned as `above`"
        )
    above: Any = favourable.get("above") if isinstance(favourable, Mapping) else None
    if type(above) not in (int, float) or len(favourable or ()) != 1:
        raise ValueError(
            "of `kind: number` name the bound above which a value is favourable, such as "
            "`favourable: {above: 0}`"
        )
    if not abs(above) <= MOST_VALUE:
        raise ValueError(f"`above: {above}` is no number from -1e100 to 1e100")
    return float(above) + 0.0  # not -0


def _check_whole_words(text: str) -> str:
    if not _WORDS.fullmatch(text):
        raise ValueError(
            "expected whole words: letters and digits, with `'`, `-` or a blank inside"
        )
    return text


FacetWord = Annotated[str, AfterValidator(_check_whole_words)]


class Facet(Frozen):
    """A sensitive column for bias metrics, with its disadvantaged group."""

    column: str  # its name
    disadvantaged: tuple[str, ...] = Field(min_length=1)  # the values of the disadvantaged group
    # (word, other word) pairs that distinguish the groups in texts: the first refers to the
    # disadvantaged group, the second to all others. Case is ignored; of several pairs with the same
    # word the first is used.
    words: tuple[tuple[FacetWord, FacetWord], ...] = ()


class SplitDates(Frozen):
    """Train before `validation_from`, test from `test_from` on, validation between (00:00 UTC)."""

    column: str  # whose time is compared
    validation_from: dt.date
    test_from: dt.date

    def __str__(self) -> str:
        return f"validation from {self.validation_from}, test from {self.test_from}"


class TimeSplit(Frozen):
    """Splits rows by the time in `column`, at two dates or at two numbers of days.

    Dates stay whatever data are loaded. Days are counted back from the day of the newest row (UTC),
    so that the split moves with the data.
    """

    kind: Literal["time"] = "time"
    column: str
    validation_from: dt.date | None = None
    test_from: dt.date | None = None
    # The days of the test split, up to and with that of the newest row; 0 if dates are given.
    test_days: int = Field(0, ge=1, le=3_650)
    validation_days: int = Field(0, ge=1, le=3_650)  # days of validation, before those of test

    @model_validator(mode="after")
    def _check_bounds(self) -> "TimeSplit":
        given = {name for name in _DATES | _DAYS if getattr(self, name)}
        if given not in (_DATES, _DAYS):
            raise ValueError(
                "expected either `validation_from` and `test_from`, dates that stay, or "
                "`validation_days` and `test_days`, which move with the data"
            )
        return self

    def dates(self, newest: dt.date) -> SplitDates:
        """Returns the dates of the split where the newest row is of the day `newest`, in UTC."""
        if self.validation_from and self.test_from:
            validation_from, test_from = self.validation_from, self.test_from
        else:
            test_from = newest - dt.timedelta(days=self.test_days - 1)
            validation_from = test_from - dt.timedelta(days=self.validation_days)
        return SplitDates(column=self.column, validation_from=validation_from, test_from=test_from)


class TextHashSplit(Frozen):
    """Assigns rows to splits by a hash of their normalised text, so equal texts stay together."""

    kind: Literal["text_hash"] = "text_hash"
    validation_share: float = Field(gt=0, lt=1)  # share of the texts, 0 to 1
    test_share: float = Field(gt=0, lt=1)  # share of the texts, 0 to 1
    # Part of the hash. Change it for new splits, for example after the test split has influenced a
    # choice.
    salt: str = ""


class Ingest(Frozen):
    """Conversion of raw text to the typed table in the lake."""

    trim: bool = False  # strip blanks from both ends of every text value
    # Texts that mean "missing", compared after trimming; by default the empty text, so that it does
    # not satisfy a required column.
    null_values: tuple[str, ...] = ("",)
    delimiter: Delimiter = ","  # the separator in a CSV file
    encoding: Encoding = "utf-8"  # that of a CSV file; `utf-8` allows a byte order mark
    decimal: Literal[".", ","] = "."  # the decimal separator of number columns
    # The optional thousands separator of number and integer columns.
    thousands: Literal["", ".", ",", " ", "'"] = ""
    # An integer column that is not in the file: the row's position, from 0. An unnamed first column
    # of the file, such as a written index, is then skipped.
    row_number: str | None = None

    @model_validator(mode="after")
    def _check_separators(self) -> "Ingest":
        if self.decimal == self.thousands:
            raise ValueError(
                f"`decimal` and `thousands` are both {self.decimal!r}; set `decimal`, by default "
                "'.', to another value"
            )
        return self


class Freshness(Frozen):
    """Limits the days between the maximum of `column` and `as_of` to `days`.

    `as_of` is the day up to which the owner guarantees the data. It is part of the contract, since
    a comparison with the current date would change the verdict on the same data.
    """

    column: str
    days: int = Field(ge=0, le=36_500)  # a century; datetime ends at the year 1
    as_of: dt.date


class RowFilter(Frozen):
    """The rows of the table that a reader may see; a reader without a filter sees all rows."""

    persona: Reader
    # A condition on columns, such as `product = 'Mortgage' AND received_at IS NOT NULL`.
    filter: str = Field(min_length=1)
    # The columns that the reader sees, among those that the classification allows.
    columns: tuple[str, ...] = Field(min_length=1)


class TableName(Frozen):
    """A table in a Glue catalog."""

    database: GlueName
    table: GlueName

    def __str__(self) -> str:
        return f"{self.database}.{self.table}"


class ExistingTable(TableName):
    """A table of another owner, by its own names; nothing of it is declared or changed here."""

    # The account whose catalog has it; None for the environment's own.
    catalog: str | None = Field(None, pattern=r"^\d{12}$")
    region: str | None = None  # of that catalog, for a check: no role leaves its environment's
    # The resource link in the environment's catalog that stands for a table of another account;
    # None if it has the same names.
    link: TableName | None = None

    @property
    def place(self) -> TableName:
        """The names that Athena reads it by in the environment's own catalog."""
        return self.link or TableName(database=self.database, table=self.table)

    @property
    def full_name(self) -> str:
        """Owner, database and table, as people write them."""
        return f"{self.catalog}:{self}" if self.catalog else str(self)


class AcceptedLeak(Frozen):
    """A column that tells the label apart alone, and may be trained on for a written reason."""

    column: str
    reason: str = Field(min_length=10, max_length=200)  # why it is known when the model predicts


class Contract(Frozen):
    """A data set: one table, the rules of its columns, and its use."""

    id: str  # ODCS's identifier of the contract
    version: str  # the contract's own version
    sha256: str  # of the contract file's bytes
    table: LakeName  # the table's name in the lake
    title: str  # a readable name
    description: str  # content, origin and licence of the data
    limitations: str  # uses that are not allowed
    columns: tuple[Column, ...] = Field(min_length=1)  # in the order of the contract
    label: Label  # the target
    # The facets of the bias metrics; an empty list if no column defines groups.
    facets: tuple[Facet, ...]
    # The column on which CDDL and CDDPL condition; the bias evaluator reads it together with the
    # facets.
    group_variable: str | None = None
    # The assignment of rows to train, validation and test.
    split: TimeSplit | TextHashSplit = Field(discriminator="kind")
    # The columns that a recipe's text template may use.
    text_columns: tuple[str, ...] = Field(min_length=1)
    # Columns of the text that may predict the label alone, each with a reason.
    accepted_leaks: tuple[AcceptedLeak, ...] = ()
    ingest: Ingest = Ingest()  # the cleaning of raw values
    # The limit on the age of the newest row, if rows have a time.
    freshness: Freshness | None = None
    quality: tuple[QualityRule, ...] = ()  # rules of the table as a whole
    domain: str | None = None  # the part of the organisation that owns the data, if given
    row_filters: tuple[RowFilter, ...] = ()  # filters of readers who may see only part of the rows
    # The table in an account, if its owner is another; None if the engine makes and loads it.
    lake: ExistingTable | None = Field(None, exclude_if=lambda lake: lake is None)

    @property
    def key(self) -> str:
        """The name of the primary key's column."""
        return next(column.name for column in self.columns if column.primary_key)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The label's classes, the unfavourable ones first, each part in the order of `enum`.

        A class's place in it is its index in arrays, files and model outputs. A number has two
        outcomes, at most its bound and above it.
        """
        if self.label.above is not None:
            return f"at most {bound_text(self.label.above)}", *self.label.favourable
        values = [str(value) for value in self.column(self.label.column).allowed_values]
        return tuple(sorted(values, key=lambda value: value in self.label.favourable))

    @property
    def first_favourable(self) -> int:
        """The index of the first favourable class; all classes from it on are favourable."""
        return len(self.classes) - len(self.label.favourable)

    @property
    def is_number(self) -> bool:
        """Whether the label is a number, whose `classes` are the outcomes at its bound."""
        return self.label.above is not None

    def pair(self, feature: str) -> tuple[str, str]:
        """Returns the unfavourable and the favourable class, for what takes two classes only.

        Raises:
            InputError: if there are more, or the label is a number; names the feature.
        """
        if self.is_number:
            raise InputError(
                f"contract `{self.id}`: label `{self.label.column}` is a number, and {feature} "
                "takes labels of two classes"
            )
        if len(self.classes) > 2:
            raise InputError(
                f"contract `{self.id}`: label `{self.label.column}` has {len(self.classes)} "
                f"classes, and {feature} takes labels of two classes"
            )
        return self.classes[0], self.classes[1]

    @property
    def outcomes(self) -> tuple[str, str]:
        """The unfavourable classes and the favourable ones, each part joined by `or`."""
        first = self.first_favourable
        return " or ".join(self.classes[:first]), " or ".join(self.classes[first:])

    def column(self, name: str) -> Column:
        """Returns the column `name`, or raises a KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def view_columns(self, view: View) -> tuple[Column, ...]:
        """Returns the columns of a governed view, in the contract's order.

        `training` has key, label and columns classified none, and `scoring` the same without the
        label; `facets` has key, label, group variable and columns classified sensitive; `all` is
        the whole table.
        """
        if view == "all":
            return self.columns
        if view == "scoring":
            label = self.label.column
            return tuple(c for c in self.view_columns("training") if c.name != label)
        classification = "none" if view == "training" else "sensitive"
        common = {self.key, self.label.column}
        if view == "facets" and self.group_variable is not None:
            common.add(self.group_variable)
        return tuple(
            c for c in self.columns if c.classification == classification or c.name in common
        )
