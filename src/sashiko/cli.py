"""The `sashiko` command: results on stdout, progress and errors on stderr."""

import sys
from importlib.metadata import version as installed_version
from typing import Annotated

import typer

from sashiko.base.deprecation import show_deprecations
from sashiko.commands.on_demand import OnDemand
from sashiko.errors import FAILED, InputError, disk_reason, is_full

app = typer.Typer(
    cls=OnDemand,
    help="Take a governed table to a fine-tuned, approved and served text classifier.",
    epilog="SASHIKO_ENV, SASHIKO_RECIPE and SASHIKO_HOME give --env, --recipe and --home.\n\n"
    "Exit status: 0 done (of a run: registered); 1 an error; 2 wrong usage; 3 a gate blocked the "
    "model; 4 a check found problems; 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"sashiko {installed_version('sashiko')}")
        raise typer.Exit


@app.callback()
def sashiko(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Takes the options of the root command; `app` has the help that is shown."""


def main() -> None:
    """Runs the command line; bad input ends with one message and status 1."""
    show_deprecations()
    try:
        app(prog_name="sashiko")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(FAILED)
    except OSError as error:
        if not is_full(error):
            raise
        print(
            f"error: cannot write {error.filename or 'a file'}: {disk_reason(error)}",
            file=sys.stderr,
        )
        sys.exit(FAILED)
