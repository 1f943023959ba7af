"""The expectations of a contract: each of its rules looked up in the rule table.

Great Expectations is not imported here, so that reading a contract stays quick; `suite` does it.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sashiko.contract.columns import Column, QualityRule
from sashiko.contract.model import Contract, Freshness, View
from sashiko.contract.rule_table import RULE_TABLE, TOGETHER, Row
from sashiko.errors import InputError


@dataclass(frozen=True)
class Expectation:
    """An expectation to be checked.

    Attributes:
        name: what a person reads, such as `complaint_id: unique`; no two of a suite are alike.
        kind: the type's name in Great Expectations.
        arguments: its arguments, the column's name among them.
        advice: what to do when it fails.
        discreet: True where a failing value must not be repeated: a sensitive or personal column.
    """

    name: str
    kind: str
    arguments: Mapping[str, Any]
    advice: str
    discreet: bool


@dataclass(frozen=True)
class _Rule:
    """A rule as the table knows it; `column` is None for the table as a whole."""

    key: str
    value: Any
    column: Column | None = None


def expectations(contract: Contract, view: View) -> tuple[Expectation, ...]:
    """Returns what must hold for a view of the table.

    The rules of the view's columns and of the table as a whole apply; a rule over several columns
    applies where the view shows all of them.

    Args:
        contract: the contract.
        view: `training`, `facets` or `all`.

    Raises:
        InputError: if a rule has no row in the rule table, with column and rule.
    """
    made: dict[str, Expectation] = {}
    for rule in _rules(contract, view):
        for expectation in _look_up(rule):
            made.setdefault(expectation.name, expectation)
    return tuple(made.values())


def _look_up(rule: _Rule) -> Iterator[Expectation]:
    rows = [row for row in RULE_TABLE if row.rule == rule.key]
    place = f"column `{rule.column.name}`: " if rule.column else "table: "
    if not rows:
        metric = rule.key.split()[0].split("(")[0]
        known = [row.rule for row in RULE_TABLE if row.rule.startswith(metric)]
        raise InputError(
            f"{place}no expectation stands for the rule `{rule.key}`; "
            f"write it as one of: {', '.join(known)}"
        )
    for row in rows:
        arguments = row.arguments(rule.value)
        if rule.column:
            arguments = {"column": rule.column.name} | arguments
        yield Expectation(
            name=f"{rule.column.name if rule.column else 'table'}: {_says(row, rule.value)}",
            kind=row.kind,
            arguments=arguments,
            advice=row.advice,
            discreet=rule.column is not None and rule.column.classification != "none",
        )


def _says(row: Row, value: Any) -> str:
    return row.says.format(" + ".join(value) if row.kind == TOGETHER else value)


def _rules(contract: Contract, view: View) -> Iterator[_Rule]:
    columns = contract.view_columns(view)
    shown = {column.name for column in columns}
    yield _Rule("columns", tuple(column.name for column in columns))
    for rule in contract.quality:
        if shown.issuperset(rule.properties):
            yield from _quality(rule, None)
    for column in columns:
        yield from _column_rules(column)
    if contract.freshness and contract.freshness.column in shown:
        yield _latency(contract.freshness, contract.column(contract.freshness.column))


def _column_rules(column: Column) -> Iterator[_Rule]:
    yield _Rule("logicalType", column.logical_type, column)
    for key, stated in (
        ("primaryKey", column.primary_key),
        ("required", column.required),
        ("unique", column.unique),
    ):
        if stated:
            yield _Rule(key, stated, column)
    if column.allowed_values:
        yield _Rule("enum", column.allowed_values, column)
    bounds = column.options.model_dump(exclude_none=True, exclude={"format"})
    for key, bound in bounds.items():
        yield _Rule(key, _bound(column, key, bound), column)
    for rule in column.quality:
        yield from _quality(rule, column)


def _quality(rule: QualityRule, column: Column | None) -> Iterator[_Rule]:
    operator, unit = rule.operator, " percent" if rule.percent else ""
    if rule.value == 0 and operator in ("mustBe", "mustBeLessOrEqualTo"):
        operator, unit = "mustBe", " 0"  # none is none, of rows or of percent
    how = f"{operator}{unit}"
    about = rule.metric
    if rule.properties:
        yield _Rule(f"{about}(properties) {how}", rule.properties, column)
    elif rule.missing_values:
        values = tuple(value for value in rule.missing_values if value is not None)
        if None in rule.missing_values:
            yield _Rule(f"{about}(null) {how}", rule.value, column)
        if values:
            yield _Rule(f"{about}(values) {how}", values, column)
    elif rule.valid_values or rule.pattern:
        kind = "validValues" if rule.valid_values else "pattern"
        what = rule.valid_values or rule.pattern
        yield _Rule(
            f"{about}({kind}) {how}", (what, rule.value) if unit == " percent" else what, column
        )
    else:
        yield _Rule(f"{about} {how}", _whole(rule.value), column)


def _latency(freshness: Freshness, column: Column) -> _Rule:
    zone = dt.UTC if column.logical_type == "timestamp" else None
    until = dt.datetime.combine(freshness.as_of, dt.time.max, zone)
    oldest = dt.datetime.combine(
        freshness.as_of - dt.timedelta(days=freshness.days), dt.time.min, zone
    )
    return _Rule("latency", (oldest, until), column)


def _bound(column: Column, key: str, value: Any) -> Any:
    """Reads the ISO text of a date's or timestamp's bound; other bounds stay what they are."""
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


def _whole(value: float | tuple[float, float]) -> Any:
    """Counts come as floats from the record; 9000.0 rows would read badly."""
    if isinstance(value, tuple):
        return tuple(_whole(item) for item in value)
    return int(value) if float(value).is_integer() else value
