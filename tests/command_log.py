"""Which commands of `sashiko` the tests run, and with which options.

With `COMMAND_LOG=<file>` each test run appends a line for each: a command that a test starts as a
process, or calls by typer's runner. `verification.pages` compares the lines with the pages.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from typer.core import TyperCommand
from typer.main import get_command

from sashiko.cli import app


@dataclass(frozen=True)
class Use:
    """A command as it was given."""

    command: str  # its names below `sashiko`, such as `model approve`
    options: frozenset[str]  # that were given, by their longest names


def parse(words: Sequence[str]) -> Use | None:
    """Reads the words after `sashiko`; None if they name no command."""
    command: Any = get_command(app)
    names, rest = [], list(words)
    while hasattr(command, "list_commands"):
        if not rest or rest[0] not in command.list_commands(_context(command)):
            return None
        names.append(rest.pop(0))
        command = command.get_command(_context(command), names[-1])
    longest = {
        name: max(one.opts, key=len)
        for one in command.params
        for name in (*one.opts, *one.secondary_opts)
    }
    given = [word.partition("=")[0] for word in rest]
    return Use(" ".join(names), frozenset(longest[name] for name in given if name in longest))


def read_log(file: Path) -> Iterator[Use]:
    for line in file.read_text(encoding="utf-8").splitlines():
        command, _, options = line.partition("\t")
        yield Use(command, frozenset(options.split()))


def log_commands(file: Path) -> None:
    """Appends to `file` what this process runs from now on."""

    def append(use: Use | None) -> None:
        if use is not None:
            with file.open("a", encoding="utf-8") as log:
                log.write(f"{use.command}\t{' '.join(sorted(use.options))}\n")

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen":
            append(_started(arguments[1]))

    sys.addaudithook(watch)
    TyperCommand.invoke = _logged(TyperCommand.invoke, append)


def _started(words: Any) -> Use | None:
    """Returns the command of a new process; None if it is none of `sashiko`."""
    if isinstance(words, str | bytes | os.PathLike):
        return None
    names = [os.fsdecode(word) for word in words]
    for place, name in enumerate(names[:4]):
        if Path(name).name == "sashiko" or "sashiko.cli" in name:  # `-m` it, or `-c` a call of it
            return parse(names[place + 1 :])
    return None


def _logged(invoke: Callable[..., Any], append: Callable[[Use], None]) -> Callable[..., Any]:
    def logged(self: TyperCommand, context: Any) -> Any:
        command = _by_callback().get(_callback(self))
        if command:
            given = [
                max(one.opts, key=len)
                for one in self.params
                if str(context.get_parameter_source(one.name)).endswith("COMMANDLINE")
                and one.param_type_name == "option"
            ]
            append(Use(command, frozenset(given)))
        return invoke(self, context)

    return logged


@cache
def _by_callback() -> dict[tuple[str, str], str]:
    """Returns the names of each command by its function: tests call parts of the tree as well."""
    return dict(_walk(get_command(app), ()))


def _walk(command: Any, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, str], str]]:
    if not hasattr(command, "list_commands"):
        yield _callback(command), " ".join(names)
        return
    for name in command.list_commands(_context(command)):
        yield from _walk(command.get_command(_context(command), name), (*names, name))


def _callback(command: Any) -> tuple[str, str]:
    return command.callback.__module__, command.callback.__qualname__


def _context(command: Any) -> Any:
    return command.make_context("sashiko", [], resilient_parsing=True)
