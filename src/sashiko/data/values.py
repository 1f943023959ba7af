"""Casts columns of text to the lake's types."""

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.glue_job.spec import TextForm

_INVALID = "?"  # invalid in every type but text


def cast_values(values: pa.Array, kind: pa.DataType, *, form: TextForm | None = None) -> pa.Array:
    """Casts cleaned values to the type of a lake's column.

    Args:
        values: an array or chunked array of texts without blanks around them, or of typed values.
        kind: one of `derive.ARROW_TYPES`.
        form: how texts are written; None for a decimal point and ISO 8601.

    Raises:
        pyarrow.ArrowException: if a value is invalid in that type or form.
    """
    if form is not None and pa.types.is_string(values.type):
        values = default_form(values, form)
    if pa.types.is_timestamp(kind) and pa.types.is_string(values.type):
        # A date without a time is midnight, a time without a zone UTC.
        values = pc.replace_substring_regex(values, r"^(\d{4}-\d{2}-\d{2})$", r"\1T00:00:00")
        no_zone = r"([ T]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)$"
        values = pc.replace_substring_regex(values, no_zone, r"\1Z")
    typed = values.cast(kind)
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_nan(typed), pa.scalar(None, kind), typed)
    return typed


def can_cast(values: pa.Array, kind: pa.DataType, *, form: TextForm | None = None) -> bool:
    """Returns whether `cast_values` accepts every value."""
    try:
        cast_values(values, kind, form=form)
    except pa.ArrowException:
        return False
    return True


def default_form(values: pa.Array, form: TextForm) -> pa.Array:
    """Rewrites texts of a form with a decimal point or as ISO 8601; others become invalid."""
    texts = values
    for pattern, replacement in form.replacements:
        texts = pc.replace_substring_regex(texts, pattern, replacement)
    return pc.if_else(pc.match_substring_regex(values, form.pattern), texts, _INVALID)


def missing_to_null(texts: pa.Array, missing: tuple[str, ...]) -> pa.Array:
    """Replaces the texts that stand for a missing value by null."""
    is_missing = pc.is_in(texts, value_set=pa.array(missing, pa.string()))
    return pc.if_else(is_missing, pa.scalar(None, pa.string()), texts)


def any_match(texts: pa.Array, pattern: str) -> bool:
    """Returns whether a text matches a regular expression (RE2); nulls do not count."""
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())


def all_match(texts: pa.Array, pattern: str) -> bool:
    """Returns whether all texts match a regular expression (RE2); nulls do not count."""
    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())
