"""What the Glue job and Glue Data Quality need of a contract.

The job's specification is a plain record; the ruleset is equivalent to the contract's Great
Expectations suite.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sashiko.contract import rule_expectations as kinds
from sashiko.contract.glue_job.spec import Check, LoadSpec, RowRule, SpecColumn
from sashiko.contract.model import Column, Contract
from sashiko.contract.rule_expectations import expectations
from sashiko.contract.text_form import column_form
from sashiko.errors import InputError

# Python's classes match Unicode; Java's match only ASCII without this flag.
_CLASSES = re.compile(r"(?<!\\)(?:\\\\)*\\[dDwWsSbB]")
_UNICODE = "(?U)"
# A quoted text that DQDL's lexer reads as a date or a time.
_MOMENT = re.compile(r"^(\d{4}-\d{2}-\d{2}|\d{1,2}:\d{2} [AP]M|\d{2}:\d{2})$")


def java_regex(pattern: str) -> str:
    """Returns the Java equivalent of a Python pattern.

    Raises:
        InputError: if it uses a named group, whose syntax differs in Java.
    """
    if "(?P" in pattern:
        raise InputError(
            f"pattern {pattern!r}: the Glue job's engine does not support `(?P...)`; "
            "write the group without a name"
        )
    return f"{_UNICODE}{pattern}" if _CLASSES.search(pattern) else pattern


def whole_value(pattern: str) -> str:
    """Returns a Java pattern for a full match that is equivalent to a search for `pattern`.

    `^...$` is wrapped too, since `$` also matches before a final line break.
    """
    return f"(?s).*(?:{java_regex(pattern)}).*"


# The syntax follows AWS's reference, https://docs.aws.amazon.com/glue/latest/dg/dqdl-rule-types.html
# (a page per rule type), and the grammar that AWS publishes at github.com/awslabs/dqdl. Differences
# between the two engines and their handling:
#
# - Great Expectations ignores nulls; `ColumnValues` fails on them except with `not in`, and
#   `ColumnLength` treats them as empty texts. A rule allows `NULL` or excludes nulls by `where`,
#   also in a required column, in which only the rule against nulls should fail.
# - `between` excludes its ends in DQDL; it is written as two comparisons.
# - `matches` must match the whole value; Great Expectations searches for the pattern.
# - DQDL reads a quoted date as a date, and compares times by day. Bounds of times use `CustomSql`,
#   as do expectations without a rule type.
# - A backslash is an escape in a list, and literal in a pattern.


class NotInDqdlError(Exception):
    """DQDL cannot express an expectation; the message is the reason."""


@dataclass(frozen=True, kw_only=True)
class RuleArguments:
    """Column and arguments of an expectation."""

    column: Column | None  # the column; None for the table as a whole
    arguments: Mapping[str, Any]  # the expectation's arguments

    @property
    def name(self) -> str:
        """The column's name, for kinds with a column."""
        assert self.column is not None  # noqa: S101 - the rule table gives these kinds a column
        return self.column.name

    @property
    def type(self) -> str:
        """The column's logical type."""
        assert self.column is not None  # noqa: S101 - as above
        return self.column.logical_type


def _columns(rule: RuleArguments) -> str:
    names = rule.arguments["column_set"]
    return _all([f"ColumnCount = {len(names)}", *(f'ColumnExists "{name}"' for name in names)])


def _type(_: RuleArguments) -> str:
    raise NotInDqdlError(
        "ColumnDataType checks what values can be cast to, not what they are: a text of digits "
        "passes as an integer; the job writes the column with its type, or sends the row to "
        "quarantine"
    )


def _in_set(rule: RuleArguments) -> str:
    if threshold := _threshold(rule):
        listed = f"in [{_values(rule)}]{_where_not_null(rule)}{threshold}"
        return f'ColumnValues "{rule.name}" {listed}'
    return f'ColumnValues "{rule.name}" in [{_values(rule)}, NULL]'


def _bounds(rule: RuleArguments) -> str:
    ((operator, value),) = _comparisons(rule.arguments)
    if rule.type == "timestamp":
        inverse = {">=": "<", ">": "<=", "<=": ">", "<": ">="}[operator]
        return _sql(f"count(*) from primary where `{rule.name}` {inverse} {_moment(value)}", "= 0")
    bound = f'"{value.date().isoformat()}"' if rule.type == "date" else _number(value)
    return f'ColumnValues "{rule.name}" {operator} {bound}{_where_not_null(rule)}'


def _regex(rule: RuleArguments) -> str:
    pattern = whole_value(rule.arguments["regex"])
    quoted = re.sub(r'\\.|"', lambda match: '\\"' if match[0] == '"' else match[0], pattern)
    where = _where_not_null(rule)
    return f'ColumnValues "{rule.name}" matches "{quoted}"{where}{_threshold(rule)}'


