"""A contract's pattern as Java reads it: Spark and Glue Data Quality both run on Java."""

import re

from sashiko.errors import InputError

# Python's classes know all of Unicode; Java's know ASCII alone unless this flag says otherwise.
_CLASSES = re.compile(r"(?<!\\)(?:\\\\)*\\[dDwWsSbB]")
_UNICODE = "(?U)"


def java_regex(pattern: str) -> str:
    """Returns a pattern that finds in Java what `pattern` finds in Python.

    Raises:
        InputError: if it uses a named group, which Java writes otherwise.
    """
    if "(?P" in pattern:
        raise InputError(
            f"pattern {pattern!r}: the Glue job's engine does not know `(?P...)`; "
            "write the group without a name"
        )
    return f"{_UNICODE}{pattern}" if _CLASSES.search(pattern) else pattern


def whole_value(pattern: str) -> str:
    """Returns a Java pattern that must match a whole value where `pattern` must only be found.

    `^...$` is wrapped as well: before a line end that ends the value, its `$` is found.
    """
    return f"(?s).*(?:{java_regex(pattern)}).*"
