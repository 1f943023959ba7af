"""`sashiko monitor`: judge a window of captured requests; `monitor audit`: label rows of it."""

import datetime as dt
import getpass
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from sashiko.commands.options import (
    AsJson,
    Environment,
    Home,
    RecipeName,
    parse_duration,
    parse_time,
)
from sashiko.contract.model import Contract
from sashiko.errors import CHECK_FAILED, InputError
from sashiko.pipeline.project import (
    CAPTURES,
    HOME,
    choose_recipe,
    command_options,
    contract_file,
    use_recipe,
)
from sashiko.registry.mlflow import MlflowRegistry
from sashiko.registry.versions import ModelVersion
from sashiko.settings.environment import load_settings
from sashiko_packs.monitoring.capture.record import Window
from sashiko_packs.monitoring.checks import OTHER_VERSION
from sashiko_packs.monitoring.commands import cloud
from sashiko_packs.monitoring.commands.output import sheet_file, show_draw, show_labels, show_window
from sashiko_packs.monitoring.local_run import MonitorFolder
from sashiko_packs.monitoring.places import FOLDER
from sashiko_packs.monitoring.result import MonitorResult, unjudged_versions
from sashiko_packs.monitoring.retraining import Retraining, decide_retraining
from sashiko_packs.monitoring.settings import MonitorSection

