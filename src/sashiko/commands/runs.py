"""`sashiko runs ...`: earlier runs, on this machine or in an environment's account."""

import json
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from sashiko.commands.options import (
    AsJson,
    DeployedEnvironment,
    Environment,
    Home,
    RecipeName,
    WithRows,
    Yes,
    confirm,
)
from sashiko.errors import InputError
from sashiko.packs import enabled_packs, other_packs
from sashiko.pipeline.project import CAPTURES, HOME, SELECTIONS
from sashiko.pipeline.runner.run_record import RunRecord, read_run
from sashiko.settings.environment import load_deployed, load_settings

app = typer.Typer(help="Show, compare, verify, stop or delete earlier runs.", no_args_is_help=True)

RunId = Annotated[
    str | None, typer.Argument(help="A run's id, or the beginning of it; default: the newest.")
]
_LISTED_EXECUTIONS = 10  # executions of an account: each one takes several calls


@app.command("list")
def list_(
    env: Environment = "local", recipe: RecipeName = None, home: Home = HOME, json_: AsJson = False
) -> None:
    """List the runs, newest first; of an account, the ten newest of the recipe's pipeline."""
    if (settings := load_settings(env)).tier != "local":
        from sashiko.commands.cloud_runs import executions

        history, _ = executions(settings, recipe)
        _print_list([execution.record() for execution in history.newest(_LISTED_EXECUTIONS)], json_)
        return
    records = []
    for folder in _folders(home):
        try:
            records.append(read_run(folder))
        except InputError as error:
            print(f"left out: {error}", file=sys.stderr)
    _print_list(records, json_)


@app.command()
def show(
    run: RunId = None,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
    json_: AsJson = False,
) -> None:
    """Show a run: the state, time and message of each step."""
    if (settings := load_settings(env)).tier != "local":
        from sashiko.commands.cloud_runs import executions

        record = executions(settings, recipe)[0].find(run).record()
    else:
        record = read_run(_find(home, run))
    if json_:
        typer.echo(json.dumps(record.model_dump(mode="json"), indent=2))
        return
    typer.echo(f"{record.id}  {record.status}  {record.pipeline}")
    if record.source:
        typer.echo(f"reuses results of execution {record.source}")
    for step in record.steps:
        seconds = f"{step.seconds:.1f} s" if step.seconds is not None else ""
        what = step.reason or (f"from {step.cached_from}" if step.cached_from else "")
        line = f"  {step.name:<16} {step.status:<11} {seconds:>8}  {what}"
        typer.echo(line.rstrip())
    if record.reason:
        typer.echo(record.reason)


@app.command()
def logs(
    step: Annotated[str, typer.Argument(help="A step's name.")],
    run: RunId = None,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
) -> None:
    """Print a step's log; for a cached step, the log of the run that executed it."""
    if (settings := load_settings(env)).tier != "local":
        from sashiko.commands.cloud_runs import executions, step_log

        for line in step_log(*executions(settings, recipe), step=step, run=run):
            typer.echo(line)
        return
    record = read_run(_find(home, run)).step(step)
    folder = _find(home, record.cached_from or run)
    log = folder / "logs" / f"{step}.log"
    if not log.is_file():
        raise InputError(f"step {step} of run {folder.name} has no log: it is {record.status}")
    typer.echo(log.read_text(errors="replace"), nl=False)


@app.command()
def stop(
    run: RunId = None, env: Environment = "local", recipe: RecipeName = None, home: Home = HOME
) -> None:
    """Stop the active run; its completed steps are not repeated later."""
    if (settings := load_settings(env)).tier != "local":
        from sashiko.commands.cloud_runs import executions

        execution = executions(settings, recipe)[0].find(run)
        status = execution.record().status
        if status != "running":
            raise InputError(f"execution {execution.id} is not running: it is {status}")
        execution.stop()
        typer.echo(f"stopping execution {execution.id}")
        return
    from sashiko.pipeline.runner.run_lock import interrupt_holder

    typer.echo(f"stopping run {interrupt_holder(home, run)}")


@app.command()
def follow(
    run: RunId = None,
    env: DeployedEnvironment = "dev",
    recipe: RecipeName = None,
    json_: AsJson = False,
) -> None:
    """Follow an execution in an account to its end; exit with the status of `sashiko run`."""
    from sashiko.commands.cloud_runs import executions, follow_execution

    settings = load_deployed(env)
    history, _ = executions(settings, recipe)
    follow_execution(settings, history.find(run), recipe=recipe, json_=json_)


