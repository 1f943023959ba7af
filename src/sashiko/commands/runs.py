"""`sashiko runs ...`: what earlier runs did."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from sashiko.commands.options import AsJson, Home
from sashiko.errors import InputError
from sashiko.repository import HOME
from sashiko.runner.record import RunRecord, read_run

app = typer.Typer(help="Earlier runs: list, show, logs, report.", no_args_is_help=True)

RunId = Annotated[
    str | None, typer.Argument(help="A run's id, or its beginning; default: the newest.")
]


@app.command("list")
def list_(home: Home = HOME, json_: AsJson = False) -> None:
    """List the runs, newest first."""
    records = list(_readable(home))
    if json_:
        typer.echo(json.dumps([record.model_dump(mode="json") for record in records], indent=2))
        return
    for record in records:
        seconds = f"{record.seconds:.0f} s" if record.seconds is not None else "-"
        typer.echo(f"{record.id}  {record.status:<11}  {seconds:>6}  {record.pipeline}")


@app.command()
def show(run: RunId = None, home: Home = HOME, json_: AsJson = False) -> None:
    """Show a run: each step with its state, time and what it says about itself."""
    record = read_run(_find(home, run))
    if json_:
        typer.echo(json.dumps(record.model_dump(mode="json"), indent=2))
        return
    typer.echo(_text(record))


@app.command()
def logs(
    step: Annotated[str, typer.Argument(help="A step's name.")],
    run: Annotated[
        str | None, typer.Option("--run", help="A run's id; default: the newest.")
    ] = None,
    home: Home = HOME,
) -> None:
    """Print a step's log; a step taken from the cache has the log of the run that did the work."""
    record = read_run(_find(home, run)).step(step)
    folder = _find(home, record.cached_from or run)
    log = folder / "logs" / f"{step}.log"
    if not log.is_file():
        raise InputError(f"step {step} of run {folder.name} has no log: it is {record.status}")
    typer.echo(log.read_text(errors="replace"), nl=False)


@app.command()
def report(run: RunId = None, home: Home = HOME) -> None:
    """Write a run's report again and print its path."""
    from sashiko.report import write_report

    typer.echo(str(write_report(_find(home, run), home)))


def _text(record: RunRecord) -> str:
    lines = [f"{record.id}  {record.status}  {record.pipeline}"]
    for step in record.steps:
        seconds = f"{step.seconds:.1f} s" if step.seconds is not None else ""
        lines.append(f"  {step.name:<16} {step.status:<11} {seconds:>8}  {step.reason}".rstrip())
    if record.reason:
        lines.append(record.reason)
    return "\n".join(lines)


def _readable(home: Path) -> Iterator[RunRecord]:
    for folder in _folders(home):
        try:
            yield read_run(folder)
        except InputError as error:
            print(f"left out: {error}", file=sys.stderr)


def _folders(home: Path) -> list[Path]:
    return sorted((path.parent for path in (home / "runs").glob("*/run.json")), reverse=True)


def _find(home: Path, run: str | None) -> Path:
    folders = _folders(home)
    if not folders:
        raise InputError(f"no run below {home} yet: sashiko run")
    found = [folder for folder in folders if run is None or folder.name.startswith(run)]
    if not found:
        known = ", ".join(folder.name for folder in folders[:5])
        raise InputError(f"no run {run}; the newest are {known}")
    return found[0]
