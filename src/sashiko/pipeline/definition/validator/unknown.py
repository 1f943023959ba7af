"""Stand-ins for what only an execution can know, of the type that is known already.

They are text and numbers to `resolve`, so references and functions work on them as on real values;
text that holds a stand-in is a stand-in too.
"""

from collections.abc import Mapping
from typing import Any

from sashiko.pipeline.definition.model import Step
from sashiko.pipeline.definition.validator.api import Shape, job_api

_MARK = "<known when it runs>"


class Anything(str):
    """A value of any type, such as one in a file that a step will write."""

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
    """Returns an unknown value of one of the API's types.

    Args:
        kind: botocore's name of the type.
    """
    match kind:
        case "string":
            return _MARK
        case "integer" | "long":
            return UnknownInteger()
        case "float" | "double":
            return UnknownFloat()
        case "boolean":
            return True  # no rule looks at more than its type
        case _:
            return Anything(_MARK)


def without_stand_ins(text: str) -> str:
    """Returns the part of a text that is known already."""
    return text.replace(_MARK, "")


def is_known(value: Any) -> bool:
    """Says whether a value is the one that an execution will see."""
    if isinstance(value, str):
        return _MARK not in value
    return not isinstance(value, UnknownInteger | UnknownFloat)


def described(step: Step) -> Mapping[str, Any]:
    """Returns every property of the step's type.

    A literal argument is its own property, and lists and maps have the items that the arguments
    give them; what only a run can know is a stand-in.
    """
    api = job_api(step.type)
    given = {key: value for key, value in step.arguments.items() if key != api.name}
    return {name: _value(item, given.get(name)) for name, item in api.describe.members.items()}


def _value(shape: Shape, given: Any) -> Any:
    match shape.type_name:
        case "structure":
            inside = given if isinstance(given, Mapping) else {}
            return {name: _value(item, inside.get(name)) for name, item in shape.members.items()}
        case "list":
            items = given if isinstance(given, list) else [None]
            return [_value(shape.member, item) for item in items]
        case "map":
            inside = given if isinstance(given, Mapping) else {}
            return {key: _value(shape.value, item) for key, item in inside.items()}
        case kind:
            # An expression stands for what only a run can know, too.
            return given if isinstance(given, str | int | float) else stand_in(kind)
