"""Typed stand-ins for values that are known at run time only.

`resolve` treats them as text and numbers, so references and functions work as on real values; text
that contains a stand-in is a stand-in too.
"""

from collections.abc import Mapping
from typing import Any

from sashiko.pipeline.definition.definition_records import Step
from sashiko.pipeline.definition.validator.api import Shape, job_api

_MARK = "<known when it runs>"


class Anything(str):
    """A value of a type that rules do not check, such as a time."""

    __slots__ = ()


class UnknownInteger(int):
    """An integer; as text, the mark."""

    def __str__(self) -> str:
        return _MARK


class UnknownFloat(float):
    """A number; as text, the mark."""

    def __str__(self) -> str:
        return _MARK


def stand_in(kind: str) -> Any:
    """Returns an unknown value of one of the API's types."""
    match kind:
        case "string":
            return _MARK
        case "integer" | "long":
            return UnknownInteger()
        case "float" | "double":
            return UnknownFloat()
        case "boolean":
            return True  # rules check its type only
        case _:
            return Anything(_MARK)


def is_known(value: Any) -> bool:
    """Returns whether a value contains no stand-in."""
    if isinstance(value, str):
        return _MARK not in value
    return not isinstance(value, UnknownInteger | UnknownFloat)


def describe_step(step: Step) -> Mapping[str, Any]:
    """Returns every property of the step's type.

    A literal argument is its own property, and lists and maps have the items of the arguments;
    values that are known at run time only are stand-ins.
    """
    api = job_api(step.type)
    arguments = {key: value for key, value in step.arguments.items() if key != api.name}
    return {name: _value(item, arguments.get(name)) for name, item in api.describe.members.items()}


def _value(shape: Shape, argument: Any) -> Any:
    match shape.type_name:
        case "structure":
            inside = argument if isinstance(argument, Mapping) else {}
            return {name: _value(item, inside.get(name)) for name, item in shape.members.items()}
        case "list":
            items = argument if isinstance(argument, list) else [None]
            return [_value(shape.member, item) for item in items]
        case "map":
            inside = argument if isinstance(argument, Mapping) else {}
            return {key: _value(shape.value, item) for key, item in inside.items()}
        case kind:
            # An expression is known at run time only, too.
            return argument if isinstance(argument, str | int | float) else stand_in(kind)
