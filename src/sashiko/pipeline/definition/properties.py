"""Paths into JSON values: `a.b`, `a['name'].b`, `a[0]`, and the properties of finished jobs."""

import re
from collections.abc import Mapping
from typing import Any

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