if TYPE_CHECKING:
    from sashiko_packs.monitoring.deletion import DeletedRows


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
    from sashiko.pipeline.local_models import open_local
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
    create_stores(
        contract, **{name: folder.path(uri) for name, uri in folder.places.stores.items()}
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
    from sashiko.pipeline.runner.run_lock import run_lock
    from sashiko_packs.monitoring.labels import add_labels

    folder, places = monitored.folder, monitored.folder.places
    with run_lock(folder.home / FOLDER, "labels"):  # of two at once one would be lost
        added = add_labels(
            file,
            monitored.contract,
            labels=folder.path(places.labels),
            facets=folder.path(places.facets),
            now=monitored.window.end,
            corrected_by=corrected_by,
        )
    show_labels(file, added)


app = typer.Typer(
    help="Judge a window of captured requests: inputs, drift, audited accuracy, bias.\n\n"
    "Exit status: 0 no alarm, 4 an alarm, 1 error, 130 interrupted."
)


@app.callback(invoke_without_command=True)
def monitor(
    context: typer.Context,
    window: Length = DEFAULT_LENGTH,
    now: Now = None,
    labels: Labels = None,
    version: Number = None,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
    json_: AsJson = False,
) -> None:
    """Judges a window; `app` has the help that is shown."""
    if context.invoked_subcommand is not None:
        return
    from sashiko_packs.monitoring.local_run import run_monitor

    settings = load_settings(env)
    if settings.tier != "local":
        given = [name for name in ("window", "now", "version") if _is_given(context, name)]
        if given:
            raise InputError(
                f"--{given[0]}: an account's windows are started by its schedule; leave it out, "
                "and the last one is shown"
            )
        cloud.show(settings, recipe, home=home, labels=labels, json_=json_)
        return
    monitored = open_monitored(window, now, version, place=(env, recipe, home))
    folder = monitored.folder
    if labels is not None:
        add_label_file(monitored, labels)
    command = shlex.join(["sashiko", *sys.argv[1:]])
    record, result = run_monitor(
        folder, monitored.version, window=monitored.window, command=command
    )
    if result is None:
        raise typer.Exit(record.exit_code)
    retraining = _decide_retraining(monitored, result)
    results = folder.results()
    show_window(
        results,
        result,
        retraining,
        page=folder.report,
        options=monitored.options,
        again=monitored.window_options,
        others=partial(version_commands, history=results, options=monitored.options),
        json_=json_,
    )
    if result.outcome == "alarm":
        raise typer.Exit(CHECK_FAILED)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _decide_retraining(monitored: Monitored, result: MonitorResult) -> Retraining:
    from sashiko.pipeline.candidates import local_candidates

    folder, version = monitored.folder, monitored.version
    candidates = local_candidates(
        folder.home,
        folder.settings,
        folder.recipe,
        monitored.registry.versions(version.group),
    )
    section = folder.recipe.section(MonitorSection)
    return decide_retraining(section, result, candidates, now=dt.datetime.now(dt.UTC))


@app.command()
def audit(
    rows: Annotated[
        int | None, typer.Option("--rows", min=1, help="Draw this many rows to label.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="Read the labels of a filled sheet back.")
    ] = None,
    correct: Annotated[
        bool,
        typer.Option(
            "--correct",
            help="With --labels: labels that differ from those of the store replace them. It keeps "
            "both, with the time and your name.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="With --rows: the sheet, a CSV; default: below .sashiko/."),
    ] = None,
    window: Length = DEFAULT_LENGTH,
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
    if correct and labels is None:
        raise InputError("--correct: give --labels with the right labels of the rows")
    settings = load_settings(env)
    if settings.tier != "local":
        period = window_of(window, now)
        cloud.audit(
            settings, recipe, rows=rows, labels=labels, correct=correct, out=out, window=period,
            number=version, home=home,
        )  # fmt: skip
        return
    monitored = open_monitored(window, now, version, place=(env, recipe, home))
    if labels is not None:
        add_label_file(monitored, labels, corrected_by=getpass.getuser() if correct else None)
    if rows is not None:
        _draw(monitored, rows, out)


@app.command()
def forget(
    keys: Annotated[list[str], typer.Argument(help="Primary keys of the rows.")],
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
) -> None:
    """Delete what monitoring keeps of keys: answers, labels, facets, and their names in draws.

    A window that is read again brings none of them back. On this machine the captured requests
    with a row of these keys are deleted as well, whole; in an account their retention does so.
    """
    settings = load_settings(env)
    requests = ""
    if settings.tier == "local":
        deleted, count = _forget_here(keys, place=(env, recipe, home))
        requests = f", {count:,} captured requests"
    else:
        deleted = cloud.forget(settings, recipe, keys=keys)
    typer.echo(
        f"deleted of {len(set(keys)):,} keys: {deleted.answers:,} answers, {deleted.labels:,} "
        f"labels, {deleted.facets:,} facets, {deleted.draws:,} names in draws{requests}"
    )


@app.command()
def case(
    key: Annotated[str, typer.Argument(help="The primary key of the row.")],
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
) -> None:
    """Show the captured row of a key, with the answer, such as one that is to be labelled.

    On this machine alone: in an account no person reads captured requests.
    """
    from sashiko_packs.monitoring.capture.requests import find_requests

    settings = load_settings(env)
    if settings.tier != "local":
        raise InputError(
            f"--env {env}: in an account jobs as `monitor` alone read captured requests: look the "
            "case up by its key in the system that it comes from"
        )
    captured = home / CAPTURES / choose_recipe(settings, recipe).model_package_group
    requests = list(find_requests(captured, {key}))
    if not requests:
        raise InputError(f"{captured}: no captured request has a row with the key {key}")
    for request in requests:
        place = request.ids.index(key)
        row = {"time": request.time, "input": request.inputs[place]}
        answers = json.loads(request.answer) if request.answer else []
        typer.echo(json.dumps(row | ({"answer": answers[place]} if answers else {}), indent=2))


def _forget_here(
    keys: Sequence[str], *, place: tuple[str, str | None, Path]
) -> tuple["DeletedRows", int]:
    """Deletes keys from this machine's stores and captures; also returns how many requests."""
    from sashiko.pipeline.runner.run_lock import run_lock
    from sashiko_packs.monitoring.capture.requests import delete_requests
    from sashiko_packs.monitoring.deletion import delete_rows

    monitored = open_monitored("1d", None, None, place=place)
    places = monitored.folder.places
    names = ("ledger", "labels", "facets", "draws")
    folders = {name: monitored.folder.path(getattr(places, name)) for name in names}
    now = monitored.window.end
    # Local captures have no retention, so the ledger never forgets what is to stay out.
    retention = now - dt.datetime.fromtimestamp(0, dt.UTC)
    captured = monitored.folder.home / CAPTURES / monitored.version.group
    with run_lock(monitored.folder.home / FOLDER, "forget"):
        requests = delete_requests(captured, set(keys))
        return delete_rows(keys, **folders, now=now, retention=retention), requests


def _draw(monitored: Monitored, rows: int, out: Path | None) -> None:
    from sashiko_packs.monitoring.draws import draw_period

    folder = monitored.folder
    draw = draw_period(
        folder.path(folder.places.draws),
        folder.path(folder.places.ledger),
        version=monitored.version.version,
        window=monitored.window,
        rows=rows,
    )
    show_draw(
        draw,
        out or sheet_file(folder.home, draw),
        contract=monitored.contract,
        options=monitored.window_options,
    )
