"""The `sashiko` command: results on stdout, progress and errors on stderr.

Exit status: 0 done (for `run`: registered), 1 error, 2 wrong usage, 3 blocked by a gate,
4 a check failed (audit, cost, doctor, preflight), 130 interrupted.
"""

import sys

import typer

from sashiko.base.deprecation import show_deprecations
from sashiko.commands.on_demand import OnDemand
from sashiko.errors import FAILED, InputError, disk_reason, is_full

app = typer.Typer(
    cls=OnDemand,
    help="A governed path from raw data to a fine-tuned, served model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def sashiko() -> None:
    """The root command has no options."""


def main() -> None:
    """Runs the command line; bad input ends with one message and status 1."""
    show_deprecations()
    try:
        app()
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
