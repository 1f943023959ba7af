"""Which expectation of Great Expectations stands for which rule of a data contract.

This table is the only place that says so. A rule without a row is an error, never dropped; a rule
with two rows becomes two expectations.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

# What Great Expectations calls the pandas columns that `checkpoint` makes.
PANDAS_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "string": "str",
        "integer": "int64",
        "number": "float64",
        "boolean": "bool",
        "date": "datetime64",
        "timestamp": "Timestamp",
    }
)


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        rule: the contract's rule: its key, metric and operator, and `percent` where that is its
            unit.
        says: the check's name for people; `{}` is the rule's value.
        kind: the expectation's type in Great Expectations.
        arguments: from the rule's value to the expectation's arguments, without the column.
        advice: what a person can do when it fails.
    """

    rule: str
    says: str
    kind: str
    arguments: Callable[[Any], dict[str, Any]]
    advice: str


def _nothing(_: Any) -> dict[str, Any]:
    return {}


def _lowest(value: Any) -> dict[str, Any]:
    return {"min_value": value}


def _highest(value: Any) -> dict[str, Any]:
    return {"max_value": value}


def _above(value: Any) -> dict[str, Any]:
    return {"min_value": value, "strict_min": True}


def _below(value: Any) -> dict[str, Any]:
    return {"max_value": value, "strict_max": True}


def _within(value: Any) -> dict[str, Any]:
    return {"min_value": value[0], "max_value": value[1]}


def _remaining(percent: float) -> float:
    return (100 - percent) / 100


BETWEEN = "expect_column_values_to_be_between"
COLUMNS = "expect_table_columns_to_match_set"
IN_SET = "expect_column_values_to_be_in_set"
LENGTH = "expect_column_value_lengths_to_be_between"
MAXIMUM = "expect_column_max_to_be_between"
NOT_IN_SET = "expect_column_values_to_not_be_in_set"
NOT_NULL = "expect_column_values_to_not_be_null"
REGEX = "expect_column_values_to_match_regex"
ROWS = "expect_table_row_count_to_be_between"
SHARE_FILLED = "expect_column_proportion_of_non_null_values_to_be_between"
SHARE_UNIQUE = "expect_column_proportion_of_unique_values_to_be_between"
TOGETHER = "expect_compound_columns_to_be_unique"
TYPE = "expect_column_values_to_be_of_type"
UNIQUE = "expect_column_values_to_be_unique"

# Expectations on the share that is left, where the contract's rule limits what is taken away.
COMPLEMENTS = (SHARE_FILLED, SHARE_UNIQUE)

_MEND = "correct these rows at the source; if such values are right, say so in the contract"
_FILL = "fill the gaps at the source; if gaps are right, say so in the contract"
_ONCE = "remove the rows that were loaded twice"
_SIZE = "look for a partial load or a double one; if the size is right, say so in the contract"

# fmt: off
RULE_TABLE: tuple[Row, ...] = (
    # rule, what a person reads,
    #     expectation, arguments, advice
    Row("columns", "exactly the contract's columns",
        COLUMNS, lambda v: {"column_set": list(v), "exact_match": True},
        "name the columns as the contract does and leave out the rest"),
    Row("logicalType", "type {}",
        TYPE, lambda v: {"type_": PANDAS_TYPES[v]}, "load the column again with this type"),
    Row("primaryKey", "no nulls",
        NOT_NULL, _nothing, "give every row a key"),
    Row("primaryKey", "unique",
        UNIQUE, _nothing, _ONCE),
    Row("required", "no nulls",
        NOT_NULL, _nothing, _FILL),
    Row("unique", "unique",
        UNIQUE, _nothing, _ONCE),
    Row("enum", "allowed values",
        IN_SET, lambda v: {"value_set": list(v)}, _MEND),
    Row("minimum", "at least {}",
        BETWEEN, _lowest, _MEND),
    Row("maximum", "at most {}",
        BETWEEN, _highest, _MEND),
    Row("exclusiveMinimum", "more than {}",
        BETWEEN, _above, _MEND),
    Row("exclusiveMaximum", "less than {}",
        BETWEEN, _below, _MEND),
    Row("minLength", "at least {} characters",
        LENGTH, _lowest, _MEND),
    Row("maxLength", "at most {} characters",
        LENGTH, _highest, _MEND),
    Row("pattern", "matches {}",
        REGEX, lambda v: {"regex": v}, _MEND),
    Row("nullValues mustBe 0", "no nulls",
        NOT_NULL, _nothing, _FILL),
    Row("nullValues mustBeLessThan percent", "less than {} % nulls",
        SHARE_FILLED, lambda v: _above(_remaining(v)), _FILL),
    Row("nullValues mustBeLessOrEqualTo percent", "at most {} % nulls",
        SHARE_FILLED, lambda v: _lowest(_remaining(v)), _FILL),
    Row("missingValues(null) mustBe 0", "no nulls",
        NOT_NULL, _nothing, _FILL),
    Row("missingValues(values) mustBe 0", "no stand-ins for missing",
        NOT_IN_SET, lambda v: {"value_set": list(v)},
        "name them under `null_values` of the contract's ingest"),
    Row("invalidValues(validValues) mustBe 0", "valid values",
        IN_SET, lambda v: {"value_set": list(v)}, _MEND),
    Row("invalidValues(validValues) mustBeLessOrEqualTo percent", "at most {0[1]} % invalid values",
        IN_SET, lambda v: {"value_set": list(v[0]), "mostly": _remaining(v[1])}, _MEND),
    Row("invalidValues(pattern) mustBe 0", "matches {}",
        REGEX, lambda v: {"regex": v}, _MEND),
    Row("invalidValues(pattern) mustBeLessOrEqualTo percent", "at most {0[1]} % unlike {0[0]}",
        REGEX, lambda v: {"regex": v[0], "mostly": _remaining(v[1])}, _MEND),
    Row("duplicateValues mustBe 0", "unique",
        UNIQUE, _nothing, _ONCE),
    Row("duplicateValues mustBeLessThan percent", "less than {} % repeated",
        SHARE_UNIQUE, lambda v: _above(_remaining(v)), _ONCE),
    Row("duplicateValues mustBeLessOrEqualTo percent", "at most {} % repeated",
        SHARE_UNIQUE, lambda v: _lowest(_remaining(v)), _ONCE),
    Row("duplicateValues(properties) mustBe 0", "unique together: {}",
        TOGETHER, lambda v: {"column_list": list(v)}, _ONCE),
    Row("rowCount mustBe", "exactly {:,} rows",
        ROWS, lambda v: _within((v, v)), _SIZE),
    Row("rowCount mustBeGreaterThan", "more than {:,} rows",
        ROWS, _above, _SIZE),
    Row("rowCount mustBeGreaterOrEqualTo", "at least {:,} rows",
        ROWS, _lowest, _SIZE),
    Row("rowCount mustBeLessThan", "fewer than {:,} rows",
        ROWS, _below, _SIZE),
    Row("rowCount mustBeLessOrEqualTo", "at most {:,} rows",
        ROWS, _highest, _SIZE),
    Row("rowCount mustBeBetween", "{0[0]:,} to {0[1]:,} rows",
        ROWS, _within, _SIZE),
    Row("latency", "newest row from {0[0]:%Y-%m-%d} to {0[1]:%Y-%m-%d}",
        MAXIMUM, _within, "load the missing rows, or correct `asOf` of the contract's latency"),
)
# fmt: on
