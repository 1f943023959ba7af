"""Expressions inside a definition: Get, Std:Join and Std:JsonGet."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sashiko.errors import InputError
from sashiko.pipeline.definition.properties import look_up, split_path

_FUNCTIONS = ("Get", "Std:Join", "Std:JsonGet")
_PROPERTY_FILES = "PropertyFiles."


@dataclass(frozen=True)
class Context:
    """The values that expressions can refer to.

    Attributes:
        parameters: name -> typed value.
        execution: execution variable -> value, such as `PipelineExecutionId`.
        describe: step name -> the Describe response of a finished step.
        read_file: step, property file and path in it -> value.
    """

    parameters: Mapping[str, Any]
    execution: Mapping[str, str]
    describe: Callable[[str], Mapping[str, Any]]
    read_file: Callable[[str, str, str], Any]


@dataclass(frozen=True)
class StepReference:
    """A reference to another step; `file` is the property file that it reads, if any."""

    step: str
    file: str | None
    where: str


def is_expression(value: Any) -> bool:
    """Whether a JSON value is an expression: an object with one key, `Get` or `Std:...`."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return False
    key = next(iter(value))
    return key == "Get" or str(key).startswith("Std:")


def step_references(value: Any, *, where: str) -> Iterator[StepReference]:
    """Yields every reference to a step below `value`.

    Raises:
        InputError: for an unknown function, naming the path.
    """
    if is_expression(value):
        function = next(iter(value))
        if function not in _FUNCTIONS:
            known = ", ".join(_FUNCTIONS)
            raise InputError(f"{where}: unknown function `{function}`; known: {known}")
        target = value.get("Get")
        if isinstance(target, str) and target.startswith("Steps."):
            step, rest = _split_step(target, where=where)
            file = rest.removeprefix(_PROPERTY_FILES) if rest.startswith(_PROPERTY_FILES) else None
            yield StepReference(step=step, file=file, where=where)
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
        match function:
            case "Get":
                return _get(argument, context, where=where)
            case "Std:Join":
                return _join(argument, context, where=where)
            case "Std:JsonGet":
                return _json_get(argument, context, where=where)
        known = ", ".join(_FUNCTIONS)
        raise InputError(f"{where}: unknown function `{function}`; known: {known}")
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
        if path.startswith(_PROPERTY_FILES):
            raise InputError(f"{where}: a property file can be read by Std:JsonGet only")
        value = look_up(context.describe(step), path, where=f"{where}, Steps.{step}")
        if isinstance(value, Mapping | list):
            raise InputError(f"{where}: `{target}` is not a single value")
        return value
    raise InputError(f"{where}: cannot Get `{target}`; known: Parameters., Execution., Steps.")


def _join(argument: Any, context: Context, *, where: str) -> str:
    _check_arguments(argument, required=("Values",), allowed=("On", "Values"), where=where)
    values = resolve(argument["Values"], context, where=f"{where}.Std:Join.Values")
    if not isinstance(values, list):
        raise InputError(f"{where}.Std:Join.Values: expected a list, got {type(values).__name__}")
    return str(argument.get("On", "")).join(as_text(value, where=where) for value in values)


def _json_get(argument: Any, context: Context, *, where: str) -> Any:
    keys = ("PropertyFile", "Path")
    _check_arguments(argument, required=keys, allowed=keys, where=where)
    source = argument["PropertyFile"]
    target = source.get("Get") if isinstance(source, Mapping) else None
    step, rest = _split_step(str(target), where=where)
    if not rest.startswith(_PROPERTY_FILES):
        raise InputError(f"{where}: PropertyFile must Get Steps.<step>.PropertyFiles.<name>")
    path = argument["Path"]
    if not isinstance(path, str):  # aws/sagemaker-python-sdk#3463: no expression stands there
        raise InputError(f"{where}: Path must be text, got {path!r}")
    split_path(path, where=where)
    return context.read_file(step, rest.removeprefix(_PROPERTY_FILES), path)


def as_text(value: Any, *, where: str) -> str:
    """Writes a single value as Std:Join does: `true` and `false`, numbers as in JSON.

    Raises:
        InputError: if it is null, a list or an object.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise InputError(f"{where}: cannot join {value!r}: not a string, number or boolean")


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


def _check_arguments(
    argument: Any, *, required: tuple[str, ...], allowed: tuple[str, ...], where: str
) -> None:
    keys = tuple(argument) if isinstance(argument, Mapping) else ()
    if not set(required) <= set(keys) <= set(allowed):
        raise InputError(
            f"{where}: expected {' and '.join(allowed)}, got {', '.join(keys) or 'nothing'}"
        )
