"""A contract's pattern for Java's regex engine, which Spark and Glue Data Quality use."""

import re

from sashiko.errors import InputError

# Python's classes match Unicode; Java's match only ASCII without this flag.
_CLASSES = re.compile(r"(?<!\\)(?:\\\\)*\\[dDwWsSbB]")
_UNICODE = "(?U)"


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
