"""The group of all commands: a command's module is imported when the command runs."""

import ast
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter

# Command -> module in this package with a function of that name, or with an `app`.
_MODULES: Mapping[str, str] = MappingProxyType(
    {
        "new": "new",
        "upgrade": "upgrade",
        "run": "run",
        "select": "select",
        "predict": "predict",
        "bias": "bias",
        "definition": "definition",
        "delivery": "delivery",
        "cost": "cost",
        "doctor": "doctor",
        "audit": "audit",
        "preflight": "preflight",
        "empty": "empty",
        "images": "images",
        "permissions": "permissions",
        "stage": "stage",
        "clean": "run",
        "runs": "runs",
        "data": "data",
        "contract": "contract",
        "model": "model",
        "monitor": "monitor",
    }
)
_APP = "app"


class OnDemand(TyperGroup):
    """Imports only the module of the command that runs; listing commands imports none."""

    def __init__(self, **options: Any) -> None:
        """Registers the commands by name."""
        super().__init__(**options | {"commands": [TyperCommand(name) for name in _MODULES]})

    def get_command(self, ctx: "Context", cmd_name: str) -> "Command | None":  # noqa: ARG002  # click's
        """Imports a command."""
        if cmd_name not in _MODULES:
            return None
        module = import_module(f"sashiko.commands.{_MODULES[cmd_name]}")
        wrapper = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        if hasattr(module, _APP):
            wrapper.add_typer(getattr(module, _APP), name=cmd_name)
            group = get_command(wrapper)
            return group.commands[cmd_name] if isinstance(group, TyperGroup) else None
        wrapper.command(cmd_name)(getattr(module, cmd_name))
        return get_command(wrapper)

    def format_help(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Writes the list of commands with the help from their sources."""
        listing = TyperGroup(
            name=self.name,
            commands=[TyperCommand(name, help=_help(name)) for name in _MODULES],
            params=self.params,
            help=self.help,
            rich_markup_mode=self.rich_markup_mode,
        )
        listing.format_help(ctx, formatter)


def _help(command: str) -> str:
    """Reads a command's help without running its module: a docstring, or `help` of the app."""
    source = Path(__file__).with_name(f"{_MODULES[command]}.py").read_bytes()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == command:
            return ast.get_docstring(node) or ""
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == _APP:
            options = node.value.keywords if isinstance(node.value, ast.Call) else []
            values = {option.arg: option.value for option in options}
            return str(ast.literal_eval(values["help"]))
    return ""
