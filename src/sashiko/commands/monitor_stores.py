"""`sashiko monitor audit` and `forget`: rows to label, labels, and what is to be deleted."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sashiko.commands import cloud_monitor
from sashiko.commands.monitor_output import show_draw
from sashiko.commands.monitored import (
    Length,
    Monitored,
    Now,
    Number,
    add_label_file,
    open_monitored,
    window_of,
)
from sashiko.commands.options import Environment, Home, RecipeName
from sashiko.errors import InputError
from sashiko.pipeline.project import HOME, MONITOR
from sashiko.settings.environment import load_settings

if TYPE_CHECKING:
    from sashiko.monitoring.deletion import DeletedRows


def audit(
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="Draw this many rows to label.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Read the labels of a filled sheet back.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="With --rows: the sheet, a CSV; default: audit-<end>.csv."),
    ] = None,
    window: Length = "7d",
    now: Now = None,
    version: Number = None,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
) -> None:
    """Draw rows at random for a person to label, or read their labels back.

    Rows come from the answers since the last draw, and for the first draw from the window. Only
    labels of drawn rows judge the model; each row is in one draw at most.
    """
    if (rows is None) == (labels is None):
        raise InputError("give either --rows, to draw rows to label, or --labels, to read them")
    settings = load_settings(env)
    if settings.tier != "local":
        period = window_of(window, now)
        cloud_monitor.audit(
            settings, recipe, rows=rows, labels=labels, out=out, window=period,
            number=version,
        )  # fmt: skip
        return
    monitored = open_monitored(window, now, version, place=(env, recipe, home))
    if labels is not None:
        add_label_file(monitored, labels)
    if rows is not None:
        _draw(monitored, rows, out)


def forget(
    keys: Annotated[list[str], typer.Argument(help="Primary keys of the rows.")],
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
) -> None:
    """Delete what monitoring keeps of keys: answers, labels, facets, and their names in draws.

    A window that is read again brings none of them back. Captured requests are not touched:
    `sashiko clean` deletes them, in an account their retention does.
    """
    settings = load_settings(env)
    if settings.tier == "local":
        deleted = _forget_here(keys, place=(env, recipe, home))
    else:
        deleted = cloud_monitor.forget(settings, recipe, keys=keys)
    typer.echo(
        f"deleted of {len(set(keys)):,} keys: {deleted.answers:,} answers, {deleted.labels:,} "
        f"labels, {deleted.facets:,} facets, {deleted.draws:,} names in draws"
    )


def _forget_here(keys: Sequence[str], *, place: tuple[str, str | None, Path]) -> "DeletedRows":
    from sashiko.monitoring.deletion import delete_rows
    from sashiko.pipeline.runner.lock import run_lock

    monitored = open_monitored("1d", None, None, place=place)
    places = monitored.folder.places
    names = ("ledger", "labels", "facets", "draws")
    folders = {name: monitored.folder.path(getattr(places, name)) for name in names}
    now = monitored.window.end
    # Local captures have no retention, so the ledger never forgets what is to stay out.
    retention = now - dt.datetime.fromtimestamp(0, dt.UTC)
    with run_lock(monitored.folder.home / MONITOR, "forget"):
        return delete_rows(keys, **folders, now=now, retention=retention)


def _draw(monitored: Monitored, rows: int, out: Path | None) -> None:
    from sashiko.monitoring.draws import draw_period

    folder = monitored.folder
    draw = draw_period(
        folder.path(folder.places.draws),
        folder.path(folder.places.ledger),
        version=monitored.version.version,
        window=monitored.window,
        rows=rows,
    )
    show_draw(draw, out, contract=monitored.contract, options=monitored.options)
