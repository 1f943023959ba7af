"""The parts of a data contract that the job needs, as plain JSON.

`sashiko.contract.load_spec` writes it when the stacks are synthesized, so that Glue needs neither
pydantic nor the contract's reader.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["string", "integer", "number", "boolean", "date", "timestamp"]
# In the Glue catalog, and in Spark.
TYPES: dict[Kind, str] = {
    "string": "string", "integer": "bigint", "number": "double", "boolean": "boolean",
    "date": "date", "timestamp": "timestamp",
}  # fmt: skip
Check = Literal["type", "not_null", "in_set", "not_in_set", "bounds", "length", "regex", "unique"]


class LoadError(Exception):
    """The load cannot go on; the message says what is wrong and what to do."""


@dataclass(frozen=True, kw_only=True)
class TextForm:
    r"""How the texts of a column are written, where not with a decimal point or as ISO 8601."""

    pattern: str  # a regular expression that a whole text matches, read alike by RE2 and by Java
    # Pairs of a regular expression and what takes its place, in this order; they make a text that
    # matches one of the lake's own way. `\1` stands for a group.
    replacements: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class SpecColumn:
    """A column."""

    name: str  # its name in the lake
    physical_name: str  # its name in the raw files
    type: Kind  # its logical type
    form: TextForm | None = None  # how its texts are written; None for the lake's own way


@dataclass(frozen=True, kw_only=True)
class RowRule:
    """A rule that each row keeps or breaks."""

    name: str  # what a person reads, such as `age: at least 17`; the expectation's name
    check: Check  # what is checked
    columns: tuple[str, ...]  # of one value; of several for a `unique` over columns together
    # `values` of the sets, `pattern` of `regex` (as Java reads it), `low`, `high` and `strict` of
    # `bounds` and `length`; a date or time is ISO text.
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LoadSpec:
    """How the raw files of one table become its curated rows."""

    contract: str  # the contract's id and version, for the log
    table: str  # the table's name
    key: str  # the primary key
    columns: tuple[SpecColumn, ...]  # in the contract's order
    delimiter: str  # what stands between the values of a CSV file
    encoding: str  # of a CSV file
    trim: bool  # cut blanks off both ends of every text value
    null_values: tuple[str, ...]  # texts that mean "missing"
    row_number: str | None  # the column that holds the row's position in the file, from 0
    rules: tuple[RowRule, ...]  # what sends a row to quarantine
    ruleset: str  # the DQDL document that must pass before anything is published

    def to_json(self) -> str:
        """Returns the spec as JSON, the same bytes for the same spec."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True) + "\n"


def parse_spec(text: str) -> LoadSpec:
    """Reads what `LoadSpec.to_json` wrote."""
    value = json.loads(text)
    columns = tuple(_column(column) for column in value.pop("columns"))
    rules = tuple(
        RowRule(**(rule | {"columns": tuple(rule["columns"])})) for rule in value.pop("rules")
    )
    nulls = tuple(value.pop("null_values"))
    return LoadSpec(columns=columns, rules=rules, null_values=nulls, **value)


def _column(value: dict[str, Any]) -> SpecColumn:
    form = value.pop("form")
    if form is not None:
        pairs = tuple((old, new) for old, new in form["replacements"])
        form = TextForm(pattern=form["pattern"], replacements=pairs)
    return SpecColumn(form=form, **value)
