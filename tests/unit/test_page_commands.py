"""Each command that a page shows exists, and takes the options that the page gives it."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from sashiko.cli import app
from sashiko.packs import enabled_packs
from tests.pages import PAGES, ROOT, commands

MAKEFILES = (ROOT / "Makefile", *sorted(ROOT.glob("*.mk")))
_TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
_VARIABLE = re.compile(r"\$\(?([A-Z]+)|^([A-Z]+) \??:?=", re.MULTILINE)


def fault(command: str) -> str | None:
    """Says what is wrong with a command; None if it can be given as it stands."""
    try:
        words = shlex.split(command, comments=True)
    except ValueError as error:
        return str(error)
    words[0] = words[0].removeprefix(".venv/bin/")
    if words[0] == "sashiko":
        return _fault_of_sashiko(words[1:])
    if words[0] == "make":
        makefiles = "".join(file.read_text() for file in MAKEFILES)
        targets = set(_TARGET.findall(makefiles))
        variables = {name for pair in _VARIABLE.findall(makefiles) for name in pair if name}
        for word in words[1:]:
            name, is_variable, _ = word.partition("=")
            if is_variable and name not in variables:
                return f"no variable `{name}`"
            is_target = word in targets or f"`make {word}`" in _of_absent_packs()
            if re.fullmatch(r"[a-z][a-z-]*", word) and not is_target:
                return f"no target `{word}`"
        return None
    return _fault_of_module(words[2])


def _of_absent_packs() -> str:
    """The titles on the pages of packs that are not installed: what is missing without them."""
    there = {pack.name for pack in enabled_packs(folder=ROOT / "config")}
    pages = [page for page in (ROOT / "docs/packs").glob("*.md") if page.stem not in there]
    return "".join(line for page in pages for line in page.open(encoding="utf-8") if line[0] == "#")


def _fault_of_sashiko(words: list[str]) -> str | None:
    command, path = get_command(app), "sashiko"
    while hasattr(command, "get_command") and words and not words[0].startswith("-"):
        if not re.fullmatch(r"[a-z-]+", words[0]):
            return None  # `sashiko ...`
        name = words.pop(0)
        path = f"{path} {name}"
        command = command.get_command(
            command.make_context("sashiko", [], resilient_parsing=True), name
        )
        if command is None:
            return None if f"`{path}`" in _of_absent_packs() else f"no command `{name}`"
    options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {
        "--help",
        "-h",
        "-",
    }
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("-") and option not in options:
            return f"no option `{option}`"
    return None


def _fault_of_module(name):
    if "<" in name:
        return None
    try:
        return None if importlib.util.find_spec(name) else f"no module `{name}`"
    except ModuleNotFoundError:
        return f"no module `{name}`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_of_a_page_exist(page: Path) -> None:
    faults = {command: fault(command) for command in commands(page.read_text(encoding="utf-8"))}
    assert {command: reason for command, reason in faults.items() if reason} == {}
