"""Which rule of Glue's Data Quality Definition Language stands for which expectation.

The forms are those of AWS's reference, https://docs.aws.amazon.com/glue/latest/dg/dqdl-rule-types.html
(a page per rule type), and of the grammar that AWS publishes at github.com/awslabs/dqdl. What the
two engines see differently, and what is done about it:

- Great Expectations passes over nulls; `ColumnValues` fails on them unless it says `not in`, and
  `ColumnLength` takes them for empty texts. A rule admits `NULL` or filters nulls out by `where`,
  in a column that may hold none as well: there a null breaks the one rule that says so.
- `between` excludes its ends in DQDL; it is written as two comparisons.
- `matches` must match the whole value; Great Expectations looks for the pattern in it.
- A date in quotes is a date to DQDL, and a time is compared by its day. Bounds of times are
  `CustomSql`, as is what has no rule type of its own.
- A backslash escapes inside a list, and stays as it is inside a pattern.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from sashiko.contract import rule_table as kinds
from sashiko.contract.columns import Column
from sashiko.contract.java_regex import whole_value

# A quoted text that DQDL's lexer takes for a date or a time.
_MOMENT = re.compile(r"^(\d{4}-\d{2}-\d{2}|\d{1,2}:\d{2} [AP]M|\d{2}:\d{2})$")


class NoEqualError(Exception):
    """DQDL cannot say this; the text is the reason."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What an expectation asks.

    Attributes:
        column: the column it is about; None for the table as a whole.
        arguments: the expectation's arguments.
    """

    column: Column | None
    arguments: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The column's name; only what is about a column asks for it."""
        assert self.column is not None  # noqa: S101 - the rule table gives these kinds a column
        return self.column.name

    @property
    def type(self) -> str:
        """The column's logical type."""
        assert self.column is not None  # noqa: S101 - as above
        return self.column.logical_type


def _columns(asked: Asked) -> str:
    names = asked.arguments["column_set"]
    rules = [f"ColumnCount = {len(names)}", *(f'ColumnExists "{name}"' for name in names)]
    return " and ".join(f"({rule})" for rule in rules)


def _type(_: Asked) -> str:
    raise NoEqualError(
        "ColumnDataType tells what values can be cast to, never what they are: digits in a text "
        "pass for an integer; the job writes the column with its type, or sends the row to "
        "quarantine"
    )


def _in_set(asked: Asked) -> str:
    values = [_value(asked, value) for value in asked.arguments["value_set"]]
    threshold = _threshold(asked)
    if not threshold:
        return f'ColumnValues "{asked.name}" in [{", ".join([*values, "NULL"])}]'
    listed = ", ".join(values)
    return f'ColumnValues "{asked.name}" in [{listed}]{_where_filled(asked)}{threshold}'


def _not_in_set(asked: Asked) -> str:
    values = [_value(asked, value) for value in asked.arguments["value_set"]]
    return f'ColumnValues "{asked.name}" not in [{", ".join(values)}]'


def _bounds(asked: Asked) -> str:
    ((operator, value),) = _comparisons(asked.arguments)
    if asked.type == "timestamp":
        broken = {">=": "<", ">": "<=", "<=": ">", "<": ">="}[operator]
        return _sql(f"count(*) from primary where `{asked.name}` {broken} {_moment(value)}", "= 0")
    bound = f'"{value.date().isoformat()}"' if asked.type == "date" else _number(value)
    return f'ColumnValues "{asked.name}" {operator} {bound}{_where_filled(asked)}'


def _length(asked: Asked) -> str:
    ((operator, value),) = _comparisons(asked.arguments)
    return f'ColumnLength "{asked.name}" {operator} {value}{_where_filled(asked)}'


def _regex(asked: Asked) -> str:
    pattern = whole_value(asked.arguments["regex"])
    quoted = re.sub(r'\\.|"', lambda match: '\\"' if match[0] == '"' else match[0], pattern)
    where = _where_filled(asked)
    return f'ColumnValues "{asked.name}" matches "{quoted}"{where}{_threshold(asked)}'


