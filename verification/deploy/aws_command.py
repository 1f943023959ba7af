"""Runs a printed `aws` command against the emulator, as the AWS command line would."""

import json
import shlex
from collections.abc import Iterator
from typing import Any

import jmespath
from botocore import xform_name

from verification.deploy.process import Emulator


def run(emulator: Emulator, line: str) -> None:
    """Runs commands that are joined by `&&`, of which one may write a file for the next.

    Raises:
        AssertionError: if it is no such command, or has an option that the service lacks.
    """
    files: dict[str, Any] = {}
    for part in line.split(" && "):
        program, service, command, *options = shlex.split(part)
        assert program == "aws", part
        if options[-2] == ">":
            query, file = options[options.index("--query") + 1], options[-1]
            answer = getattr(emulator.client(service), command.replace("-", "_"))()
            files[f"file://{file}"] = jmespath.search(query, answer)
            continue
        client = emulator.client(service)
        method = command.replace("-", "_")
        members = client.meta.service_model.operation_model(
            client.meta.method_to_api_mapping[method]
        ).input_shape.members
        names = {xform_name(name, "-"): name for name in members}
        arguments = {
            names[option.removeprefix("no-") if not values else option]: _value(
                members[names.get(option, names.get(option.removeprefix("no-")))].type_name,
                option,
                values,
                files,
            )
            for option, values in _options(options)
            if option != "region"  # of every command; the emulator has one
        }
        getattr(client, method)(**arguments)


def _options(arguments: list[str]) -> Iterator[tuple[str, list[str]]]:
    starts = [index for index, word in enumerate(arguments) if word.startswith("--")]
    for start, end in zip(starts, [*starts[1:], len(arguments)], strict=True):
        yield arguments[start].removeprefix("--"), arguments[start + 1 : end]


def _value(kind: str, option: str, values: list[str], files: dict[str, Any]) -> Any:
    if kind == "boolean":
        return not option.startswith("no-")
    if kind in ("integer", "long"):
        return int(values[0])
    if values[0] in files:
        return files[values[0]]
    if values[0][0] in "[{":
        return json.loads(values[0])
    if kind == "structure":
        return dict(pair.split("=", 1) for pair in values[0].split(","))
    return values if kind == "list" else values[0]
