"""Evaluates a Glue Data Quality ruleset on a table, for the part of DQDL that this project uses.

Glue's own engine runs only on AWS. The semantics of each rule follow AWS's reference:
https://docs.aws.amazon.com/glue/latest/dg/dqdl.html (expressions, `where`, composite rules) and,
after `dqdl-rule-types-`, a page per rule type: `ColumnValues` (a null fails all but `not in`, and
`NULL` in a list admits it), `ColumnLength` (a null has length 0), `Uniqueness` (the share of what
occurs exactly once), `CustomSql` (a statement on `primary` that returns one number). Details that
those pages leave open follow awslabs/deequ, the engine of Glue Data Quality: uniqueness ignores
rows whose columns are all null, and a rule without rows fails.
"""

import datetime as dt
import operator
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from tests.unit.contract.dqdl_parser import Both, Condition, Rule, UnknownDqdlError, parse

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_CLASS = re.compile(r"\\[dDwWsSbB]")


def evaluate(ruleset: str, table: pa.Table) -> list[bool]:
    """Returns whether the table passes each rule of the document, in order.

    Raises:
        UnknownDqdlError: if the document uses an unsupported construct.
    """
    connection = _duckdb()
    connection.register("primary", table)
    return [_holds(rule, table, connection) for rule in parse(ruleset)]


@cache
def _duckdb() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()  # opening one takes longer than most rulesets


def _holds(rule: Rule | Both, table: pa.Table, connection: duckdb.DuckDBPyConnection) -> bool:
    if isinstance(rule, Both):
        return all(_holds(part, table, connection) for part in rule.rules)
    if rule.type == "CustomSql":
        return _custom(rule, connection)
    if rule.type == "ColumnExists":
        return rule.parameters[0] in table.column_names
    if not set(rule.parameters) <= set(table.column_names):
        return False  # Glue cannot evaluate it, which fails the rule
    if rule.where is not None:
        table = table.filter(pc.is_valid(table[_not_null_column(rule.where)]))
    rows = list(zip(*(table.column(name).to_pylist() for name in rule.parameters), strict=True))
    return _judge(rule, table, rows)


def _judge(rule: Rule, table: pa.Table, rows: list[tuple[Any, ...]]) -> bool:
    if rule.type in _ROWS:
        fits = _ROWS[rule.type]
        return _share(rule, [fits(rule.condition, row[0]) for row in rows])
    if rule.threshold is not None:
        raise UnknownDqdlError(f"{rule.type} takes no threshold")
    if rule.type in _EQUALS_ONE:
        return _equals_one(rule, _TABLE_VALUES[_EQUALS_ONE[rule.type]](table, rows))
    if rule.type in _TABLE_VALUES:
        return _compares(rule.condition, _TABLE_VALUES[rule.type](table, rows))
    raise UnknownDqdlError(f"what is the rule type {rule.type}?")


def _not_null_column(where: str) -> str:
    """Parses the only supported `where` condition."""
    match = re.fullmatch(r"`(\w+)` is not null", where)
    if match is None:
        raise UnknownDqdlError(f"cannot filter by {where}")
    return match[1]


def _equals_one(rule: Rule, share: float | None) -> bool:
    if rule.condition is not None:
        raise UnknownDqdlError(f"{rule.type} takes no condition")
    return share == 1.0


def _completeness(rows: Sequence[tuple[Any, ...]]) -> float | None:
    return sum(value is not None for (value,) in rows) / len(rows) if rows else None


def _uniqueness(rows: Sequence[tuple[Any, ...]]) -> float | None:
    counts = Counter(row for row in rows if any(value is not None for value in row))
    return list(counts.values()).count(1) / counts.total() if counts else None


def _share(rule: Rule, outcomes: list[bool]) -> bool:
    """Returns whether all rows pass, or the share that `with threshold` requires."""
    if not outcomes:
        return False
    share = outcomes.count(True) / len(outcomes)
    return share == 1.0 if rule.threshold is None else _compares(rule.threshold, share)


def _compares(condition: Condition | None, value: Any) -> bool:
    if condition is None or condition.operator not in _COMPARE:
        raise UnknownDqdlError(f"cannot compare by {condition}")
    return value is not None and _COMPARE[condition.operator](value, condition.operands[0])


def _fits(condition: Condition | None, value: Any) -> bool:
    if condition is None:
        raise UnknownDqdlError("ColumnValues needs a condition")
    if isinstance(value, dt.datetime):
        value = value.date()  # a quoted date is a day
    match condition.operator:
        case "in":
            return value in condition.operands
        case "not in":
            return value not in condition.operands
        case "matches":
            return value is not None and _java(condition.operands[0]).fullmatch(value) is not None
    return _compares(condition, value)


def _java(pattern: str) -> re.Pattern[str]:
    """Compiles a Java pattern, whose classes match only ASCII without `(?U)`."""
    before, flag, _ = pattern.partition("(?U)")
    if flag and _CLASS.search(before):
        raise UnknownDqdlError(f"classes of two kinds in {pattern}")
    return re.compile(pattern.replace("(?U)", ""), re.NOFLAG if flag else re.ASCII)


def _custom(rule: Rule, connection: duckdb.DuckDBPyConnection) -> bool:
    if rule.where or rule.threshold:
        raise UnknownDqdlError("CustomSql takes a condition alone")
    ((value,),) = connection.execute(_for_duckdb(rule.parameters[0])).fetchall()
    return _compares(rule.condition, value)


def _for_duckdb(spark: str) -> str:
    """Converts Spark's SQL to DuckDB's: quoted names, and times with a time zone."""
    quoted = re.sub(r"\bprimary\b", '"primary"', spark.replace("`", '"'))
    return quoted.replace("timestamp '", "timestamptz '")


# Rules on rows; rules on one number of the table; rules that require the number 1.
_ROWS: Mapping[str, Callable[[Condition | None, Any], bool]] = {
    "ColumnValues": _fits,
    "ColumnLength": lambda condition, value: _compares(condition, len(value or "")),
}
_TABLE_VALUES: Mapping[str, Callable[[pa.Table, list[tuple[Any, ...]]], float | None]] = {
    "RowCount": lambda table, _: table.num_rows,
    "ColumnCount": lambda table, _: table.num_columns,
    "Completeness": lambda _, rows: _completeness(rows),
    "Uniqueness": lambda _, rows: _uniqueness(rows),
}
_EQUALS_ONE = {"IsComplete": "Completeness", "IsUnique": "Uniqueness"}