@app.command()
def report(run: RunId = None, home: Home = HOME, with_rows: WithRows = False) -> None:
    """Write a run's report again and print its path."""
    from sashiko.run_report import write_report

    typer.echo(str(write_report(_find(home, run), home, with_rows=with_rows)))


@app.command()
def diff(
    left: Annotated[str, typer.Argument(help="A run's id, or the beginning of it.")],
    right: Annotated[str, typer.Argument(help="The id of the other run.")],
    home: Home = HOME,
    json_: AsJson = False,
) -> None:
    """Compare two local runs: settings, data, metrics with intervals, gates."""
    from sashiko.commands.run_evidence import diff as print_diff

    print_diff(_find(home, left), _find(home, right), home=home, json_=json_)


@app.command()
def verify(run: RunId = None, home: Home = HOME, json_: AsJson = False) -> None:
    """Verify a local run offline: recompute each hash, and each verdict from its inputs.

    Exit status: 0 all match the record; 4 some differ; 1 an error.
    """
    from sashiko.commands.run_evidence import verify_run

    verify_run(_find(home, run), home=home, json_=json_)


@app.command()
def clean(home: Home = HOME, yes: Yes = False) -> None:
    """Delete all local state: runs, captures, downloads, cached results and the model registry.

    It lists what is there and asks first, as the registry holds the versions and their approvals.
    """
    from sashiko.pipeline.runner.run_lock import run_lock

    if not home.is_dir():
        print(f"{home} does not exist: nothing to delete", file=sys.stderr)
        return
    names = sorted(path.name for path in home.iterdir())
    labels = _labels()
    state_prefixes = ("mlflow.db", ".tmp-")  # `.tmp-`: unfinished files of a killed run
    unknown = [
        name
        for name in names
        if name not in (*labels, "run.lock") and not name.startswith(state_prefixes)
    ]
    if unknown:
        raise InputError(f"{home} has other files ({', '.join(unknown)}): remove them by hand")
    with run_lock(home, "clean"):
        for name, label in labels.items():
            if (path := home / name).exists():
                files = [path, *path.rglob("*")]
                size = sum(file.lstat().st_size for file in files if not file.is_dir())
                print(f"{path}: {label} ({size / 1e6:,.1f} MB)", file=sys.stderr)
        if not yes:
            confirm(f"all local state in {home}", word="clean")
        # The registry goes first, so that an interruption leaves no version without its artifact,
        # and the lock last, so that no run starts in a partly removed folder.
        order = {"mlflow.db": 0, "run.lock": 2}
        for path in sorted(home.iterdir(), key=lambda path: (order.get(path.name, 1), path.name)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        with suppress(OSError):  # a run that waited for the lock may have started already
            home.rmdir()
    typer.echo(f"removed {home}")


def _print_list(records: Sequence[RunRecord], json_: bool) -> None:
    if json_:
        typer.echo(json.dumps([record.model_dump(mode="json") for record in records], indent=2))
        return
    for record in records:
        seconds = f"{record.seconds:.0f} s" if record.seconds is not None else "-"
        started = record.start[:16].replace("T", " ")
        typer.echo(f"{record.id}  {record.status:<11}  {started}  {seconds:>6}  {record.pipeline}")


def _folders(home: Path) -> list[Path]:
    return sorted((path.parent for path in (home / "runs").glob("*/run.json")), reverse=True)


def _find(home: Path, run: str | None) -> Path:
    folders = _folders(home)
    if not folders:
        raise InputError(f"no run below {home} yet: sashiko run --recipe NAME")
    if run is None:
        for folder in folders:
            try:
                if not read_run(folder).until:  # the runs of a sweep end early
                    return folder
            except InputError:  # reading it later reports the error
                return folder
        raise InputError(f"no complete run below {home}: name one of `sashiko runs list`")
    matches = [folder for folder in folders if folder.name.startswith(run)]
    if not matches:
        newest = ", ".join(folder.name for folder in folders[:5])
        raise InputError(f"no run {run}; the newest are {newest}")
    return matches[0]


def _labels() -> dict[str, str]:
    """Returns the folders and files of a home, also of packs that are off: name -> content."""
    on = enabled_packs()
    return {
        "mlflow.db": "the model registry with its approvals, and MLflow's runs",
        "mlartifacts": "the registered models",
        "runs": "the runs and their reports",
        CAPTURES: "the captured requests",
        SELECTIONS: "the selections",
        **{name: label for pack in (*on, *other_packs(on)) for name, label in pack.home.items()},
        "lake": "the local lake",
        "s3": "the outputs of steps",
        "cache": "the cache and downloads",
    }
