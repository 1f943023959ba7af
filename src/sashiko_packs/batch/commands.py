"""`sashiko batch`: scores rows of the lake by an approved version, and lists what was scored."""

import datetime as dt
import json
import shlex
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from sashiko.commands.options import (
    AsJson,
    Environment,
    Home,
    RecipeName,
    align,
    parse_duration,
    parse_time,
)
from sashiko.errors import InputError
from sashiko.pipeline.project import HOME, command_options, use_recipe
from sashiko.settings.environment import load_settings
from sashiko_packs.batch.local_run import BatchFolder, Window, run_batch
from sashiko_packs.batch.places import time_text
from sashiko_packs.batch.settings import BatchSection

_MOST_WINDOWS = 1_000
app = typer.Typer(
    no_args_is_help=True, help="Score rows of the lake by the approved version, and list batches."
)


@app.command()
def run(
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Score the rows from this time on, such as 2026-03-02."),
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="Until this time, which is not part of it.")
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(help="A backfill: a batch of each 7d, 1d or 12h from --from to --to."),
    ] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="Score by this version; default: the champion.")
    ] = None,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
    json_: AsJson = False,
) -> None:
    """Score rows of the lake; publish the answers as a batch of the table of answers.

    Without a window all rows are scored. A batch of the same rows and version is published once: a
    second run says so, and scores nothing.
    """
    settings = load_settings(env)
    windows = list(windows_of(from_, to, every))
    chosen = use_recipe(settings, recipe)
    if windows != [None] and chosen.section(BatchSection).window is None:
        raise InputError(
            f"recipe {chosen.name}: a window needs the column of the rows' time: set `batch: "
            "{window: {column: received_at, days: 7}}` in the recipe"
        )
    if settings.tier != "local":
        from sashiko_packs.batch.account import start_batches

        for started in start_batches(settings, chosen, windows=windows, version=version):
            typer.echo(started)
        return
    from sashiko.pipeline.local_models import open_local

    options = command_options(recipe=recipe or settings.recipe, home=home)
    registry = open_local(home, recipe=recipe or settings.recipe)
    group = chosen.model_package_group
    model = registry.champion(group) if version is None else registry.version(group, version)
    if model is None:
        raise InputError(
            f"{group} has no champion: sashiko model approve VERSION{options} --reason ..."
        )
    folder, command = BatchFolder(home, settings, chosen), shlex.join(["sashiko", *sys.argv[1:]])
    for window in windows:
        record, publication = run_batch(folder, model, window=window, command=command)
        if publication is None:
            raise typer.Exit(record.exit_code)
        again = "" if publication.run == record.id else f" (already, by run {publication.run})"
        line = json.dumps(publication.model_dump(mode="json"))
        typer.echo(line if json_ else f"{publication.describe()}{again}")


def windows_of(from_: str | None, to: str | None, every: str | None) -> Iterator[Window | None]:
    """Yields the windows of the options: None for all rows, or those of a backfill in their order.

    Raises:
        InputError: if an option is missing or not valid.
    """
    if from_ is None or to is None:
        if from_ or to or every:
            raise InputError("a window has a begin and an end: name --from and --to")
        yield None
        return
    start, end = parse_time(from_, option="--from"), parse_time(to, option="--to")
    if start >= end:
        raise InputError(f"--from {from_} is not before --to {to}")
    step = parse_duration(every, option="--every") if every else end - start
    if step <= dt.timedelta():
        raise InputError(f"--every {every}: expected more than 0 days or hours")
    if (end - start) / step > _MOST_WINDOWS:
        raise InputError(f"--every {every}: more than {_MOST_WINDOWS:,} batches; take longer ones")
    while start < end:
        yield start, min(start + step, end)
        start += step


@app.command("list")
def list_(
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
    json_: AsJson = False,
) -> None:
    """List the published batches: rows, version, and what was refused."""
    settings = load_settings(env)
    chosen = use_recipe(settings, recipe)
    if settings.tier == "local":
        publications = BatchFolder(home, settings, chosen).publications()
    else:
        from sashiko_packs.batch.account import publications_of

        publications = publications_of(settings, chosen)
    if json_:
        typer.echo(json.dumps([item.model_dump(mode="json") for item in publications], indent=2))
        return
    rows = [("time", "rows", "refused", "no label", "version", "window", "batch")]
    for item in publications:
        window = f"{time_text(item.start)}-{time_text(item.end)}" if item.start else "all"
        rows.append(
            (
                time_text(item.time), f"{item.rows:,}", f"{item.refused:,}", f"{item.abstained:,}",
                str(item.version), window, item.batch,
            )
        )  # fmt: skip
    typer.echo("\n".join(align(rows)))
