"""Types raw rows and splits them into curated and quarantined ones, as a pure function.

The rules are those of `sashiko.data.ingest`. The accepted text formats are explicit, because
Spark's own casts accept more: `1.9` for an integer, `1d` for a number, `2025` for a date. (Arrow
also reads `0x1F` as an integer and `2025-03-01T12Z` as a time; here such rows go to quarantine.)
"""

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the name that all of Spark's documents use
from pyspark.sql.types import DataType

from sashiko.contract.glue_job.spec import TYPES, Kind, LoadError, LoadSpec, RowRule, SpecColumn

# What `reading` adds to a row of CSV that is none: the row's text, and null for the others.
UNREADABLE = "_unreadable"
REASONS = "_reasons"
_RAW = "_raw"
_NO_ROW = "row: not UTF-8 text, or not as many values as the header has names"
# Types of Parquet columns that convert without loss.
_WIDENED: dict[Kind, tuple[str, ...]] = {
    "string": ("varchar", "char"), "integer": ("tinyint", "smallint", "int"),
    "number": ("tinyint", "smallint", "int", "float"), "boolean": (), "date": (),
    "timestamp": ("timestamp_ntz", "date"),
}  # fmt: skip
# Unicode's blanks and the four separators that Arrow also counts as such.
_BLANK = r"[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
_ENDS = rf"^{_BLANK}+|{_BLANK}+\z"
_NAN = r"(?i)^[+-]?nan\z"
_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_NUMBER = r"(?i)^[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|inf(inity)?)\z"
_FORMS: dict[Kind, str] = {
    "integer": r"^-?[0-9]+\z",
    "number": _NUMBER,
    "boolean": r"(?i)^(true|false|0|1)\z",
    "date": rf"{_DAY}\z",
    "timestamp": rf"{_DAY}({_TIME}(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)?)?\z",
}


def clean_value(
    value: Column,
    raw_type: DataType,
    column: SpecColumn,
    *,
    trim: bool,
    null_values: tuple[str, ...],
) -> Column:
    """Trims a text and makes it null where it means "missing"; other values pass.

    `raw_type` is the value's type in the raw files. With `trim`, blanks are cut off texts; off what
    is not text they always are. `null_values` are texts that mean "missing"; where no text is
    wanted, the empty one always does.

    Raises:
        LoadError: if no value of this type can become the column's.
    """
    kind, name = column.type, raw_type.simpleString().split("(")[0]
    if name != "string":
        if name not in (TYPES[kind], *_WIDENED[kind]):
            raise LoadError(
                f"column `{column.physical_name}` of the raw files is {name}, which cannot become "
                f"{kind}; write it as text, or mend `logicalType` in the contract"
            )
        return F.nanvl(value.cast("double"), F.lit(None)) if kind == "number" else value
    text = F.regexp_replace(value, _ENDS, "") if trim or kind != "string" else value
    missing = {*null_values, *(() if kind == "string" else ("",))}
    return F.when(text.isin(*sorted(missing)), F.lit(None)).otherwise(text) if missing else text


def cast_value(value: Column, raw_type: DataType, column: SpecColumn) -> Column:
    """Casts a cleaned value; null where it has no form of its type. A number NaN is null."""
    kind = column.type
    if raw_type.simpleString() != "string" or kind == "string":
        return value.cast(TYPES[kind])
    text = value
    if column.form is not None:
        for pattern, replacement in column.form.replacements:
            text = F.regexp_replace(text, pattern, replacement.replace("\\", "$"))
        # Null if it does not match its column's format.
        text = F.when(value.rlike(column.form.pattern), text)
    form = text.rlike(_FORMS[kind])
    if kind == "timestamp":
        # Completed to what Spark reads without help: a time, its seconds, its zone.
        text = F.regexp_replace(text, rf"({_DAY})\z", "$1T00:00")
        text = F.regexp_replace(text, r"([ T][0-9]{2}:[0-9]{2})(Z|[+-].*)?\z", "$1:00$2")
        text = F.regexp_replace(text, rf"({_TIME})\z", "$1Z")
    return F.when(form, text.cast(TYPES[kind]))


def misfit(value: Column, as_typed: Column, raw_type: DataType, kind: Kind) -> Column:
    """Says whether a value exists that does not match its column's type."""
    if raw_type.simpleString() != "string" or kind == "string":
        return F.lit(False)
    uncast = value.isNotNull() & as_typed.isNull()
    return uncast & ~value.rlike(_NAN) if kind == "number" else uncast


def breaks(rule: RowRule, value: Column, is_misfit: Column, kind: Kind) -> Column:
    """Says whether a row violates a rule other than uniqueness.

    A raw value without a form of the column's type, `is_misfit`, breaks `type`, and `not_null` does
    not say it again.
    """
    arguments = rule.arguments
    if rule.check == "type":
        return is_misfit
    if rule.check == "not_null":
        return value.isNull() & ~is_misfit
    if rule.check in ("in_set", "not_in_set"):
        listed = value.isin(*(F.lit(item).cast(TYPES[kind]) for item in arguments["values"]))
        kept = listed if rule.check == "in_set" else ~listed
    elif rule.check == "regex":
        kept = value.rlike(arguments["pattern"])
    else:
        kept = _in_range(F.length(value) if rule.check == "length" else value, kind, arguments)
    return value.isNotNull() & ~kept


