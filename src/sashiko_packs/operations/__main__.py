"""Empties an environment for `make destroy`: `env destroy-data`, whether the pack is on or not."""

import sys

import typer

from sashiko.errors import InputError
from sashiko_packs.operations.commands.account import destroy_data

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(destroy_data)

if __name__ == "__main__":
    try:
        app()
    except InputError as error:
        sys.exit(f"error: {error}")
