"""Groups of commands: the module of a command is imported when the command runs."""

import ast
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from sashiko.errors import InputError
from sashiko.packs import enabled_packs, load_object, other_packs, pack_commands

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter

# Groups of the help, in its order -> the core's commands; packs say where theirs are.
_PANELS: Mapping[str, str] = {
    "Start": "new upgrade contract data",
    "Run": "run runs definition",
    "Models": "model predict",
    "Monitoring": "",
    "Account": "env",
}
# Command of the core -> its object in this package: a function, or the Typer app of a group.
_OBJECTS: Mapping[str, str] = {
    "new": "new:new",
    "upgrade": "new:upgrade",
    "contract": "contract:app",
    "data": "data:app",
    "run": "run:run",
    "runs": "runs:app",
    "definition": "definition:definition",
    "model": "model_command:app",
    "predict": "model_command:predict",
    "env": "doctor:app",
    "env doctor": "doctor:doctor",
    "env permissions": "permissions:permissions",
    "env preflight": "doctor:preflight",
    "env stage": "definition:stage",
}
_HIDDEN: Final = "env preflight"
# Old name of a command of the core -> its name.
_RENAMED: Mapping[str, str] = {"clean": "runs clean"} | {
    path.removeprefix("env "): path for path in _OBJECTS if path.startswith("env ")
}
_OLD_NAMES_GO_IN: Final = "0.3"


def renamed_commands() -> dict[str, str]:
    """Returns the old names of commands -> their names: the core's, and those of packs.

    An old name may end with options: it is the one of a command line that has them.
    """
    old_names = dict(_RENAMED)
    for pack in enabled_packs():
        old_names |= pack.renamed
    return old_names


def use_new_name(words: list[str]) -> list[str]:
    """Returns a command line with the command's name; says on stderr if it had the old one."""
    for old, new in renamed_commands().items():
        path, dashes, options = old.partition(" --")
        names, given = path.split(), f"{dashes}{options}".split()
        parts = (word.split("=", 1) if word[:2] == "--" else [word] for word in words[len(names) :])
        rest = [*chain.from_iterable(parts)]
        if words[: len(names)] == names and {*given} <= {*rest}:
            note = f"sashiko {old} is now sashiko {new}; the old name goes in {_OLD_NAMES_GO_IN}"
            print(note, file=sys.stderr)
            return [*new.split(), *(word for word in rest if word not in given)]
    return words


class OnDemand(TyperGroup):
    """Imports only the module of the command that runs; listing commands imports none."""

    path: ClassVar[str] = ""  # of the group, below `sashiko`

    def __init__(self, **options: Any) -> None:
        """Adds the core's commands to those of the group's app, then those of the packs."""
        paths = {
            path.rpartition(" "): f"sashiko.commands.{name}" for path, name in _OBJECTS.items()
        }
        own = {name: target for (parent, _, name), target in paths.items() if parent == self.path}
        self._objects = own | pack_commands(self.path)
        super().__init__(**options)
        self.commands.update({name: TyperCommand(name) for name in self._objects})

    def parse_args(self, ctx: "Context", args: list[str]) -> list[str]:
        """Takes the old name of a command too."""
        known = self.path or ctx.resilient_parsing
        return super().parse_args(ctx, args if known else use_new_name(args))

    def get_command(self, ctx: "Context", cmd_name: str) -> "Command | None":
        """Imports a command; an error names the pack of a command that is turned off."""
        path = f"{self.path} {cmd_name}".strip()
        if cmd_name not in self._objects:
            for pack in () if ctx.resilient_parsing else other_packs(enabled_packs()):
                if path in pack.commands:
                    raise InputError(
                        f"`sashiko {path}` belongs to the pack `{pack.name}`, which is off: add it "
                        "to `packs` in config/base.yaml"
                    )
            return super().get_command(ctx, cmd_name)
        loaded = load_object(self._objects[cmd_name])
        wrapper = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        if isinstance(loaded, typer.Typer):
            group = type("Group", (OnDemand,), {"path": path})
            wrapper.add_typer(loaded, name=cmd_name, cls=group)
            parent = get_command(wrapper)
            return parent.commands[cmd_name] if isinstance(parent, TyperGroup) else None
        wrapper.command(cmd_name, hidden=path == _HIDDEN)(loaded)
        return get_command(wrapper)

    def format_help(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Lists the commands in their groups, with the help from their sources."""
        panels = {name: panel for panel, names in _PANELS.items() for name in names.split()}
        for pack in enabled_packs():
            panels |= pack.panels
        for name, target in self._objects.items():
            panel = None if self.path else panels.get(name)
            hidden = f"{self.path} {name}" == _HIDDEN
            help_ = _help(*target.split(":"))
            command = TyperCommand(name, help=help_, hidden=hidden, rich_help_panel=panel)
            self.commands[name] = command
        if not self.path:
            order = [*_PANELS, *panels.values(), None]
            commands = sorted(
                self.commands.items(), key=lambda one: order.index(panels.get(one[0]))
            )
            self.commands = dict(commands)
        self._objects = {}  # nothing is imported for a list
        super().format_help(ctx, formatter)


def _help(module: str, attribute: str) -> str:
    """Reads a command's help without running its module: a docstring, or `help` of the app."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return ""
    for node in ast.parse(Path(spec.origin).read_bytes()).body:
        if isinstance(node, ast.FunctionDef) and node.name == attribute:
            return ast.get_docstring(node) or ""
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == attribute:
            options = node.value.keywords if isinstance(node.value, ast.Call) else []
            values = {option.arg: option.value for option in options}
            return str(ast.literal_eval(values["help"]))
    return ""