def _rows(rule: RuleArguments) -> str:
    comparisons = _comparisons(rule.arguments)
    if len({value for _, value in comparisons}) == 1 and len(comparisons) == 2:
        return f"RowCount = {_number(comparisons[0][1])}"
    return _all([f"RowCount {operator} {_number(value)}" for operator, value in comparisons])


def _all(rules: Sequence[str]) -> str:
    return rules[0] if len(rules) == 1 else " and ".join(f"({rule})" for rule in rules)


def _distinct_share(rule: RuleArguments) -> str:
    """Uses SQL: DQDL's Uniqueness counts values that occur once, not distinct values."""
    share = f"count(distinct `{rule.name}`) / count(`{rule.name}`)"
    return _sql(f"{share} from primary", _end(rule))


def _compound_unique(rule: RuleArguments) -> str:
    names = " ".join(f'"{name}"' for name in rule.arguments["column_list"])
    return f"Uniqueness {names} = 1.0"


def _newest(rule: RuleArguments) -> str:
    low, high = rule.arguments["min_value"], rule.arguments["max_value"]
    newest = f"(select max(`{rule.name}`) as newest from primary)"  # noqa: S608 - no input: a column's checked name
    return _sql(
        f"count(*) from {newest} where newest between {_moment(low)} and {_moment(high)}", "= 1"
    )


RENDERERS: Mapping[str, Callable[[RuleArguments], str]] = {
    kinds.COLUMNS: _columns,
    kinds.TYPE: _type,
    kinds.NOT_NULL: lambda rule: f'IsComplete "{rule.name}"',
    kinds.UNIQUE: lambda rule: f'IsUnique "{rule.name}"',
    kinds.IN_SET: _in_set,
    kinds.NOT_IN_SET: lambda rule: f'ColumnValues "{rule.name}" not in [{_values(rule)}]',
    kinds.BETWEEN: _bounds,
    kinds.LENGTH: lambda rule: f'ColumnLength "{rule.name}" {_end(rule)}{_where_not_null(rule)}',
    kinds.REGEX: _regex,
    kinds.NON_NULL_SHARE: lambda rule: f'Completeness "{rule.name}" {_end(rule)}',
    kinds.UNIQUE_SHARE: _distinct_share,
    kinds.COMPOUND_UNIQUE: _compound_unique,
    kinds.ROWS: _rows,
    kinds.MAXIMUM: _newest,
}


def _values(rule: RuleArguments) -> str:
    return ", ".join(_value(rule, value) for value in rule.arguments["value_set"])


def _end(rule: RuleArguments) -> str:
    """Returns the comparison of an interval with one end."""
    ((operator, value),) = _comparisons(rule.arguments)
    return f"{operator} {_number(value)}"


