"""Checks a JSON value against a shape of the API: names, types, required members, limits."""

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
    value: Any,
    shape: Shape,
    *,
    where: str,
    resolve: Resolve,
    optional: frozenset[str] = frozenset(),
) -> Iterator[str | None]:
    """Yields a problem or None for each single value at and below `value`.

    Args:
        value: JSON, with expressions.
        shape: the expected shape.
        where: its path, at the beginning of each problem.
        resolve: returns the value of an expression, or a stand-in.
        optional: required members that may be missing.
    """
    raw = value
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
        fix = _FIX if shape.type_name == "string" and is_expression(raw) else ""
        yield f"{where}: expected {expected}, got {_describe(value, raw)}{fix}"
    elif shape.type_name == "structure":
        yield from _members(value, shape, where=where, resolve=resolve, optional=optional)
    else:
        problem = limit_problem(value, shape) if is_known(value) else None
        if problem:
            yield f"{where}: {problem}{_origin(raw)}"
        elif shape.type_name not in ("list", "map"):
            yield None
        yield from _items(value, shape, where=where, resolve=resolve)


def _members(
    value: Mapping[str, Any],
    shape: Shape,
    *,
    where: str,
    resolve: Resolve,
    optional: frozenset[str],
) -> Iterator[str | None]:
    for name in shape.required_members:
        if name not in value and name not in optional:
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


def _describe(value: Any, raw: Any) -> str:
    """Describes a value's JSON type, and the expression that it comes from."""
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "a string"}
    names |= {list: "a list", dict: "an object", type(None): "null"}
    name = next(name for kind, name in names.items() if isinstance(value, kind))
    if is_expression(raw):
        return f"{name}{_origin(raw)}"
    return f"{name} ({json.dumps(value)})" if isinstance(value, str | int | float) else name


def _origin(raw: Any) -> str:
    return f", from {json.dumps(raw)}" if is_expression(raw) else ""