def _in_range(value: Column, kind: Kind, arguments: Mapping[str, Any]) -> Column:
    low, high, strict = arguments["low"], arguments["high"], arguments["strict"]
    ends = [None if end is None else F.lit(end) for end in (low, high)]
    if kind in ("date", "timestamp"):
        # A bound may have a time of day where the column has none.
        value = value.cast("timestamp")
        ends = [None if end is None else end.cast("timestamp") for end in ends]
    condition = F.lit(True)
    if ends[0] is not None:
        condition &= value > ends[0] if strict else value >= ends[0]
    if ends[1] is not None:
        condition &= value < ends[1] if strict else value <= ends[1]
    return condition


class Parts(NamedTuple):
    """The rows of a load, each in one of the two."""

    # The contract's columns, in its order, typed; no row breaks a rule of the spec.
    clean: DataFrame
    # The raw values of the other rows as text, under the contract's names, and `_reasons`, the
    # names of the rules that the row breaks.
    quarantined: DataFrame


def transform(raw: DataFrame, spec: LoadSpec) -> Parts:
    """Types each row and sends it to quarantine if it breaks a rule.

    Of the rows that share a value that must be unique, the one stays whose raw values sort first,
    column by column; only rows that break no other rule compete. The session's time zone must be
    UTC, since Spark casts times without a zone in it. The raw rows have their physical names, as
    `reading.read_raw` returns them.

    Raises:
        LoadError: if a column is missing, too many, or of a type that cannot become the contract's.
    """
    expected = [column.physical_name for column in spec.columns]
    actual = [name for name in raw.columns if name != UNREADABLE]
    if missing := [name for name in expected if name not in actual]:
        raise LoadError(
            f"{spec.table}: column {', '.join(missing)} of the contract is missing; the raw files "
            f"have {', '.join(actual)}. Mend the files, or name the column under `physicalName`"
        )
    if extra := [name for name in actual if name not in expected]:
        raise LoadError(
            f"{spec.table}: column {', '.join(extra)} is not in the contract; describe and "
            "classify it there, or leave it out of the raw files"
        )
    marked = _mark_duplicates(_mark(raw, spec), spec)
    valid = F.size(REASONS) == 0
    texts = [F.col(f"{_RAW}.{name}") for name in marked.select(f"{_RAW}.*").columns]
    return Parts(
        clean=marked.filter(valid).select(*(column.name for column in spec.columns)),
        quarantined=marked.filter(~valid).select(*texts, REASONS),
    )


def _mark(raw: DataFrame, spec: LoadSpec) -> DataFrame:
    """Adds the raw texts as `_raw`, types the columns, and adds the violated rules of each row."""
    types = {column.name: raw.schema[column.physical_name].dataType for column in spec.columns}
    kinds = {column.name: column.type for column in spec.columns}
    texts = [physical(c.physical_name).cast("string").alias(c.name) for c in spec.columns]
    unreadable = F.col(UNREADABLE) if UNREADABLE in raw.columns else F.lit(None).cast("string")
    values = [
        clean_value(
            physical(column.physical_name),
            types[column.name],
            column,
            trim=spec.trim,
            null_values=spec.null_values,
        ).alias(f"value.{column.name}")
        for column in spec.columns
    ]
    rows = raw.select(F.struct(*texts, unreadable.alias(UNREADABLE)).alias(_RAW), *values)
    rows = rows.select(
        "*", *(cast_value(_value(c.name), types[c.name], c).alias(c.name) for c in spec.columns)
    )

    def broken(rule: RowRule) -> Column:
        (name,) = rule.columns
        kind = kinds[name]
        uncast = misfit(_value(name), F.col(name), types[name], kind)
        return F.when(breaks(rule, F.col(name), uncast, kind), F.lit(rule.name))

    reasons_by_rule = [broken(rule) for rule in spec.rules if rule.check != "unique"]
    no_row = F.col(f"{_RAW}.{UNREADABLE}").isNotNull()
    reasons = F.when(no_row, F.array(F.lit(_NO_ROW))).otherwise(
        F.array_compact(F.array(*reasons_by_rule))
    )
    return rows.select(_RAW, *kinds, reasons.alias(REASONS))


def _mark_duplicates(rows: DataFrame, spec: LoadSpec) -> DataFrame:
    """Adds a reason to all but one of the rows that share a value that must be unique."""
    for rule in spec.rules:
        if rule.check != "unique":
            continue
        valid = F.size(REASONS) == 0
        place = F.row_number().over(Window.partitionBy(*rule.columns, valid).orderBy(_RAW))
        filled = reduce(or_, (F.col(name).isNotNull() for name in rule.columns))
        repeated = F.when(valid & filled & (place > 1), F.array(F.lit(rule.name)))
        rows = rows.withColumn(REASONS, F.coalesce(repeated, F.col(REASONS)))
    return rows


def physical(name: str) -> Column:
    """Returns a column by its name in the raw files, whatever that holds."""
    return F.col("`" + name.replace("`", "``") + "`")


def _value(name: str) -> Column:
    return F.col(f"`value.{name}`")
