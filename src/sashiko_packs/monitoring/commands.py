"""`sashiko monitor`: judges a window of captured requests, and has rows of it labelled.

In an environment with an account its schedule starts the windows, and the commands show and change
what the account's pipeline keeps.
"""

import datetime as dt
import getpass
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from sashiko.commands.options import (
    AsJson,
    Environment,
    Home,
    RecipeName,
    parse_duration,
    parse_time,
)
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.errors import CHECK_FAILED, InputError
from sashiko.pipeline import project
from sashiko.pipeline.project import CAPTURES, HOME, command_options
from sashiko.registry.versions import ModelVersion
from sashiko.settings.environment import Settings, load_settings
from sashiko.settings.recipe import Recipe
from sashiko_packs.monitoring.local_run import MonitorFolder
from sashiko_packs.monitoring.places import FOLDER
from sashiko_packs.monitoring.report import words
from sashiko_packs.monitoring.result import MonitorResult
from sashiko_packs.monitoring.settings import MonitorSection
from sashiko_packs.monitoring.window import Window, basic_time

if TYPE_CHECKING:
    from sashiko_packs.monitoring.account import MonitoredModel
    from sashiko_packs.monitoring.deletion import DeletedRows
    from sashiko_packs.monitoring.labels import AddedLabels
    from sashiko_packs.monitoring.ledger import Draw


DEFAULT_LENGTH: Final = "7d"
_FOR_EVER: Final = 100 * 366 * 86_400  # seconds
_MOST_NAMES: Final = 3  # of the checks that share a reason
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
    typer.Option(
        "--version", min=1, help="Judge the answers of this version; default: the champion."
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="First add the labels of this CSV or Parquet file: the contract's primary key and the "
        "label.",
    ),
]


@dataclass(frozen=True)
class Monitored:
    """What a command works on, on this machine."""

    version: ModelVersion
    folder: MonitorFolder
    contract: Contract
    window: Window  # its end is the time to act as
    options: str  # of a printed command, to select the same recipe and home
    window_options: str  # likewise, and the same version and window


def open_monitored(
    window: str, now: str | None, number: int | None, *, place: tuple[str, str | None, Path]
) -> Monitored:
    """Opens the recipe's monitoring on this machine, with its stores.

    Raises:
        InputError: if an option is not valid, or no version is approved.
    """
    from sashiko.pipeline.local_models import open_local
    from sashiko_packs.monitoring.labels import create_stores

    env, recipe, home = place
    settings = load_settings(env)
    recipe_config = project.use_recipe(settings, recipe)
    options = command_options(recipe=recipe or settings.recipe, home=home)
    registry = open_local(home, recipe=recipe or settings.recipe)
    group = recipe_config.model_package_group
    version = registry.champion(group) if number is None else registry.version(group, number)
    if version is None:
        raise InputError(
            f"{group} has no champion yet: sashiko model approve VERSION{options} --reason ..."
        )
    folder = MonitorFolder(home, settings, recipe_config)
    contract = _load_contract(recipe_config)
    create_stores(**{name: folder.path(uri) for name, uri in folder.places.stores.items()})
    again = options + window_options(window, now, number)
    return Monitored(version, folder, contract, window_of(window, now), options, again)


def _load_contract(recipe: Recipe) -> Contract:
    return load_contract(project.contract_file(recipe))


def open_account(settings: Settings, recipe: str | None) -> "MonitoredModel":
    """Opens the recipe's monitoring in an account.

    Raises:
        InputError: if an option is not valid, or the caller is another account's.
    """
    from sashiko.account.account import Account
    from sashiko_packs.monitoring.account import MonitoredModel

    account = Account(settings)
    account.check_identity()
    return MonitoredModel(account, settings, project.use_recipe(settings, recipe))


def window_options(length: str, now: str | None, number: int | None) -> str:
    """Formats the options that select the same version and window in a printed command."""
    parts = [] if number is None else ["--version", str(number)]
    parts += [] if length == DEFAULT_LENGTH else ["--window", length]
    parts += [] if now is None else ["--now", now]
    return f" {shlex.join(parts)}" if parts else ""


def window_of(length: str, now: str | None) -> Window:
    """Returns the window that ends now."""
    end = _now() if now is None else parse_time(now, option="--now").replace(microsecond=0)
    return Window(end - parse_duration(length, option="--window"), end)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


