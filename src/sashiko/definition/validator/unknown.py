"""Stand-ins for what only an execution can know, of the type that is known already.

They are text and numbers to `resolve`, so references and functions work on them as on real values;
text that holds a stand-in is a stand-in too.
"""

from typing import Any

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
