"""A contract's rules as expectations of Great Expectations, by a table.

A rule without a row in the table is an error; a rule with two rows becomes two expectations. This
module does not import Great Expectations, so that reading a contract stays fast; see `suite`.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sashiko.contract.model import Column, Contract, QualityRule, View
from sashiko.errors import InputError

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


@dataclass(frozen=True)
class Expectation:
    """An expectation to be checked."""

    name: str  # a readable name, such as `complaint_id: unique`; unique in a suite
    kind: str  # the type's name in Great Expectations
    arguments: Mapping[str, Any]  # its arguments, the column's name among them
    advice: str  # what to do when it fails
    confidential: bool  # whether failing values must not be shown: a sensitive or personal column


@dataclass(frozen=True)
class _Rule:
    """A rule with its key in the rule table; `column` is None for a rule of the whole table."""

    key: str
    value: Any
    column: Column | None = None


def expectations(contract: Contract, view: View) -> tuple[Expectation, ...]:
    """Returns the expectations of a view of the table.

    The rules of the view's columns and of the table as a whole apply; a rule over several columns
    applies if the view shows all of them.

    Raises:
        InputError: if a rule has no row in the rule table, with column and rule.
    """
    columns = contract.view_columns(view)
    names = tuple(column.name for column in columns)
    rules = [_Rule("columns", names)]
    for rule in contract.quality:
        if set(names).issuperset(rule.properties):
            rules += _quality(rule, None)
    for column in columns:
        rules += _column_rules(column)
    if (freshness := contract.freshness) and freshness.column in names:
        column = contract.column(freshness.column)
        zone = dt.UTC if column.logical_type == "timestamp" else None
        until = dt.datetime.combine(freshness.as_of, dt.time.max, zone)
        first_day = freshness.as_of - dt.timedelta(days=freshness.days)
        oldest = dt.datetime.combine(first_day, dt.time.min, zone)
        rules.append(_Rule("latency", (oldest, until), column))
    by_name: dict[str, Expectation] = {}
    for item in rules:
        for expectation in _expectations_of(item):
            by_name.setdefault(expectation.name, expectation)
    return tuple(by_name.values())


def _expectations_of(rule: _Rule) -> Iterator[Expectation]:
    rows = [row for row in RULE_TABLE if row.rule == rule.key]
    column, value = rule.column, rule.value
    if not rows:
        place = f"column `{column.name}`" if column else "table"
        metric = rule.key.split()[0].split("(")[0]
        known = ", ".join(row.rule for row in RULE_TABLE if row.rule.startswith(metric))
        raise InputError(
            f"{place}: the rule `{rule.key}` is not supported; write it as one of: {known}"
        )
    for row in rows:
        title = row.title.format(" + ".join(value) if row.kind == COMPOUND_UNIQUE else value)
        own = {"column": column.name} if column else {}
        yield Expectation(
            name=f"{column.name if column else 'table'}: {title}",
            kind=row.kind,
            arguments=own | row.arguments(value),
            advice=row.advice,
            confidential=column is not None and column.classification != "none",
        )


def _column_rules(column: Column) -> Iterator[_Rule]:
    yield _Rule("logicalType", column.logical_type, column)
    flags = ("primaryKey", column.primary_key), ("required", column.required)
    for key, value in (*flags, ("unique", column.unique), ("enum", column.allowed_values)):
        if value:
            yield _Rule(key, value, column)
    bounds = column.options.model_dump(exclude_none=True, exclude={"format"})
    for key, bound in bounds.items():
        yield _Rule(key, _bound(column, key, bound), column)
    for rule in column.quality:
        yield from _quality(rule, column)


def _quality(rule: QualityRule, column: Column | None) -> Iterator[_Rule]:
    operator, unit, metric = rule.operator, " percent" if rule.percent else "", rule.metric
    if rule.value == 0 and operator in ("mustBe", "mustBeLessOrEqualTo"):
        operator, unit = "mustBe", " 0"  # zero rows and zero percent are the same
    comparison = f"{operator}{unit}"
    if rule.properties:
        yield _Rule(f"{metric}(properties) {comparison}", rule.properties, column)
    elif rule.missing_values:
        values = tuple(value for value in rule.missing_values if value is not None)
        if None in rule.missing_values:
            yield _Rule(f"{metric}(null) {comparison}", rule.value, column)
        if values:
            yield _Rule(f"{metric}(values) {comparison}", values, column)
    elif rule.valid_values or rule.pattern:
        kind = "validValues" if rule.valid_values else "pattern"
        argument: Any = rule.valid_values or rule.pattern
        value = (argument, rule.value) if unit == " percent" else argument
        yield _Rule(f"{metric}({kind}) {comparison}", value, column)
    else:
        yield _Rule(f"{metric} {comparison}", _as_integers(rule.value), column)


def _bound(column: Column, key: str, value: Any) -> Any:
    """Parses the ISO text of a date's or timestamp's bound; returns other bounds unchanged."""
    if column.logical_type not in ("date", "timestamp"):
        return value
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError as error:
        raise InputError(
            f"column `{column.name}`: key `{key}`: {value!r} is not a date such as 2025-12-31"
        ) from error
    if column.logical_type == "date":
        return moment.replace(tzinfo=None)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _as_integers(value: float | tuple[float, float]) -> Any:
    """Converts whole floats to integers, so that names read `9000 rows`, not `9000.0 rows`."""
    if isinstance(value, tuple):
        return tuple(_as_integers(item) for item in value)
    return int(value) if float(value).is_integer() else value