app = typer.Typer(
    help="Judge a window of captured requests: inputs, drift, audited accuracy and bias.\n\n"
    "Exit status: 0 no alarm; 4 an alarm; 1 an error; 130 interrupted."
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
    settings = load_settings(env)
    if settings.tier == "local":
        monitored = open_monitored(window, now, version, place=(env, recipe, home))
        if labels is not None:
            _add_local_labels(monitored, labels)
        result = _judge(monitored, json_=json_)
    else:
        for name in ("window", "now", "version"):
            source = context.get_parameter_source(name)
            if source is not None and source.name == "COMMANDLINE":
                raise InputError(
                    f"--{name}: an account's windows are started by its schedule; leave it out, "
                    "and the last one is shown"
                )
        model = open_account(settings, recipe)
        if labels is not None:
            _add_account_labels(model, labels)
        result = _show_last(model, home=home, json_=json_)
    if result.outcome == "alarm":
        raise typer.Exit(CHECK_FAILED)


def _judge(monitored: Monitored, *, json_: bool) -> MonitorResult:
    from sashiko_packs.monitoring.local_run import run_monitor

    folder, version = monitored.folder, monitored.version
    command = shlex.join(["sashiko", *sys.argv[1:]])
    record, result = run_monitor(folder, version, window=monitored.window, command=command)
    if result is None:
        raise typer.Exit(record.exit_code)
    results = folder.results()
    show_window(
        results, result, decide_retraining(folder.recipe.section(MonitorSection), result),
        page=folder.report, options=monitored.options, again=monitored.window_options, json_=json_,
    )  # fmt: skip
    return result


def _show_last(model: "MonitoredModel", *, home: Path, json_: bool) -> MonitorResult:
    results, environment = model.results(), model.settings.environment
    if not results:
        raise InputError(
            f"no window of {model.recipe.name} was judged in {environment} yet: where a "
            "version is served and `serving.capture.percent` is above 0, one is each Monday"
        )
    last, options = results[-1], _account_options(model)
    show_window(
        results, last, decide_retraining(model.recipe.section(MonitorSection), last),
        page=home / "monitor" / f"{environment}-{last.group}.html", options=options, again=options,
        json_=json_,
    )  # fmt: skip
    return last


def _account_options(model: "MonitoredModel") -> str:
    return f" --env {model.settings.environment} --recipe {model.recipe.name}"


def _add_local_labels(monitored: Monitored, file: Path, *, corrected_by: str | None = None) -> None:
    from sashiko.pipeline.runner.run_lock import run_lock
    from sashiko_packs.monitoring.labels import add_labels

    folder, places = monitored.folder, monitored.folder.places
    with run_lock(folder.home / FOLDER, "labels"):  # of two at once one would be lost
        added = add_labels(
            file, monitored.contract, labels=folder.path(places.labels), now=monitored.window.end,
            corrected_by=corrected_by,
        )  # fmt: skip
    show_labels(file, added)


def _add_account_labels(model: "MonitoredModel", file: Path, *, correct: bool = False) -> None:
    person = model.account.check_identity() if correct else None
    contract = _load_contract(model.recipe)
    show_labels(file, model.add_labels(file, contract, now=_now(), corrected_by=person))


@app.command()
def sample(
    rows: Annotated[int, typer.Option(min=1, help="How many rows to draw.")],
    out: Annotated[
        Path | None, typer.Option(help="The CSV file to write; default: below the local state.")
    ] = None,
    window: Length = DEFAULT_LENGTH,
    now: Now = None,
    version: Number = None,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
) -> None:
    """Draw answered rows at random for a person to label, and write them to a CSV file.

    Rows come from the answers since the last draw, and for the first draw from the window. Each row
    is in one draw at most. `sashiko monitor label` reads the labels back.
    """
    if load_settings(env).tier == "local":
        _draw_here(open_monitored(window, now, version, place=(env, recipe, home)), rows, out)
        return
    model = open_account(load_settings(env), recipe)
    number = _served_version(model) if version is None else version
    contract = _load_contract(model.recipe)
    with model.draw(number, window=window_of(window, now), rows=rows) as draw:
        show_draw(draw, out, home=home, contract=contract, options=_account_options(model))


@app.command()
def label(
    file: Annotated[Path, typer.Argument(help="The file of a draw, with the labels filled in.")],
    correct: Annotated[
        bool,
        typer.Option(
            "--correct",
            help="Replace earlier labels that differ. Both are kept, with the time and your name.",
        ),
    ] = False,
    window: Length = DEFAULT_LENGTH,
    now: Now = None,
    version: Number = None,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
) -> None:
    """Read the labels of drawn rows back. Only labels of drawn rows judge the model's accuracy."""
    settings = load_settings(env)
    if settings.tier == "local":
        monitored = open_monitored(window, now, version, place=(env, recipe, home))
        person = getpass.getuser() if correct else None
        _add_local_labels(monitored, file, corrected_by=person)
        return
    window_of(window, now)  # refuses what is not one
    _add_account_labels(open_account(settings, recipe), file, correct=correct)


def _draw_here(monitored: Monitored, rows: int, out: Path | None) -> None:
    from sashiko_packs.monitoring.ledger import draw_period

    folder, places = monitored.folder, monitored.folder.places
    draw = draw_period(
        folder.path(places.draws),
        folder.path(places.ledger),
        version=monitored.version.version,
        window=monitored.window,
        rows=rows,
    )
    again = monitored.window_options
    show_draw(draw, out, home=folder.home, contract=monitored.contract, options=again)


def _served_version(model: "MonitoredModel") -> int:
    from sashiko.account.endpoint_spec import served_package

    package = served_package(model.settings, model.recipe)
    if package is None:
        raise InputError(
            f"{model.settings.environment} serves nothing: name the version to draw from with "
            "--version"
        )
    return int(package.rpartition("/")[2])


@app.command()
def forget(
    keys: Annotated[list[str], typer.Argument(help="Primary keys of the rows.")],
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
) -> None:
    """Delete what monitoring keeps about rows, by key: answers, labels, places in samples.

    Reading a window again does not bring them back. On this machine, captured requests with such a
    row are deleted too, as a whole, and so are requests and answers of an endpoint that sleeps.
    What another one has captured in an account goes when its retention ends.
    """
    settings = load_settings(env)
    requests = ""
    if settings.tier == "local":
        deleted, count = _forget_here(keys, place=(env, recipe, home))
        requests = f", {count:,} captured requests"
    else:
        from sashiko_packs.monitoring.account import MonitorFiles
        from sashiko_packs.monitoring.deletion import DELETED_BY, delete_account_rows

        model = open_account(settings, recipe)
        files = MonitorFiles(model.account, settings, model.recipe, DELETED_BY)
        above = _load_contract(model.recipe).label.above
        deleted = delete_account_rows(files, keys, now=_now(), above=above)
        if settings.serving.sleeps:
            from sashiko.account.asynchronous import delete_requests

            count = delete_requests(
                model.account, settings, model.recipe, set(keys), role=DELETED_BY
            )
            requests = f", {count:,} requests with their answers"
    typer.echo(
        f"deleted of {len(set(keys)):,} keys: {deleted.answers:,} answers, {deleted.labels:,} "
        f"labels, {deleted.draws:,} names in draws{requests}"
    )


def _forget_here(
    keys: Sequence[str], *, place: tuple[str, str | None, Path]
) -> tuple["DeletedRows", int]:
    """Deletes keys from this machine's stores and captures; also returns how many requests."""
    from sashiko.pipeline.runner.run_lock import run_lock
    from sashiko_packs.monitoring.capture.requests import delete_requests
    from sashiko_packs.monitoring.deletion import delete_rows

    monitored = open_monitored("1d", None, None, place=place)
    places = monitored.folder.places
    names = ("ledger", "labels", "draws")
    folders = {name: monitored.folder.path(getattr(places, name)) for name in names}
    now = monitored.window.end
    # Local captures have no retention, so the ledger never forgets what is to stay out.
    retention = now - dt.datetime.fromtimestamp(0, dt.UTC)
    captured = monitored.folder.home / CAPTURES / monitored.version.group
    with run_lock(monitored.folder.home / FOLDER, "forget"):
        requests = delete_requests(captured, set(keys))
        above = monitored.contract.label.above
        deleted = delete_rows(keys, **folders, now=now, retention=retention, above=above)
        return deleted, requests


def replay(
    file: Annotated[Path, typer.Argument(help="A CSV or Parquet file of the contract's rows.")],
    since: Annotated[
        str | None, typer.Option(help="The first time in UTC, such as 2026-01-01.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="The time to stop before, in UTC.")] = None,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
) -> None:
    """Answer a file's rows with the champion, at the times in the file, and capture the requests.

    Monitoring then judges them as those of a served model: `sashiko monitor`.
    """
    from sashiko.pipeline.local_models import capture_settings, champion_artifact
    from sashiko_packs.monitoring.capture.requests import replay_file

    recipe_config = project.choose_recipe(load_settings(env), recipe)
    contract = _load_contract(recipe_config)
    with champion_artifact(recipe_config, name=recipe, home=home) as (artifact, version):
        requests = replay_file(
            artifact,
            threshold=version.threshold,
            contract=contract,
            path=file,
            # Rows of the past are not older than they were meant to become.
            capture=capture_settings(version, home, percent=100, retention=_FOR_EVER),
            since=None if since is None else parse_time(since, option="--since"),
            until=None if until is None else parse_time(until, option="--until"),
        )
    typer.echo(f"{version.group} version {version.version} answered {requests:,} requests")


def describe_monitor(result: MonitorResult, *, options: str = "") -> Iterator[str]:
    """Describes the outcome of a window, a line each: alarms, what was not judged, what is next.

    `options` of the printed commands select environment, recipe and home; else the recipe alone.
    """
    yield words.headline(result)
    ok = len(words.of_outcome(result, "ok"))
    yield (
        f"{result.group} version {result.version}, {words.span(result.start, result.end)}: "
        f"{ok:,} of {len(result.checks):,} checks are ok"
    )
    for line in result.alarms:
        yield f"alarm: {line}"
    unjudged = words.of_outcome(result, "not judged")
    for reason in dict.fromkeys(check.reason for check in unjudged):
        names = [check.name for check in unjudged if check.reason == reason]
        text = "; ".join(names)
        if len(names) > _MOST_NAMES:
            text = f"{len(names)} checks, such as {names[0]}"
        yield f"not judged: {text}: {reason}"
    yield f"audit: {words.audit_state(result)}"
    for command in words.commands(result, options=options):
        yield f"next: {command}"


@dataclass(frozen=True)
class Retraining:
    """What is to be done about a window.

    Nothing starts by an alarm: a person runs the proposed command, and approves its version.
    """

    action: Literal["none", "propose"]
    reasons: tuple[str, ...]  # the alarms, or what speaks against a run


def decide_retraining(settings: MonitorSection, result: MonitorResult) -> Retraining:
    """Decides whether to propose a run."""
    alarms = [check for check in result.checks if check.outcome == "alarm"]
    if settings.retrain == "off" or not alarms:
        reason = "`monitor.retrain` is off" if alarms else "there is no alarm"
        return Retraining(action="none", reasons=(reason,))
    if against := tuple(_obstacles(settings, result, kinds={check.kind for check in alarms})):
        return Retraining(action="none", reasons=against)
    return Retraining(action="propose", reasons=tuple(f"alarm: {check.name}" for check in alarms))


def _obstacles(
    settings: MonitorSection, result: MonitorResult, *, kinds: set[str]
) -> Iterator[str]:
    """Yields why alarms may have a cause that a new model would not cure, or would learn."""
    if "capture" in kinds:
        yield "the capture is dead or damaged: mend it, and judge the window again"
    # Audited labels show a fall whatever else is sent, so no client can hold back a new model.
    if "inputs" in kinds and "accuracy" not in kinds:
        yield "requests break the contract: mend what sends them, a model would learn the fault"
    if kinds == {"bias"}:
        yield "only bias is in alarm: bring it to whoever answers for fairness first"
    if (labels := result.quality.labels.known) < settings.retrain_labels:
        yield f"{labels:,} new labels, {settings.retrain_labels:,} are needed"


def show_window(
    results: Sequence[MonitorResult],
    result: MonitorResult,
    retraining: Retraining,
    *,
    page: Path,
    options: str,
    again: str,
    json_: bool,
) -> None:
    """Writes the report of all windows to `page`, and prints the outcome of one.

    `options` of a printed command select the same environment, recipe and home, `again` the same
    version and window too.
    """
    from sashiko_packs.monitoring.report.page import write_monitor_page

    reasons = "; ".join(retraining.reasons)
    proposal = f"retraining: proposed ({reasons}): sashiko run{options}"
    if retraining.action == "none":
        proposal = f"retraining: not now: {reasons}"
    last = results[-1]
    report = write_monitor_page(
        results,
        page,
        options=again if last == result else options,
        retraining=proposal if last == result else "",
    )
    if json_:
        values = result.model_dump(mode="json") | {"retraining": asdict(retraining)}
        typer.echo(json.dumps(values, indent=2))
        return
    lines = describe_monitor(result, options=again)
    typer.echo("\n".join([*lines, proposal, f"report: {report}"]))


def show_draw(
    draw: "Draw", sheet: Path | None, *, home: Path, contract: Contract, options: str
) -> None:
    """Writes the sheet to fill in, below the local state by default, and says how to hand it in."""
    from sashiko_packs.monitoring.labels import write_sheet

    sheet = sheet or home / FOLDER / "audit" / f"audit-{basic_time(draw.period.end)}.csv"
    write_sheet(draw.path, sheet, contract=contract)
    typer.echo(str(sheet))
    print(
        f"{draw.drawn:,} of {draw.answers:,} answers; fill in `{contract.label.column}`, "
        f"then: sashiko monitor label {shlex.quote(str(sheet))}{options}",
        file=sys.stderr,
    )


def show_labels(file: Path, added: "AddedLabels") -> None:
    """Says what a file of labels brought."""
    parts = [f"{added.added:,} new labels of {added.rows:,} rows"]
    parts += [f"{added.unlabelled:,} rows without one"] if added.unlabelled else []
    parts += [f"{added.known:,} known already"] if added.known else []
    if added.duplicated:
        parts.append(
            f"{added.duplicated:,} contradict an earlier one, which counts: --correct replaces it"
        )
    parts += [f"{added.corrected:,} corrected"] if added.corrected else []
    print(f"{file}: {'; '.join(parts)}", file=sys.stderr)
