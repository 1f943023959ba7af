"""The shapes of JSON values in a definition: lists, strings, objects with known keys."""

from collections.abc import Mapping, Sequence
from typing import Any

from sashiko.core.problems import shorten
from sashiko.errors import InputError

_DEEPEST = 100  # levels; the shipped definitions have 20


def list_of(value: Mapping[str, Any], key: str, *, where: str) -> list[Any]:
    """Returns the list of a key, empty if the key is missing or null.

    Raises:
        InputError: if it is not a list.
    """
    items = value.get(key)
    if items is not None and not isinstance(items, list):
        raise InputError(f"{where}, {key}: expected a list, got {type(items).__name__}")
    return items or []


def text_of(value: Any, *, where: str) -> str:
    """Returns a value that must be a string.

    Raises:
        InputError: if it is not a string.
    """
    if not isinstance(value, str):
        raise InputError(f"{where}: expected a string, got {shorten(repr(value))}")
    return value


def check_depth(value: Any) -> None:
    """Refuses a JSON value that is nested too deeply for recursive functions.

    Raises:
        InputError: if it has more than 100 levels.
    """
    level = [value]
    for _ in range(_DEEPEST):
        inner = [item.values() if isinstance(item, Mapping) else item for item in level]
        level = [child for item in inner for child in item if isinstance(child, Mapping | list)]
        if not level:
            return
    raise InputError(f"definition: nested deeper than {_DEEPEST} levels")


def check_keys(value: Any, *, allowed: Sequence[str], required: Sequence[str], where: str) -> None:
    """Checks that a value is an object with allowed and required keys.

    Raises:
        InputError: if it is not an object, or for an unknown or a missing key.
    """
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: expected an object, got {type(value).__name__}")
    for key in value:
        if key not in allowed:
            raise InputError(f"{where}: unknown key `{key}`; known: {', '.join(allowed)}")
    for key in required:
        if key not in value:
            raise InputError(f"{where}: key `{key}` is missing")
