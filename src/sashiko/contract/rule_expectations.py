"""The expectations of a contract: each of its rules looked up in the rule table.

This module does not import Great Expectations, so that reading a contract stays fast; see `suite`.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sashiko.contract.model import Column, Contract, QualityRule, View
from sashiko.contract.rule_table import COMPOUND_UNIQUE, RULE_TABLE
from sashiko.errors import InputError


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
