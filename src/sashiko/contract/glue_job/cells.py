"""Converts raw values to typed ones, with the rules of `sashiko.data.ingest`.

The accepted text formats are explicit, because Spark's own casts accept more: `1.9` for an
integer, `1d` for a number, `2025` for a date. (Arrow also reads `0x1F` as an integer and
`2025-03-01T12Z` as a time; here such rows go to quarantine.)
"""

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - the name that all of Spark's documents use
from pyspark.sql.types import DataType

from sashiko.contract.glue_job.spec import TYPES, Kind, LoadError, SpecColumn

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
