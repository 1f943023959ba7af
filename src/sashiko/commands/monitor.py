"""`sashiko monitor`: judge a window of captured requests; `monitor audit`: label rows of it."""

import datetime as dt
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from sashiko.commands import cloud_monitor
from sashiko.commands.monitor_output import show_draw, show_labels, show_window
from sashiko.commands.options import AsJson, Environment, Home, RecipeName
from sashiko.commands.times import parse_duration, parse_time
from sashiko.contract.model import Contract
from sashiko.core.exit_status import CHECK_FAILED
from sashiko.errors import InputError
from sashiko.monitoring.capture.record import Window
from sashiko.monitoring.result import MonitorResult
from sashiko.monitoring.retraining import Retraining, decide_retraining
from sashiko.pipeline.monitor_run import MonitorFolder
from sashiko.pipeline.project import HOME, MONITOR, command_options, contract_file, use_recipe
from sashiko.registry.mlflow import MlflowRegistry
from sashiko.registry.versions import ModelVersion
from sashiko.settings.environment import load_settings

app = typer.Typer(
    help="Judge a window of captured requests: inputs, drift, audited accuracy, bias.\n\n"
    "Exit status: 0 no alarm, 4 an alarm, 1 error, 130 interrupted."
)

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
class _Monitored:
    """What a command works on."""

    registry: MlflowRegistry
    version: ModelVersion
    folder: MonitorFolder
    contract: Contract
    window: Window  # its end is the time to act as
    options: str  # of a printed command, to select the same recipe and home


@app.callback(invoke_without_command=True)
def monitor(
    context: typer.Context,
    window: Length = "7d",
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
    from sashiko.pipeline.monitor_run import run_monitor

    settings = load_settings(env)
    if settings.tier != "local":
        given = [name for name in ("window", "now", "version") if _is_given(context, name)]
        if given:
            raise InputError(
                f"--{given[0]}: an account's windows are started by its schedule; leave it out, "
                "and the last one is shown"
            )
        cloud_monitor.show(settings, recipe, home=home, labels=labels, json_=json_)
        return
    monitored = _open(window, now, version, place=(env, recipe, home))
    folder = monitored.folder
    if labels is not None:
        _add_labels(monitored, labels)
    command = shlex.join(["sashiko", *sys.argv[1:]])
    record, result = run_monitor(
        folder, monitored.version, window=monitored.window, command=command
    )
    if result is None:
        raise typer.Exit(record.exit_code)
    retraining = _decide_retraining(monitored, result)
    show_window(
        folder.results(),
        result,
        retraining,
        page=folder.report,
        options=monitored.options,
        json_=json_,
    )
    if retraining.action == "start":
        _start_run(monitored, retraining.token)
    if result.outcome == "alarm":
        raise typer.Exit(CHECK_FAILED)


@app.command()
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
        period = _window(window, now)
        cloud_monitor.audit(
            settings, recipe, rows=rows, labels=labels, out=out, window=period,
            number=version,
        )  # fmt: skip
        return
    monitored = _open(window, now, version, place=(env, recipe, home))
    if labels is not None:
        _add_labels(monitored, labels)
    if rows is not None:
        _draw(monitored, rows, out)


def _draw(monitored: _Monitored, rows: int, out: Path | None) -> None:
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


def _open(
    window: str,
    now: str | None,
    number: int | None,
    *,
    place: tuple[str, str | None, Path],
) -> _Monitored:
    """Opens the recipe's monitoring on this machine, with its stores.

    Raises:
        InputError: if an option is not valid, or no version is approved.
    """
    from sashiko.contract.load import load_contract
    from sashiko.monitoring.labels import create_stores
    from sashiko.pipeline.champion import open_local

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
    )
    return _Monitored(registry, version, folder, contract, _window(window, now), options)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _window(length: str, now: str | None) -> Window:
    """Returns the window that ends now."""
    end = dt.datetime.now(dt.UTC) if now is None else parse_time(now, option="--now")
    end = end.replace(microsecond=0)
    return Window(end - parse_duration(length, option="--window"), end)


def _decide_retraining(monitored: _Monitored, result: MonitorResult) -> Retraining:
    from sashiko.pipeline.candidates import local_candidates

    folder, version = monitored.folder, monitored.version
    candidates = local_candidates(
        folder.home,
        folder.settings,
        folder.recipe,
        version=version,
        versions=monitored.registry.versions(version.group),
    )
    return decide_retraining(folder.recipe.monitor, result, candidates, now=dt.datetime.now(dt.UTC))


def _start_run(monitored: _Monitored, token: str) -> None:
    """Runs the recipe's pipeline once for a token; its version waits for a person's approval."""
    from sashiko.commands.local_runs import run_locally
    from sashiko.pipeline.monitor_run import claim_start

    folder = monitored.folder
    if not claim_start(folder, token):
        print("the run of this window was started already", file=sys.stderr)
        return
    result = run_locally(
        folder.settings,
        folder.recipe,
        home=folder.home,
        from_step=None,
        command=f"sashiko run{monitored.options}",
    )
    typer.echo(result.summary)


def _add_labels(monitored: _Monitored, file: Path) -> None:
    from sashiko.monitoring.labels import add_labels
    from sashiko.pipeline.runner.lock import run_lock

    folder, places = monitored.folder, monitored.folder.places
    with run_lock(folder.home / MONITOR, "labels"):  # of two at once one would be lost
        added = add_labels(
            file,
            monitored.contract,
            labels=folder.path(places.labels),
            facets=folder.path(places.facets),
            now=monitored.window.end,
        )
    show_labels(file, added)
