"""The map of commands: groups, names of before, environment variables, exit statuses."""

import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from sashiko.cli import app
from sashiko.commands.on_demand import renamed_commands, use_new_name
from sashiko.pipeline.project import command_options
from tests.unit.commands.in_process import sashiko

RENAMED = renamed_commands()


def walk(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(command, TyperGroup):
        yield path, command
        return
    context = command.make_context("sashiko", [], resilient_parsing=True)
    for name in command.list_commands(context):
        yield from walk(command.get_command(context, name), f"{path} {name}".strip())


COMMANDS = dict(walk(get_command(app)))


def test_the_help_has_at_most_13_commands_in_groups_by_the_way_of_a_user() -> None:
    listing = sashiko("--help", COLUMNS="300").stdout
    groups = re.findall(r"╭─ (\w+) ─", listing)
    groups = [name for name in groups if name != "Monitoring"]  # of a pack
    assert groups == ["Options", "Start", "Run", "Models", "Account"]
    names = re.findall(r"^│ ([a-z]+)  +[A-Z]", listing, re.MULTILINE)
    assert {"new", "run", "data", "model", "env"} <= {*names}
    assert len(names) <= 13
    assert "Exit status: 0 done" in listing
    # What a delivery runs is not listed, and has a help.
    assert "preflight" not in sashiko("env", "--help").stdout
    assert "Read-only" in sashiko("env", "preflight", "--help").stdout


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_does_the_same_and_says_the_new_one(old: str, new: str) -> None:
    before, now = sashiko(*old.split(), "--help"), sashiko(*new.split(), "--help")
    assert (before.returncode, before.stdout) == (now.returncode, now.stdout) == (0, now.stdout)
    assert before.stderr == f"sashiko {old} is now sashiko {new}; the old name goes in 0.3\n"
    assert now.stderr == ""
    assert new in COMMANDS
    assert old.partition(" --")[0] not in COMMANDS


def test_an_old_name_takes_the_same_options_and_ends_with_the_same_status() -> None:
    refused, known = (sashiko(*name, "--env", "local") for name in (["doctor"], ["env", "doctor"]))
    assert refused.returncode == known.returncode == 1
    assert refused.stderr.partition("\n")[2] == known.stderr


@pytest.mark.skipif("monitor audit" not in RENAMED, reason="its pack is off")
@pytest.mark.parametrize(("words", "expected"), [
    ("audit --rows 9 --out a=b", "sample --rows 9 --out a=b"),
    ("audit --labels a.csv --correct", "label a.csv --correct"),
    ("audit --correct --labels=a.csv", "label --correct a.csv"),
])  # fmt: skip
def test_an_old_command_that_is_two_now_goes_by_its_option(words: str, expected: str) -> None:
    assert use_new_name(["monitor", *words.split()]) == ["monitor", *expected.split()]


def test_version_is_the_engines() -> None:
    done = sashiko("--version")
    assert (done.returncode, done.stdout) == (0, f"sashiko {version('sashiko')}\n")


def test_a_shell_completes_commands_of_a_group() -> None:
    words = {"COMP_WORDS": "sashiko env d", "COMP_CWORD": "2"}
    offered = sashiko(_SASHIKO_COMPLETE="complete_bash", **words).stdout.split()
    assert ("doctor" in offered, "stage" in offered) == (True, False)


def test_environment_variables_give_options_and_options_win(tmp_path, monkeypatch) -> None:
    named = sashiko("model", "list", SASHIKO_HOME=str(tmp_path / "home"))
    assert f"below {tmp_path}/home yet" in named.stderr
    assert "no recipe recipes/moon.yaml" in sashiko("run", SASHIKO_RECIPE="moon").stderr
    for command in ("run", "env doctor"):
        assert "environment `moon`" in sashiko(*command.split(), SASHIKO_ENV="moon").stderr
    monkeypatch.setenv("SASHIKO_ENV", "moon")
    assert command_options(recipe="loans") == " --env local --recipe loans"
    refused = sashiko("run", "--env", "mars")
    assert "environment `mars`" in refused.stderr


@pytest.mark.parametrize("path", COMMANDS)
def test_options_mean_the_same_everywhere(path: str) -> None:
    """An environment is this machine where nothing needs an account, else `dev`."""
    options = {name: one for one in COMMANDS[path].params for name in one.opts}
    needs_account = path.startswith("env ") or path in {
        "model bedrock compare", "model bedrock delete", "model bedrock import", "model deliver",
        "model rollback", "runs follow",
    }  # fmt: skip
    if "--env" in options:
        assert options["--env"].default == ("dev" if needs_account else "local")
        assert options["--env"].envvar == "SASHIKO_ENV"
    if "--home" in options:
        assert options["--home"].envvar == "SASHIKO_HOME"
    if "--recipe" in options:
        assert options["--recipe"].envvar == "SASHIKO_RECIPE"


@pytest.mark.parametrize(
    "path", [path for path in COMMANDS if re.search("clean|delete|destroy", path)]
)
def test_what_deletes_asks_first(path: str) -> None:
    assert "--yes" in {name for one in COMMANDS[path].params for name in one.opts}


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_says_what_it_does_in_a_sentence(path: str) -> None:
    first = " ".join(COMMANDS[path].help.split("\n\n")[0].split())
    assert first.endswith(".")
    assert len(first.split()) <= 20, first


@pytest.mark.parametrize("path", [
    "contract check", "data check", "definition", "env doctor", "env drift",
    "env preflight", "model lineage", "monitor", "runs verify", "upgrade",
])  # fmt: skip
def test_a_check_says_which_status_means_problems(path: str) -> None:
    done = sashiko(*path.split(), "--help", COLUMNS="300")
    if not re.search("No such command|which is off", done.stderr):
        assert re.search(r"\b4 \w+", done.stdout)
