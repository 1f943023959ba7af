"""The API's limits on a value of the right type: enum, pattern, length and range."""

from collections.abc import Collection
from difflib import get_close_matches
from functools import cache
from typing import Any

import regex

from sashiko.base.problems import shorten
from sashiko.pipeline.definition.validator.api import Shape

_FEW = 12  # the longest list of names in a message


def limit_problem(value: Any, shape: Shape) -> str | None:
    """Returns the limit that a known value breaks and what is allowed, or None."""
    limits = shape.metadata
    if isinstance(value, str):
        return _text_problem(value, limits)
    size = len(value) if isinstance(value, list | dict) else value
    if _inside(size, limits):
        return None
    items = " items" if isinstance(value, list | dict) else ""
    return f"{size}{items}; allowed: {_range(limits)}{items}"


def allowed(value: str, names: Collection[str]) -> str:
    """Lists the names that are allowed instead of `value`; of many, the similar ones."""
    if len(names) <= _FEW:
        return f"allowed: {', '.join(names)}"
    matches = get_close_matches(value, names, n=_FEW, cutoff=0.7)
    if matches:
        return f"allowed among others: {', '.join(matches)}"
    return f"allowed: {', '.join(list(names)[:_FEW])} and {len(names) - _FEW} more"


def _text_problem(value: str, limits: Any) -> str | None:
    enum = limits.get("enum")
    if enum and value not in enum:
        return f"`{value}` is not known; {allowed(value, enum)}"
    if not _inside(len(value), limits):
        return f"{len(value)} characters; allowed: {_range(limits)} characters"
    pattern = limits.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(value):
        return f"{shorten(repr(value))} does not match the pattern {pattern}"
    return None


def _inside(size: float, limits: Any) -> bool:
    return bool(limits.get("min", size) <= size <= limits.get("max", size))


def _range(limits: Any) -> str:
    low, high = limits.get("min"), limits.get("max")
    if high is None:
        return f"{low} or more"
    return f"up to {high}" if low in (None, 0) else f"{low} to {high}"


@cache
def _compiled(pattern: str) -> "regex.Pattern[str]":
    """Compiles a pattern of the API, which is Java's: classes such as L, planes as surrogates.

    The service matches whole values, whether or not a pattern has anchors.
    """
    python = pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")
    return regex.compile(python)
