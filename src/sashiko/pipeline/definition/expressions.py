"""Expressions inside a definition, Get and Std:Join, and the paths in them: `a['name'].b[0]`."""

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


def look_up(value: Any, path: str, *, where: str) -> Any:
    """Follows `path` into a JSON value; `.Name` and `['Name']` find a list's item by its name.

    Raises:
        InputError: naming the missing part and the existing ones.
    """
    position = 0
    while position < len(path):
        match = _TOKEN.match(path, position)
        if match is None:
            raise InputError(f"{where}: cannot read the path `{path}` from `{path[position:]}` on")
        key, index, name = match.groups()
        part, position = int(index) if index else key or name, match.end()
        children: Mapping[Any, Any] = value if isinstance(value, Mapping) else {}
        if isinstance(value, list):
            named = (item for item in value if isinstance(item, Mapping))
            names = {item[key]: item for item in named for key in _NAMES_OF_ITEMS if key in item}
            children = dict(enumerate(value)) | names
        if part not in children:
            there = ", ".join(map(str, children)) or "nothing"
            if not isinstance(value, Mapping | list):
                there = f"a {type(value).__name__}"
            raise InputError(f"{where}: `{path}` has no `{part}`; there is: {there}")
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
        if function == "Get":
            return _resolve_reference(str(argument), context, where=where)
        keys = list(argument) if isinstance(argument, Mapping) else []
        if not {"Values"} <= set(keys) <= {"On", "Values"}:
            raise InputError(f"{where}: expected On and Values, got {', '.join(keys) or 'nothing'}")
        values, place = argument["Values"], f"{where}.Std:Join.Values"
        values = resolve(values, context, where=place)
        if not isinstance(values, list):
            raise InputError(f"{place}: expected a list, got {type(values).__name__}")
        return str(argument.get("On", "")).join(as_text(item, where=where) for item in values)
    if isinstance(value, Mapping):
        return {key: resolve(item, context, where=f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, context, where=f"{where}[{i}]") for i, item in enumerate(value)]
    return value


def _resolve_reference(target: str, context: Context, *, where: str) -> Any:
    scope, _, name = target.partition(".")
    if scope == "Parameters":
        return _lookup(context.parameters, name, what="parameter", where=where)
    if scope == "Execution":
        return _lookup(context.execution, name, what="execution variable", where=where)
    if scope != "Steps":
        raise InputError(f"{where}: cannot Get `{target}`; known: Parameters., Execution., Steps.")
    step, path = _split_step(target, where=where)
    value = look_up(context.describe(step), path, where=f"{where}, Steps.{step}")
    if isinstance(value, Mapping | list):
        raise InputError(f"{where}: `{target}` is not a single value")
    return value


def as_text(value: Any, *, where: str) -> str:
    """Writes a single value as Std:Join does: `true` and `false`, numbers as in JSON.

    Raises:
        InputError: if it is null, a list or an object.
    """
    if not isinstance(value, str | int | float):
        what = shorten(repr(value))
        raise InputError(f"{where}: cannot join {what}: not a string, number or boolean")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _split_step(target: str, *, where: str) -> tuple[str, str]:
    scope, _, rest = target.partition(".")
    step, dot, path = rest.partition(".")
    if scope != "Steps" or not step or not dot or not path:
        raise InputError(f"{where}: expected Steps.<step>.<property>, got `{target}`")
    return step, path


def _lookup(values: Mapping[str, Any], name: str, *, what: str, where: str) -> Any:
    if name not in values:
        raise InputError(f"{where}: no {what} `{name}`; there is: {', '.join(values) or 'none'}")
    return values[name]


def _check_function(function: str, *, where: str) -> None:
    if function not in _FUNCTIONS:
        raise InputError(f"{where}: unknown function `{function}`; known: {', '.join(_FUNCTIONS)}")
