"""Expressions inside a definition: Get and Std:Join."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sashiko.base.problems import shorten
from sashiko.errors import InputError
from sashiko.pipeline.definition.properties import look_up

_FUNCTIONS = ("Get", "Std:Join")


@dataclass(frozen=True)
class Context:
    """The values that expressions can refer to."""

    parameters: Mapping[str, Any]  # name -> typed value
    execution: Mapping[str, str]  # execution variable -> value, such as `PipelineExecutionId`
    # Step name -> the Describe response of a finished step.
    describe: Callable[[str], Mapping[str, Any]]


def is_expression(value: Any) -> bool:
    """Whether a JSON value is an expression: an object with one key, `Get` or `Std:...`."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return False
    key = next(iter(value))
    return key == "Get" or str(key).startswith("Std:")


def step_references(value: Any, *, where: str) -> Iterator[tuple[str, str]]:
    """Yields the step and the place of every reference to a step below `value`.

    Raises:
        InputError: for an unknown function, naming the path.
    """
    if is_expression(value):
        _check_function(next(iter(value)), where=where)
        target = value.get("Get")
        if isinstance(target, str) and target.startswith("Steps."):
            yield _split_step(target, where=where)[0], where
            return
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from step_references(item, where=f"{where}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from step_references(item, where=f"{where}[{index}]")


def resolve(value: Any, context: Context, *, where: str) -> Any:
    """Returns `value` with every expression replaced by its value.

    Raises:
        InputError: for an unknown function or a reference to something that does not exist.
    """
    if is_expression(value):
        [(function, argument)] = value.items()
        _check_function(function, where=where)
        return (_get if function == "Get" else _join)(argument, context, where=where)
    if isinstance(value, Mapping):
        return {key: resolve(item, context, where=f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [
            resolve(item, context, where=f"{where}[{index}]") for index, item in enumerate(value)
        ]
    return value


def _get(target: Any, context: Context, *, where: str) -> Any:
    scope, _, name = str(target).partition(".")
    if scope == "Parameters":
        return _lookup(context.parameters, name, what="parameter", where=where)
    if scope == "Execution":
        return _lookup(context.execution, name, what="execution variable", where=where)
    if scope == "Steps":
        step, path = _split_step(str(target), where=where)
        value = look_up(context.describe(step), path, where=f"{where}, Steps.{step}")
        if isinstance(value, Mapping | list):
            raise InputError(f"{where}: `{target}` is not a single value")
        return value
    raise InputError(f"{where}: cannot Get `{target}`; known: Parameters., Execution., Steps.")


def _join(argument: Any, context: Context, *, where: str) -> str:
    keys = list(argument) if isinstance(argument, Mapping) else []
    if not {"Values"} <= set(keys) <= {"On", "Values"}:
        raise InputError(f"{where}: expected On and Values, got {', '.join(keys) or 'nothing'}")
    values = resolve(argument["Values"], context, where=f"{where}.Std:Join.Values")
    if not isinstance(values, list):
        raise InputError(f"{where}.Std:Join.Values: expected a list, got {type(values).__name__}")
    return str(argument.get("On", "")).join(as_text(value, where=where) for value in values)


def as_text(value: Any, *, where: str) -> str:
    """Writes a single value as Std:Join does: `true` and `false`, numbers as in JSON.

    Raises:
        InputError: if it is null, a list or an object.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise InputError(
        f"{where}: cannot join {shorten(repr(value))}: not a string, number or boolean"
    )


def _split_step(target: str, *, where: str) -> tuple[str, str]:
    scope, _, rest = target.partition(".")
    step, dot, path = rest.partition(".")
    if scope != "Steps" or not step or not dot or not path:
        raise InputError(f"{where}: expected Steps.<step>.<property>, got `{target}`")
    return step, path


def _lookup(values: Mapping[str, Any], name: str, *, what: str, where: str) -> Any:
    if name not in values:
        known = ", ".join(values) or "none"
        raise InputError(f"{where}: no {what} `{name}`; there is: {known}")
    return values[name]


def _check_function(function: str, *, where: str) -> None:
    if function not in _FUNCTIONS:
        known = ", ".join(_FUNCTIONS)
        raise InputError(f"{where}: unknown function `{function}`; known: {known}")