def _rows(asked: Asked) -> str:
    comparisons = _comparisons(asked.arguments)
    if len({value for _, value in comparisons}) == 1 and len(comparisons) == 2:
        return f"RowCount = {_number(comparisons[0][1])}"
    rules = [f"RowCount {operator} {_number(value)}" for operator, value in comparisons]
    return rules[0] if len(rules) == 1 else " and ".join(f"({rule})" for rule in rules)


def _share_filled(asked: Asked) -> str:
    ((operator, value),) = _comparisons(asked.arguments)
    return f'Completeness "{asked.name}" {operator} {_number(value)}'


def _share_unique(asked: Asked) -> str:
    """DQDL's Uniqueness counts values that occur once; Great Expectations counts different ones."""
    ((operator, value),) = _comparisons(asked.arguments)
    name = asked.name
    return _sql(
        f"count(distinct `{name}`) / count(`{name}`) from primary", f"{operator} {_number(value)}"
    )


def _together(asked: Asked) -> str:
    names = " ".join(f'"{name}"' for name in asked.arguments["column_list"])
    return f"Uniqueness {names} = 1.0"


def _newest(asked: Asked) -> str:
    low, high = asked.arguments["min_value"], asked.arguments["max_value"]
    newest = f"(select max(`{asked.name}`) as newest from primary)"  # noqa: S608 - no input: a column's checked name
    return _sql(
        f"count(*) from {newest} where newest between {_moment(low)} and {_moment(high)}", "= 1"
    )


RENDERERS: Mapping[str, Callable[[Asked], str]] = MappingProxyType(
    {
        kinds.COLUMNS: _columns,
        kinds.TYPE: _type,
        kinds.NOT_NULL: lambda asked: f'IsComplete "{asked.name}"',
        kinds.UNIQUE: lambda asked: f'IsUnique "{asked.name}"',
        kinds.IN_SET: _in_set,
        kinds.NOT_IN_SET: _not_in_set,
        kinds.BETWEEN: _bounds,
        kinds.LENGTH: _length,
        kinds.REGEX: _regex,
        kinds.SHARE_FILLED: _share_filled,
        kinds.SHARE_UNIQUE: _share_unique,
        kinds.TOGETHER: _together,
        kinds.ROWS: _rows,
        kinds.MAXIMUM: _newest,
    }
)


def _comparisons(arguments: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Returns an operator and a value per end of an interval."""
    found = []
    if "min_value" in arguments:
        found.append((">" if arguments.get("strict_min") else ">=", arguments["min_value"]))
    if "max_value" in arguments:
        found.append(("<" if arguments.get("strict_max") else "<=", arguments["max_value"]))
    return found


def _value(asked: Asked, value: Any) -> str:
    """Writes an item of a list.

    Raises:
        NoEqualError: if DQDL would read it as something else.
    """
    if asked.type in ("boolean", "timestamp"):
        raise NoEqualError(f"DQDL has no list of {asked.type} values")
    if not isinstance(value, str):
        return _number(value)
    if asked.type == "string" and _MOMENT.match(value):
        raise NoEqualError(f"DQDL would read the text {value!r} as a date or a time")
    if "'" in value:
        raise NoEqualError(f"DQDL does not say how to quote the apostrophe in {value!r}")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _number(value: float) -> str:
    """Writes a number without an exponent, which DQDL does not know."""
    return format(Decimal(repr(value)), "f")


def _moment(value: dt.datetime) -> str:
    if value.tzinfo is None:
        return f"date '{value.date().isoformat()}'"
    utc = value.astimezone(dt.UTC).replace(tzinfo=None)
    return f"timestamp '{utc.isoformat(sep=' ')}Z'"


def _sql(selected: str, condition: str) -> str:
    return f'CustomSql "select {selected}" {condition}'


def _where_filled(asked: Asked) -> str:
    return f' where "`{asked.name}` is not null"'


def _threshold(asked: Asked) -> str:
    mostly = asked.arguments.get("mostly")
    return "" if mostly is None else f" with threshold >= {_number(mostly)}"
