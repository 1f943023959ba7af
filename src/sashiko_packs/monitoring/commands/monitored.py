"""What the commands of `sashiko monitor` share on this machine."""

import datetime as dt
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from sashiko.commands.times import parse_duration, parse_time
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.pipeline.project import MONITOR, command_options, contract_file, use_recipe
from sashiko.registry.mlflow import MlflowRegistry
from sashiko.registry.versions import ModelVersion
from sashiko.settings.environment import load_settings
from sashiko_packs.monitoring.capture.record import Window
from sashiko_packs.monitoring.checks import OTHER_VERSION
from sashiko_packs.monitoring.commands.output import show_labels
from sashiko_packs.monitoring.local_run import MonitorFolder
from sashiko_packs.monitoring.result import MonitorResult, unjudged_versions

DEFAULT_LENGTH: Final = "7d"
Length = Annotated[
    str, typer.Option("--window", help="The length of the window that ends now, such as 7d or 24h.")
]
Now = Annotated[
    str | None,
    typer.Option(
        "--now",
        help="Act as at this time, such as 2026-03-09, for replayed requests; default: the clock.",
    ),
]
Number = Annotated[
    int | None,
    typer.Option("--version", min=1, help="Whose answers are judged; default: the champion."),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="First add the labels of this CSV or Parquet file with the contract's primary key, "
        "label and, if known, facets.",
    ),
]


@dataclass(frozen=True)
class Monitored:
    """What a command works on."""

    registry: MlflowRegistry
    version: ModelVersion
    folder: MonitorFolder
    contract: Contract
    window: Window  # its end is the time to act as
    options: str  # of a printed command, to select the same recipe and home
    window_options: str  # likewise, and the same version and window


def open_monitored(
    window: str,
    now: str | None,
    number: int | None,
    *,
    place: tuple[str, str | None, Path],
) -> Monitored:
    """Opens the recipe's monitoring on this machine, with its stores.

    Raises:
        InputError: if an option is not valid, or no version is approved.
    """
    from sashiko.contract.load import load_contract
    from sashiko.pipeline.champion import open_local
    from sashiko_packs.monitoring.labels import create_stores

    env, recipe, home = place
    settings = load_settings(env)
    recipe_config = use_recipe(settings, recipe)
    options = command_options(recipe=recipe or settings.recipe, home=home)
    registry = open_local(home, recipe=recipe or settings.recipe)
    group = recipe_config.model_package_group
    version = registry.champion(group) if number is None else registry.version(group, number)
    if version is None:
        raise InputError(
            f"{group} has no champion yet: sashiko model approve VERSION{options} --reason ..."
        )
    folder = MonitorFolder(home, settings, recipe_config)
    contract = load_contract(contract_file(recipe_config))
    places = folder.places
    create_stores(
        contract,
        ledger=folder.path(places.ledger),
        labels=folder.path(places.labels),
        draws=folder.path(places.draws),
        facets=folder.path(places.facets),
        windows=folder.path(places.windows),
    )
    again = options + window_options(window, now, number)
    return Monitored(registry, version, folder, contract, window_of(window, now), options, again)


def window_options(length: str, now: str | None, number: int | None) -> str:
    """Formats the options that select the same version and window in a printed command."""
    parts = [] if number is None else ["--version", str(number)]
    parts += [] if length == DEFAULT_LENGTH else ["--window", length]
    parts += [] if now is None else ["--now", now]
    return f" {shlex.join(parts)}" if parts else ""


def version_commands(
    result: MonitorResult, *, history: Sequence[MonitorResult], options: str
) -> tuple[str, ...]:
    """Returns the commands that judge the other versions of a window, and then it once more.

    Args:
        result: of the window; it has no command if it names no answers that were not judged.
        history: all windows that have been judged.
        options: that select recipe and home.
    """
    if not any(
        check.effect == OTHER_VERSION and check.outcome == "not judged" for check in result.checks
    ):
        return ()
    hours = (result.end - result.start) // dt.timedelta(hours=1)
    length = f"{hours}h" if hours % 24 else f"{hours // 24}d"
    now = f"{result.end.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S}"
    others = unjudged_versions(result.capture, version=result.version, history=history)
    return tuple(
        f"sashiko monitor{options}{window_options(length, now, version)}"
        for version in (*others, result.version)
    )


def window_of(length: str, now: str | None) -> Window:
    """Returns the window that ends now."""
    end = dt.datetime.now(dt.UTC) if now is None else parse_time(now, option="--now")
    end = end.replace(microsecond=0)
    return Window(end - parse_duration(length, option="--window"), end)


def add_label_file(monitored: Monitored, file: Path, *, corrected_by: str | None = None) -> None:
    """Adds the labels of a file to the stores, and says what it brought."""
    from sashiko.pipeline.runner.lock import run_lock
    from sashiko_packs.monitoring.labels import add_labels

    folder, places = monitored.folder, monitored.folder.places
    with run_lock(folder.home / MONITOR, "labels"):  # of two at once one would be lost
        added = add_labels(
            file,
            monitored.contract,
            labels=folder.path(places.labels),
            facets=folder.path(places.facets),
            now=monitored.window.end,
            corrected_by=corrected_by,
        )
    show_labels(file, added)
