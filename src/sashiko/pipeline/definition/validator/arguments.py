"""A JSON value against a shape of the API: names, types, what is required, and limits."""

import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from sashiko.errors import InputError
from sashiko.pipeline.definition.expressions import is_expression
from sashiko.pipeline.definition.validator.api import Shape
from sashiko.pipeline.definition.validator.limits import allowed, limit_problem
from sashiko.pipeline.definition.validator.unknown import Anything, is_known

Resolve = Callable[[Any, str], Any]  # an expression and its place -> its value, or an InputError

_TYPES: Mapping[str, tuple[str, type | tuple[type, ...]]] = MappingProxyType(
    {
        "structure": ("an object", dict),
        "map": ("an object", dict),
        "list": ("a list", list),
        "string": ("a string", str),
        "boolean": ("a boolean", bool),
        **dict.fromkeys(("integer", "long"), ("an integer", int)),
        **dict.fromkeys(("float", "double"), ("a number", (int, float))),
    }
)
_FIX = "; make it text with Std:Join (`.to_string()` in the SDK)"


def check_value(
    value: Any, shape: Shape, *, where: str, resolve: Resolve, given: frozenset[str] = frozenset()
) -> Iterator[str | None]:
    """Judges each single value at and below `value`: yields what is wrong with it, or None.

    Args:
        value: JSON, with expressions.
        shape: what it has to be.
        where: its place, at the beginning of each problem.
        resolve: returns what an expression stands for, or a stand-in.
        given: required members that need not be there.
    """
    shown = value
    if is_expression(value):
        try:
            value = resolve(value, where)
        except InputError as error:
            yield str(error)
            return
    if isinstance(value, Anything):
        yield None
    elif not _fits(value, shape):
        expected, _ = _TYPES[shape.type_name]
        fix = _FIX if shape.type_name == "string" and is_expression(shown) else ""
        yield f"{where}: expected {expected}, got {_describe(value, shown)}{fix}"
    elif shape.type_name == "structure":
        yield from _members(value, shape, where=where, resolve=resolve, given=given)
    else:
        problem = limit_problem(value, shape) if is_known(value) else None
        if problem:
            yield f"{where}: {problem}{_origin(shown)}"
        elif shape.type_name not in ("list", "map"):
            yield None
        yield from _items(value, shape, where=where, resolve=resolve)


def _members(
    value: Mapping[str, Any], shape: Shape, *, where: str, resolve: Resolve, given: frozenset[str]
) -> Iterator[str | None]:
    for name in shape.required_members:
        if name not in value and name not in given:
            yield f"{where}: key `{name}` is missing"
    for name, item in value.items():
        if name in shape.members:
            place = f"{where}.{name}"
            yield from check_value(item, shape.members[name], where=place, resolve=resolve)
        else:
            yield f"{where}: unknown key `{name}`; {allowed(name, shape.members)}"


def _items(value: Any, shape: Shape, *, where: str, resolve: Resolve) -> Iterator[str | None]:
    if shape.type_name == "list":
        for index, item in enumerate(value):
            yield from check_value(item, shape.member, where=f"{where}[{index}]", resolve=resolve)
    if shape.type_name == "map":
        for key, item in value.items():
            problem = limit_problem(key, shape.key)
            if problem:
                yield f"{where}, key `{key}`: {problem}"
            yield from check_value(item, shape.value, where=f"{where}.{key}", resolve=resolve)


def _fits(value: Any, shape: Shape) -> bool:
    _, types = _TYPES[shape.type_name]
    return isinstance(value, types) and (types is bool or not isinstance(value, bool))


def _describe(value: Any, shown: Any) -> str:
    """Names a value's type, and the expression that it comes from, in JSON's words."""
    words = {bool: "a boolean", int: "an integer", float: "a number", str: "a string"}
    words |= {list: "a list", dict: "an object", type(None): "null"}
    word = next(word for kind, word in words.items() if isinstance(value, kind))
    if is_expression(shown):
        return f"{word}{_origin(shown)}"
    return f"{word} ({json.dumps(value)})" if isinstance(value, str | int | float) else word


def _origin(shown: Any) -> str:
    return f", from {json.dumps(shown)}" if is_expression(shown) else ""
