"""The conditions of a Condition step: checks and evaluates them."""

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from sashiko.errors import InputError

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        "Equals": operator.eq,
        "GreaterThan": operator.gt,
        "GreaterThanOrEqualTo": operator.ge,
        "LessThan": operator.lt,
        "LessThanOrEqualTo": operator.le,
    }
)
_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(_COMPARISONS, ("Type", "LeftValue", "RightValue")),
        "In": ("Type", "QueryValue", "Values"),
        "Not": ("Type", "Condition"),
        "Or": ("Type", "Conditions"),
    }
)


def check_condition(condition: Any, *, where: str) -> None:
    """Checks the shape of a condition and of its nested conditions.

    Raises:
        InputError: for an unknown type or key, naming the path.
    """
    kind = str(condition.get("Type")) if isinstance(condition, Mapping) else "none"
    if kind not in _KEYS:
        raise InputError(f"{where}: unknown condition type `{kind}`; known: {', '.join(_KEYS)}")
    if set(condition) != set(_KEYS[kind]):
        raise InputError(
            f"{where}: {kind} takes {', '.join(_KEYS[kind])}, got {', '.join(condition)}"
        )
    if kind == "Not":
        check_condition(condition["Condition"], where=f"{where}.Condition")
    if kind == "Or":
        check_conditions(condition["Conditions"], where=f"{where}.Conditions")
    if kind == "In" and not isinstance(condition["Values"], list):
        raise InputError(f"{where}.Values: expected a list")


def check_conditions(conditions: Any, *, where: str) -> None:
    """Checks a list of conditions, which must not be empty: an empty list would always hold.

    Raises:
        InputError: as `check_condition`.
    """
    if not isinstance(conditions, list) or not conditions:
        raise InputError(f"{where}: expected a list with at least one condition")
    for index, condition in enumerate(conditions):
        check_condition(condition, where=f"{where}[{index}]")


def holds(condition: Mapping[str, Any], *, where: str) -> bool:
    """Evaluates a condition whose expressions are resolved.

    Raises:
        InputError: if it compares values of different types.
    """
    match condition["Type"]:
        case "Not":
            return not holds(condition["Condition"], where=where)
        case "Or":
            return any(holds(item, where=where) for item in condition["Conditions"])
        case "In":
            query = condition["QueryValue"]
            return any(_compare("Equals", query, item, where) for item in condition["Values"])
        case kind:
            return _compare(kind, condition["LeftValue"], condition["RightValue"], where)


def _compare(kind: str, left: Any, right: Any, where: str) -> bool:
    if _type(left) != _type(right):
        raise InputError(
            f"{where}: {kind} compares a {_type(left)} ({left!r}) with a {_type(right)} ({right!r})"
        )
    if kind != "Equals" and _type(left) not in ("number", "string"):
        raise InputError(f"{where}: {kind} needs numbers or strings, got a {_type(left)}")
    return _COMPARISONS[kind](left, right)


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return {str: "string", type(None): "null"}.get(type(value), "structure")
