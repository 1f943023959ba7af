"""Types single values as the lake's columns have them, a whole column at once."""

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.aws.glue_job.spec import TextForm

_NO_VALUE = "?"  # which no type but text has


def cast_values(values: pa.Array, kind: pa.DataType, *, form: TextForm | None = None) -> pa.Array:
    """Types cleaned values as the lake's column of that type would be.

    Args:
        values: an array or chunked array of texts without blanks around them, or of typed values.
        kind: one of `derive.ARROW_TYPES`.
        form: how texts are written; None for a decimal point and ISO 8601.

    Raises:
        pyarrow.ArrowException: if a value is none of that type, or not written so.
    """
    if form is not None and pa.types.is_string(values.type):
        values = _rewritten(values, form)
    if pa.types.is_timestamp(kind) and pa.types.is_string(values.type):
        values = _with_zone(values)
    typed = values.cast(kind)
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_nan(typed), pa.scalar(None, kind), typed)
    return typed


def _rewritten(values: pa.Array, form: TextForm) -> pa.Array:
    """Writes texts the lake's own way; one that is not written in the form becomes no value."""
    texts = values
    for pattern, replacement in form.replacements:
        texts = pc.replace_substring_regex(texts, pattern, replacement)
    return pc.if_else(pc.match_substring_regex(values, form.pattern), texts, _NO_VALUE)


def _with_zone(values: pa.Array) -> pa.Array:
    """Completes ISO 8601 texts: a bare date is its midnight, a time without a zone is UTC."""
    moments = pc.replace_substring_regex(values, r"^(\d{4}-\d{2}-\d{2})$", r"\1T00:00:00")
    no_zone = r"([ T]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)$"
    return pc.replace_substring_regex(moments, no_zone, r"\1Z")
