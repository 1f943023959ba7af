"""`sashiko select`: candidates of every kind on the same test rows, and the cheapest good one."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from sashiko.base.exit_status import BLOCKED, INTERRUPTED
from sashiko.commands.columns import align
from sashiko.commands.options import AsJson, Environment, Home
from sashiko.errors import InputError
from sashiko.pipeline.project import HOME
from sashiko.settings.environment import load_settings


def select(
    file: Annotated[Path, typer.Argument(help="A selection: a file in selections/.")],
    prices: Annotated[
        Path | None, typer.Option("--prices", help="A file of prices, laid over the known ones.")
    ] = None,
    record: Annotated[
        bool,
        typer.Option("--record", help="Send what is not recorded to Bedrock, within the budget."),
    ] = False,
    env: Environment = "local",
    home: Home = HOME,
    json_: AsJson = False,
) -> None:
    """Compare candidates on the same test rows, and choose the cheapest that is good enough.

    A candidate is the linear baseline, a recipe, a registered version, or a model of Amazon
    Bedrock. A recipe's model is trained unless an earlier run has it. Answers of Bedrock are
    replayed from a file; with --record, those that it lacks are asked for with your credentials.
    Exits with 3 if no candidate is chosen.
    """
    from sashiko.account.prices import read_prices
    from sashiko_packs.selection.bedrock import open_responder
    from sashiko_packs.selection.file import load_selection, recording_path
    from sashiko_packs.selection.page import headline, terminal_rows, write_selection_page
    from sashiko_packs.selection.record import write_selection
    from sashiko_packs.selection.rows import IncompleteRunError
    from sashiko_packs.selection.run import chosen_recipe, run_selection

    settings = load_settings(env)
    if settings.tier != "local":
        raise InputError(
            f"select --env {env}: a selection runs only on this machine (--env local): it joins "
            "scores with facets, which in an account only the bias evaluator's jobs may read"
        )
    selection = load_selection(file)
    known, command = read_prices(settings, own=prices), _command(file, prices, home)
    path = recording_path(selection, file)
    try:
        with open_responder(selection, path, known, record=record, command=command) as responder:
            result = run_selection(
                selection, settings, known, responder=responder, home=home, command=command
            )
    except KeyboardInterrupt:
        print("interrupted; the same command takes up where it left off", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except IncompleteRunError as ended:
        run = ended.record
        print(f"no selection: {run.status}: run {run.id}: {run.reason}", file=sys.stderr)
        raise typer.Exit(run.exit_code) from None
    folder = write_selection(result, home, chosen=chosen_recipe(result))
    page = write_selection_page(result, folder)
    if json_:
        typer.echo(json.dumps(result.model_dump(mode="json"), indent=2))
    else:
        typer.echo("\n".join([*align(terminal_rows(result)), "", headline(result)]))
        typer.echo(f"report: {page}")
    raise typer.Exit(0 if result.chosen else BLOCKED)


def _command(file: Path, prices: Path | None, home: Path) -> str:
    """Returns the command line that repeats the selection."""
    parts = ["sashiko", "select", str(file)]
    parts += [] if prices is None else ["--prices", str(prices)]
    parts += [] if home == HOME else ["--home", str(home)]
    return shlex.join(parts)
