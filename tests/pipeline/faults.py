"""One change to a definition's JSON at a time: what a slip of the pen would do."""

import copy
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Fault = Callable[[Json], None]
Place = str | int
# Steps of the golden definition, to begin a path with.
TRAIN = ("Train", "Arguments")
SNAPSHOT = ("Snapshot", "Arguments")


def broken(definition: Json, fault: Fault) -> Json:
    """Returns a copy with the fault in it."""
    result = copy.deepcopy(definition)
    fault(result)
    assert result != definition
    return result


def set_in(step: str, *path: Place, to: Any) -> Fault:
    """Puts a value at a path below a step."""

    def fault(definition: Json) -> None:
        *parents, last = path
        _value_at(find(definition, step), parents)[last] = to

    return fault


def rename(step: str, *path: Place, to: str) -> Fault:
    """Renames the last key of a path below a step."""

    def fault(definition: Json) -> None:
        *parents, last = path
        holder = _value_at(find(definition, step), parents)
        holder[to] = holder.pop(last)

    return fault


def drop(step: str, *path: Place) -> Fault:
    """Takes the last key of a path below a step away."""

    def fault(definition: Json) -> None:
        *parents, last = path
        del _value_at(find(definition, step), parents)[last]

    return fault


def set_parameter(name: str, key: str, *, to: Any) -> Fault:
    """Changes a parameter's declaration."""

    def fault(definition: Json) -> None:
        next(item for item in definition["Parameters"] if item["Name"] == name)[key] = to

    return fault


def find(definition: Json, step: str) -> Json:
    """Finds a step's JSON."""
    return next(item for item in definition["Steps"] if item["Name"] == step)


def _value_at(value: Any, path: list[Place]) -> Any:
    for part in path:
        value = value.setdefault(part, {}) if isinstance(value, dict) else value[part]
    return value
