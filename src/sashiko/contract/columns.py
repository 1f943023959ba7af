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
