"""`sashiko select`, and `sashiko run --sweep`: both compare models on this machine, and choose."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from sashiko.commands.options import AsJson, Environment, Home, align
from sashiko.errors import BLOCKED, INTERRUPTED, InputError
from sashiko.pipeline.project import HOME, use_recipe
from sashiko.settings.environment import Settings, load_settings


def select(
    file: Annotated[Path, typer.Argument(help="A selection: a file in selections/.")],
    prices: Annotated[
        Path | None, typer.Option(help="A file of prices that override the known ones.")
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Send unrecorded rows to Bedrock, within the budget.")
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
    from sashiko.report.html import REPORT_FILE, write_page
    from sashiko_packs.selection.candidates import open_responder
    from sashiko_packs.selection.file import load_selection, recording_path
    from sashiko_packs.selection.record import write_selection
    from sashiko_packs.selection.report.page import (
        headline,
        next_commands,
        selection_view,
        terminal_rows,
    )
    from sashiko_packs.selection.run import chosen_recipe, run_selection

    settings = load_settings(env)
    _require_local(settings, option="select", noun="selection")
    selection = load_selection(file)
    parts = ["sashiko", "select", str(file)]
    parts += [] if prices is None else ["--prices", str(prices)]
    parts += [] if home == HOME else ["--home", str(home)]
    known, command = read_prices(settings, own=prices), shlex.join(parts)
    path = recording_path(selection, file)
    with (
        _exit_status("selection"),
        open_responder(selection, path, known, record=record, command=command) as responder,
    ):
        result = run_selection(
            selection, settings, known, responder=responder, home=home, command=command
        )
    folder = write_selection(result, home, chosen=chosen_recipe(result))
    page = write_page(selection_view(result), folder / REPORT_FILE)
    if json_:
        typer.echo(json.dumps(result.model_dump(mode="json"), indent=2))
    else:
        next_ = [f"  {command}" for command in next_commands(result)]
        typer.echo("\n".join([*align(terminal_rows(result)), "", headline(result), *next_]))
        typer.echo(f"report: {page}")
    raise typer.Exit(0 if result.chosen else BLOCKED)


def run_sweep(
    settings: Settings,
    strengths: str | None,
    *,
    recipe: str | None,
    from_: str | None,
    set_: list[str] | None,
    as_of: str | None,
    home: Path,
    command: str,
    json_: bool,
) -> None:
    """Sweeps, writes the page, prints the table and the choice, and exits.

    Raises:
        InputError: if an option is not valid for a sweep, or the sweep fails.
    """
    from sashiko.report.html import REPORT_FILE, write_page
    from sashiko_packs.selection.report import sweep_page as page
    from sashiko_packs.selection.sweep import DEFAULT_STRENGTHS, sweep, write_sweep

    _require_local(settings, option="--sweep", noun="sweep")
    if as_of is not None:
        raise InputError("--as-of: the local lake has one version of the data; leave it out")
    recipe_config = use_recipe(settings, recipe, overrides=tuple(set_ or ()))
    with _exit_status("sweep"):
        result = sweep(
            settings,
            recipe_config,
            strengths=DEFAULT_STRENGTHS if strengths is None else _numbers(strengths),
            home=home,
            from_step=from_,
            command=command,
        )
    report = write_page(page.sweep_view(result), write_sweep(result, home) / REPORT_FILE)
    if json_:
        typer.echo(json.dumps(result.model_dump(mode="json"), indent=2))
    else:
        rows = page.text_rows(page.strengths_table(result))
        lines = [*align(rows), "", page.headline(result), *page.choice_lines(result)]
        if result.command:
            lines.append(f"  {result.command}")
        typer.echo("\n".join([*lines, f"report: {report}"]))
    raise typer.Exit(0 if result.chosen else BLOCKED)


def _require_local(settings: Settings, *, option: str, noun: str) -> None:
    if settings.tier != "local":
        raise InputError(
            f"{option} --env {settings.environment}: a {noun} runs only on this machine (--env "
            "local): it joins scores with facets, which in an account only the bias evaluator's "
            "jobs may read"
        )


@contextmanager
def _exit_status(noun: str) -> Iterator[None]:
    """Exits with the status of an interruption, or of the run that did not get to its end."""
    from sashiko_packs.selection.rows import IncompleteRunError

    try:
        yield
    except KeyboardInterrupt:
        print("interrupted; the same command continues where it stopped", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except IncompleteRunError as ended:
        run = ended.record
        print(f"no {noun}: {run.status}: run {run.id}: {run.reason}", file=sys.stderr)
        raise typer.Exit(run.exit_code) from None


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(
            f"--strengths {text}: expected numbers with commas between, such as 0,1,1.5"
        ) from error
