"""The parts of a chain, as the arguments of its job have them (`sashiko.steps.job_parts`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any, Final

from sashiko.errors import InputError

MODULE: Final = "sashiko.steps.job_parts"  # what the job runs
_PART = "--part"
_OPTIONS = ("--module", "--script", "--input")
_ARGUMENTS = "--"


@dataclass(frozen=True)
class Part:
    """One step of a chain."""

    name: str
    # Words after `python3`: `-m` and a module, or a script's path below the part's inputs.
    command: tuple[str, ...]
    inputs: Mapping[str, str]  # name -> path of `input` or `output` below `/opt/ml/processing`
    arguments: tuple[Any, ...] = ()  # strings; in a definition also what becomes one


def words(part: Part) -> tuple[Any, ...]:
    """Returns what stands for a part in a job's arguments; `read_parts` reads it."""
    *_, last = part.command
    inputs = (word for name, path in part.inputs.items() for word in ("--input", f"{name}={path}"))
    kind = "--module" if part.command[0] == "-m" else "--script"
    return (_PART, part.name, kind, last, *inputs, _ARGUMENTS, *part.arguments)


def read_parts(arguments: Sequence[Any]) -> tuple[Part, ...]:
    """Reads the parts in a job's arguments.

    Raises:
        InputError: names the word that is not understood, or a part or input that is not there.
    """
    starts = [place for place, word in enumerate(arguments) if word == _PART]
    if starts[:1] != [0]:
        raise InputError(f"the arguments of a chain begin with {_PART} NAME")
    parts: list[Part] = []
    for start, end in pairwise([*starts, len(arguments)]):
        parts.append(_read_part(arguments[start + 1 : end], earlier=parts))
    return tuple(parts)


def _read_part(given: Sequence[Any], *, earlier: Sequence[Part]) -> Part:
    name, *rest = given or ("",)
    at = rest.index(_ARGUMENTS) if _ARGUMENTS in rest else len(rest)
    options = list(zip(rest[:at:2], rest[1:at:2], strict=False))
    wrong = [word for word in rest[:at:2] if word not in _OPTIONS]
    commands = [
        ("-m", value) if key == "--module" else (value,)
        for key, value in options
        if key != "--input"
    ]
    if wrong or at % 2 or len(commands) != 1 or not PurePosixPath(name).name == name != "":
        raise InputError(f"part `{name}`: expected {', '.join(_OPTIONS)} with a value each")
    inputs = dict(value.partition("=")[::2] for key, value in options if key == "--input")
    made = {part.name for part in earlier}
    for key, path in inputs.items():
        kind, *folders = PurePosixPath(path).parts or ("",)
        known = kind == "input" or (kind == "output" and folders[:1] and folders[0] in made)
        if not known or not folders or ".." in folders:
            raise InputError(f"part `{name}`, input {key}: `{path}` is no input or earlier part's")
    return Part(name, commands[0], inputs, tuple(rest[at + 1 :]))
