"""The columns of a data contract: types, quality rules, label and facets."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from sashiko.base.yaml_models import Frozen

LogicalType = Literal["string", "integer", "number", "boolean", "date", "timestamp"]
Classification = Literal["none", "sensitive", "pii"]
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
_WORDS = re.compile(r"\w+(?:['’ -]\w+)*")
_LAKE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def _check_lake_name(name: str) -> str:
    if not _LAKE_NAME.fullmatch(name):
        raise ValueError(
            "expected lower-case letters, digits and `_`, a letter first, at most 63 characters: "
            "rename it"
        )
    return name


LakeName = Annotated[str, AfterValidator(_check_lake_name)]
Scalar = bool | int | float | str


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
    """The target of the model: a column with exactly two values."""

    column: str
    positive: str
    negative: str


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
