"""The group of all commands: a command's module is imported when the command runs."""

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from sashiko.packs import pack_commands

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter

# Command of the core -> module in this package with a function of that name, or with an `app`.
_MODULES = (
    ("new", "new"), ("upgrade", "new"), ("run", "run"), ("predict", "predict"),
    ("bias", "bias_command"), ("definition", "definition"), ("doctor", "doctor"),
    ("preflight", "doctor"), ("permissions", "permissions"), ("stage", "definition"),
    ("clean", "run"), ("runs", "runs"), ("data", "data"), ("contract", "contract"),
    ("model", "model_command"),
)  # fmt: skip
_APP = "app"


class OnDemand(TyperGroup):
    """Imports only the module of the command that runs; listing commands imports none."""

    def __init__(self, **options: Any) -> None:
        """Registers the core's commands, then those of the packs that are on, by name."""
        self._objects = {
            name: f"sashiko.commands.{module}:{name}" for name, module in _MODULES
        } | pack_commands("")
        super().__init__(**options | {"commands": [TyperCommand(name) for name in self._objects]})

    def get_command(self, ctx: "Context", cmd_name: str) -> "Command | None":  # noqa: ARG002  # click's
        """Imports a command."""
        if cmd_name not in self._objects:
            return None
        module, _, attribute = self._objects[cmd_name].partition(":")
        loaded = import_module(module)
        wrapper = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        if hasattr(loaded, _APP):
            wrapper.add_typer(getattr(loaded, _APP), name=cmd_name)
            group = get_command(wrapper)
            return group.commands[cmd_name] if isinstance(group, TyperGroup) else None
        wrapper.command(cmd_name)(getattr(loaded, attribute))
        return get_command(wrapper)

    def format_help(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Writes the list of commands with the help from their sources."""
        listing = TyperGroup(
            name=self.name,
            commands=[
                TyperCommand(name, help=_help(*target.split(":")))
                for name, target in self._objects.items()
            ],
            params=self.params,
            help=self.help,
            rich_markup_mode=self.rich_markup_mode,
        )
        listing.format_help(ctx, formatter)


def _help(module: str, attribute: str) -> str:
    """Reads a command's help without running its module: a docstring, or `help` of the app."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return ""
    for node in ast.parse(Path(spec.origin).read_bytes()).body:
        if isinstance(node, ast.FunctionDef) and node.name == attribute:
            return ast.get_docstring(node) or ""
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == _APP:
            options = node.value.keywords if isinstance(node.value, ast.Call) else []
            values = {option.arg: option.value for option in options}
            return str(ast.literal_eval(values["help"]))
    return ""