def _comparisons(arguments: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Returns an operator and a value per end of an interval."""
    comparisons = []
    if "min_value" in arguments:
        comparisons.append((">" if arguments.get("strict_min") else ">=", arguments["min_value"]))
    if "max_value" in arguments:
        comparisons.append(("<" if arguments.get("strict_max") else "<=", arguments["max_value"]))
    return comparisons


def _value(rule: RuleArguments, value: Any) -> str:
    """Renders an item of a list.

    Raises:
        NotInDqdlError: if DQDL would read another value.
    """
    if rule.type in ("boolean", "timestamp"):
        raise NotInDqdlError(f"DQDL has no list of {rule.type} values")
    if not isinstance(value, str):
        return _number(value)
    if rule.type == "string" and _MOMENT.match(value):
        raise NotInDqdlError(f"DQDL would read the text {value!r} as a date or a time")
    if "'" in value:
        raise NotInDqdlError(f"DQDL does not document how to quote the apostrophe in {value!r}")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _number(value: float) -> str:
    """Renders a number without an exponent, which DQDL does not support."""
    return format(Decimal(repr(value)), "f")


def _moment(value: dt.datetime) -> str:
    if value.tzinfo is None:
        return f"date '{value.date().isoformat()}'"
    utc = value.astimezone(dt.UTC).replace(tzinfo=None)
    return f"timestamp '{utc.isoformat(sep=' ')}Z'"


def _sql(selected: str, condition: str) -> str:
    return f'CustomSql "select {selected}" {condition}'


def _where_not_null(rule: RuleArguments) -> str:
    return f' where "`{rule.name}` is not null"'


def _threshold(rule: RuleArguments) -> str:
    mostly = rule.arguments.get("mostly")
    return "" if mostly is None else f" with threshold >= {_number(mostly)}"


@dataclass(frozen=True, kw_only=True)
class Ruleset:
    """The suite of a contract as DQDL; each expectation is in exactly one of the two."""

    rules: Mapping[str, str]  # the expectation's name, such as `complaint_id: unique` -> the rule
    # Those without an equivalent in DQDL -> why it cannot express it, and what checks it instead.
    unmapped: Mapping[str, str]

    @property
    def text(self) -> str:
        """The document for Glue, with the check's name as a comment above each rule."""
        body = (f"    # {' '.join(name.split())}\n    {rule}" for name, rule in self.rules.items())
        return "Rules = [\n" + ",\n".join(body) + "\n]\n"


def dqdl_ruleset(contract: Contract) -> Ruleset:
    """Renders the expectations of the whole table.

    Raises:
        InputError: if the DQDL table does not handle an expectation, or Java does not support a
            pattern.
    """
    rules, unmapped = {}, {}
    for item in expectations(contract, "all"):
        place, name = f"{contract.table}: `{item.name}`", item.arguments.get("column")
        if item.kind not in RENDERERS:
            raise InputError(
                f"{place}: `{item.kind}` has no DQDL renderer; add one to "
                "sashiko.contract.load_spec"
            )
        column = None if name is None else contract.column(name)
        try:
            arguments = RuleArguments(column=column, arguments=item.arguments)
            rules[item.name] = RENDERERS[item.kind](arguments)
        except NotInDqdlError as error:
            unmapped[item.name] = str(error)
        except InputError as error:
            raise InputError(f"{place}: {error}") from error
    return Ruleset(rules=rules, unmapped=unmapped)


# Expectations on single rows -> the job's check.
_ROW_CHECKS: Mapping[str, Check] = {
    kinds.TYPE: "type", kinds.NOT_NULL: "not_null", kinds.UNIQUE: "unique",
    kinds.COMPOUND_UNIQUE: "unique", kinds.IN_SET: "in_set", kinds.NOT_IN_SET: "not_in_set",
    kinds.BETWEEN: "bounds", kinds.LENGTH: "length", kinds.REGEX: "regex",
}  # fmt: skip
# Expectations on the table as a whole are only in the ruleset.
_TABLE_KINDS = (kinds.COLUMNS, kinds.ROWS, kinds.MAXIMUM, kinds.NON_NULL_SHARE, kinds.UNIQUE_SHARE)


def load_spec(contract: Contract) -> LoadSpec:
    """Renders a contract for the Glue job: columns, cleaning, row rules and the DQDL ruleset.

    Raises:
        InputError: if the kind of an expectation is unknown, or as `dqdl_ruleset`.
    """
    ingest = contract.ingest
    return LoadSpec(
        contract=f"{contract.id} {contract.version}",
        table=contract.table,
        key=contract.key,
        columns=tuple(
            SpecColumn(
                name=column.name,
                # The job adds the row number under the contract's name.
                physical_name=column.name
                if column.name == ingest.row_number
                else column.physical_name,
                type=column.logical_type,
                form=column_form(column, ingest),
            )
            for column in contract.columns
        ),
        delimiter=ingest.delimiter,
        encoding=ingest.encoding,
        trim=ingest.trim,
        null_values=ingest.null_values,
        row_number=ingest.row_number,
        rules=tuple(_row_rules(contract)),
        ruleset=dqdl_ruleset(contract).text,
    )


def _row_rules(contract: Contract) -> Iterator[RowRule]:
    """Yields the rules that a row keeps or breaks; of the others the table as a whole is judged."""
    for item in expectations(contract, "all"):
        given, arguments = item.arguments, dict[str, Any]()
        if item.kind in _TABLE_KINDS or "mostly" in given:
            continue
        if item.kind not in _ROW_CHECKS:
            raise InputError(
                f"{contract.table}: `{item.name}`: `{item.kind}` is neither a row check nor a "
                "table check; add it to sashiko.contract.load_spec"
            )
        if "value_set" in given:
            arguments["values"] = given["value_set"]
        elif "regex" in given:
            arguments["pattern"] = java_regex(given["regex"])
        elif item.kind in (kinds.BETWEEN, kinds.LENGTH):
            arguments["low"] = _plain(given.get("min_value"))
            arguments["high"] = _plain(given.get("max_value"))
            arguments["strict"] = given.get("strict_min", given.get("strict_max", False))
        columns = tuple(given.get("column_list") or [given["column"]])
        check = _ROW_CHECKS[item.kind]
        yield RowRule(name=item.name, check=check, columns=columns, arguments=arguments)


def _plain(end: Any) -> Any:
    return end.isoformat() if isinstance(end, dt.datetime) else end
