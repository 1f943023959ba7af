"""Expressions inside a definition: Get and Std:Join."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sashiko.base.problems import shorten
from sashiko.errors import InputError

# Describe calls list these by position; a pipeline refers to them by name.
_NAMES_OF_ITEMS = ("OutputName", "InputName", "ChannelName")
_TOKEN = re.compile(r"\.?([^.\[\]']+)|\[(\d{1,9})\]|\['([^']*)'\]")
_JOB_NAME_LENGTH = 63


def _split(path: str, *, where: str) -> tuple[str | int, ...]:
    """Splits a path into keys (str) and positions (int)."""
    parts: list[str | int] = []
    position = 0
    while position < len(path):
        match = _TOKEN.match(path, position)
        if match is None:
            raise InputError(f"{where}: cannot read the path `{path}` from `{path[position:]}` on")
        key, index, name = match.groups()
        parts.append(int(index) if index else key or name)
        position = match.end()
    return tuple(parts)


def look_up(value: Any, path: str, *, where: str) -> Any:
    """Follows `path` into a JSON value.

    Raises:
        InputError: naming the missing part and the existing ones.
    """
    for part in _split(path, where=where):
        children = _children(value)
        if part not in children:
            raise InputError(f"{where}: `{path}` has no `{part}`; there is: {_there_is(value)}")
        value = children[part]
    return value


def job_name(execution_id: str, step: str) -> str:
    """Returns the name that Pipelines gives a step's job, without the random suffix."""
    return f"pipelines-{execution_id}-{step}"[:_JOB_NAME_LENGTH]


def describe_job(kind: str, *, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the Describe response of a finished job, as far as this machine knows it."""
    description = dict(arguments) | {
        f"{kind}JobName": name,
        f"{kind}JobArn": f"arn:aws:sagemaker:local:000000000000:{kind.lower()}-job/{name}",
        f"{kind}JobStatus": "Completed",
    }
    if kind == "Training":
        output = look_up(arguments, "OutputDataConfig.S3OutputPath", where=f"step {name}")
        model = f"{str(output).rstrip('/')}/{name}/output/model.tar.gz"
        description["ModelArtifacts"] = {"S3ModelArtifacts": model}
    return description


def _children(value: Any) -> Mapping[str | int, Any]:
    """Returns the children of a value: an object's values, or a list's by position and name."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, list):
        return {}
    children: dict[str | int, Any] = dict(enumerate(value))
    for item in value:
        for key in _NAMES_OF_ITEMS:
            if isinstance(item, Mapping) and key in item:
                children[item[key]] = item
    return children


def _there_is(value: Any) -> str:
    if not isinstance(value, Mapping | list):
        return f"a {type(value).__name__}"
    return ", ".join(map(str, _children(value))) or "nothing"


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
