"""The columns of a data contract: types, quality rules, label and facets."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from sashiko.core.yaml_models import Frozen

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
    """One ODCS library rule, which compares `metric` with `value` by `operator`.

    Attributes:
        metric: ODCS's metric.
        operator: ODCS's comparison.
        value: a count, a percentage if `percent`, or a (low, high) pair for the two `Between`s.
        percent: whether the rule's unit is `percent`.
        valid_values: `arguments.validValues` of `invalidValues`.
        pattern: `arguments.pattern` of `invalidValues`.
        missing_values: `arguments.missingValues` of `missingValues`; None stands for null.
        properties: `arguments.properties` of a table's `duplicateValues`.
        description: the purpose of the rule.
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
    """One column.

    Attributes:
        name: its name in the lake and downstream.
        physical_name: its name in the raw file.
        logical_type: ODCS's type; see `derive.ARROW_TYPES`.
        description: its meaning.
        classification: `none` may be used in training; `sensitive` only for bias metrics; `pii` is
            not readable by any machine-learning role.
        required: no nulls.
        unique: no duplicates.
        primary_key: whether it is the key of the table.
        allowed_values: its allowed values; empty for any.
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
    """A sensitive column for bias metrics, with its disadvantaged group.

    Attributes:
        column: its name.
        disadvantaged: the values of the disadvantaged group.
        words: (word, other word) pairs that distinguish the groups in texts: the first refers to
            the disadvantaged group, the second to all others. Case is ignored; of several pairs
            with the same word the first is used.
    """

    column: str
    disadvantaged: tuple[str, ...] = Field(min_length=1)
    words: tuple[tuple[FacetWord, FacetWord], ...] = ()
