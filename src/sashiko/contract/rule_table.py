"""Maps rules of a data contract to expectations of Great Expectations.

A rule without a row is an error; a rule with two rows becomes two expectations.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# Great Expectations' names of the pandas types that `checkpoint` creates.
PANDAS_TYPES: Mapping[str, str] = {
    "string": "str", "integer": "int64", "number": "float64", "boolean": "bool",
    "date": "datetime64", "timestamp": "Timestamp",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    # The contract's rule: its key, metric and operator, and `percent` if that is its unit.
    rule: str
    title: str  # the check's name for people; `{}` is the rule's value
    kind: str  # the expectation's type in Great Expectations
    # From the rule's value to the expectation's arguments, without the column.
    arguments: Callable[[Any], dict[str, Any]]
    advice: str  # what to do when it fails


def _complement(percent: float) -> float:
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
NON_NULL_SHARE = "expect_column_proportion_of_non_null_values_to_be_between"
UNIQUE_SHARE = "expect_column_proportion_of_unique_values_to_be_between"
COMPOUND_UNIQUE = "expect_compound_columns_to_be_unique"
TYPE = "expect_column_values_to_be_of_type"
UNIQUE = "expect_column_values_to_be_unique"
# Expectations with a minimum for the complement of the share that the contract's rule limits.
COMPLEMENTS = (NON_NULL_SHARE, UNIQUE_SHARE)
_FIX_VALUES = "correct these rows at the source; if such values are right, say so in the contract"
_FILL_GAPS = "fill the gaps at the source; if gaps are right, say so in the contract"
_DEDUPLICATE = "remove the rows that were loaded twice"
_CHECK_SIZE = (
    "look for a partial load or a double one; if the size is right, say so in the contract"
)
# fmt: off
RULE_TABLE: tuple[Row, ...] = (
    # rule, title, expectation, arguments, advice
    Row("columns", "exactly the contract's columns",
        COLUMNS, lambda v: {"column_set": list(v), "exact_match": True},
        "name the columns as the contract does and leave out the rest"),
    Row("logicalType", "type {}",
        TYPE, lambda v: {"type_": PANDAS_TYPES[v]}, "load the column again with this type"),
    Row("primaryKey", "no nulls", NOT_NULL, lambda _: {}, "give every row a key"),
    Row("primaryKey", "unique", UNIQUE, lambda _: {}, _DEDUPLICATE),
    Row("required", "no nulls", NOT_NULL, lambda _: {}, _FILL_GAPS),
    Row("unique", "unique", UNIQUE, lambda _: {}, _DEDUPLICATE),
    Row("enum", "allowed values", IN_SET, lambda v: {"value_set": list(v)}, _FIX_VALUES),
    Row("minimum", "at least {}", BETWEEN, lambda v: {"min_value": v}, _FIX_VALUES),
    Row("maximum", "at most {}", BETWEEN, lambda v: {"max_value": v}, _FIX_VALUES),
    Row("exclusiveMinimum", "more than {}",
        BETWEEN, lambda v: {"min_value": v, "strict_min": True}, _FIX_VALUES),
    Row("exclusiveMaximum", "less than {}",
        BETWEEN, lambda v: {"max_value": v, "strict_max": True}, _FIX_VALUES),
    Row("minLength", "at least {} characters", LENGTH, lambda v: {"min_value": v}, _FIX_VALUES),
    Row("maxLength", "at most {} characters", LENGTH, lambda v: {"max_value": v}, _FIX_VALUES),
    Row("pattern", "matches {}", REGEX, lambda v: {"regex": v}, _FIX_VALUES),
    Row("nullValues mustBe 0", "no nulls", NOT_NULL, lambda _: {}, _FILL_GAPS),
    Row("nullValues mustBeLessThan percent", "less than {} % nulls",
        NON_NULL_SHARE, lambda v: {"min_value": _complement(v), "strict_min": True}, _FILL_GAPS),
    Row("nullValues mustBeLessOrEqualTo percent", "at most {} % nulls",
        NON_NULL_SHARE, lambda v: {"min_value": _complement(v)}, _FILL_GAPS),
    Row("missingValues(null) mustBe 0", "no nulls", NOT_NULL, lambda _: {}, _FILL_GAPS),
    Row("missingValues(values) mustBe 0", "no stand-ins for missing",
        NOT_IN_SET, lambda v: {"value_set": list(v)},
        "name them under `null_values` of the contract's ingest"),
    Row("invalidValues(validValues) mustBe 0", "valid values",
        IN_SET, lambda v: {"value_set": list(v)}, _FIX_VALUES),
    Row("invalidValues(validValues) mustBeLessOrEqualTo percent", "at most {0[1]} % invalid values",
        IN_SET, lambda v: {"value_set": list(v[0]), "mostly": _complement(v[1])}, _FIX_VALUES),
    Row("invalidValues(pattern) mustBe 0", "matches {}",
        REGEX, lambda v: {"regex": v}, _FIX_VALUES),
    Row("invalidValues(pattern) mustBeLessOrEqualTo percent", "at most {0[1]} % unlike {0[0]}",
        REGEX, lambda v: {"regex": v[0], "mostly": _complement(v[1])}, _FIX_VALUES),
    Row("duplicateValues mustBe 0", "unique", UNIQUE, lambda _: {}, _DEDUPLICATE),
    Row("duplicateValues mustBeLessThan percent", "less than {} % repeated",
        UNIQUE_SHARE, lambda v: {"min_value": _complement(v), "strict_min": True}, _DEDUPLICATE),
    Row("duplicateValues mustBeLessOrEqualTo percent", "at most {} % repeated",
        UNIQUE_SHARE, lambda v: {"min_value": _complement(v)}, _DEDUPLICATE),
    Row("duplicateValues(properties) mustBe 0", "unique together: {}",
        COMPOUND_UNIQUE, lambda v: {"column_list": list(v)}, _DEDUPLICATE),
    Row("rowCount mustBe", "exactly {:,} rows",
        ROWS, lambda v: {"min_value": v, "max_value": v}, _CHECK_SIZE),
    Row("rowCount mustBeGreaterThan", "more than {:,} rows",
        ROWS, lambda v: {"min_value": v, "strict_min": True}, _CHECK_SIZE),
    Row("rowCount mustBeGreaterOrEqualTo", "at least {:,} rows",
        ROWS, lambda v: {"min_value": v}, _CHECK_SIZE),
    Row("rowCount mustBeLessThan", "fewer than {:,} rows",
        ROWS, lambda v: {"max_value": v, "strict_max": True}, _CHECK_SIZE),
    Row("rowCount mustBeLessOrEqualTo", "at most {:,} rows",
        ROWS, lambda v: {"max_value": v}, _CHECK_SIZE),
    Row("rowCount mustBeBetween", "{0[0]:,} to {0[1]:,} rows",
        ROWS, lambda v: {"min_value": v[0], "max_value": v[1]}, _CHECK_SIZE),
    Row("latency", "newest row from {0[0]:%Y-%m-%d} to {0[1]:%Y-%m-%d}",
        MAXIMUM, lambda v: {"min_value": v[0], "max_value": v[1]},
        "load the missing rows, or correct `asOf` of the contract's latency"),
)
# fmt: on
