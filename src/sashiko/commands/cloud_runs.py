"""What `sashiko run` and `sashiko runs ...` do where `--env` is an account's."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from sashiko.aws.operations.runs.executions import Execution, Executions
from sashiko.aws.operations.runs.following import follow
from sashiko.aws.operations.runs.job_logs import JobLogs
from sashiko.aws.operations.runs.loads import check_as_of
from sashiko.aws.operations.runs.start import start
from sashiko.aws.resources.account import Account
from sashiko.core.exit_status import INTERRUPTED
from sashiko.errors import InputError
from sashiko.pipeline.project import choose_recipe, command_options, use_recipe
from sashiko.pipeline.runner.record import RunRecord
from sashiko.pipeline.runner.view import open_view
from sashiko.settings.environment import Settings


def run_in_account(
    settings: Settings, *, recipe: str | None, as_of: str | None, home: Path, json_: bool
) -> None:
    """Starts the deployed pipeline, follows it, and exits as a local run does."""
    if as_of is not None:
        check_as_of(as_of, option="--as-of")
    chosen = use_recipe(settings, recipe)
    account = Account(settings)
    account.check_identity()
    execution = start(
        settings,
        chosen,
        account=account,
        home=home,
        as_of=as_of,
        command=_command("run", settings, recipe),
    )
    print(f"started {execution.arn}", file=sys.stderr)
    follow_execution(settings, execution, recipe=recipe, account=account, json_=json_)


def follow_execution(
    settings: Settings, execution: Execution, *, recipe: str | None, account: Account, json_: bool
) -> None:
    """Shows an execution to its end; Ctrl-C leaves it going."""
    with _left_going(settings, execution, recipe), open_view() as view:
        record = follow(execution, view=view, logs=JobLogs(account))
    if json_:
        typer.echo(json.dumps(record.model_dump(mode="json"), indent=2))
    else:
        typer.echo(_summary(record, settings, recipe))
    raise typer.Exit(record.exit_code)


def executions(settings: Settings, recipe: str | None) -> tuple[Executions, Account]:
    """Opens the executions of a recipe's pipeline with the caller's credentials."""
    account = Account(settings)
    account.check_identity()
    name = choose_recipe(settings, recipe).name
    command = _command("run", settings, recipe)
    return Executions(settings, name, account=account, command=command), account


def step_log(found: Executions, account: Account, *, step: str, run: str | None) -> Iterator[str]:
    """Yields what a step's job wrote; a step from the cache has the log of who did the work."""
    record = found.find(run).record()
    taken = record.step(step)
    if not taken.job and taken.cached_from:
        taken = found.find(taken.cached_from).record().step(step)
    if not taken.job:
        raise InputError(f"step {step} of execution {record.id} has no log: it is {taken.status}")
    yield from JobLogs(account).lines(taken.type, taken.job)


@contextmanager
def _left_going(settings: Settings, execution: Execution, recipe: str | None) -> Iterator[None]:
    """Whoever stops following is told how to go on, and how to stop the execution itself."""
    again = _command("runs follow", settings, recipe, execution.id)
    stop = _command("runs stop", settings, recipe, execution.id)
    hint = f"follow it again: {again}\nstop it: {stop}"
    try:
        yield
    except KeyboardInterrupt:
        print(f"execution {execution.id} goes on\n{hint}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except InputError:
        print(f"execution {execution.id} may go on\n{hint}", file=sys.stderr)
        raise


def _summary(record: RunRecord, settings: Settings, recipe: str | None) -> str:
    lines = [f"{record.status}: execution {record.id} of {record.pipeline}"]
    if record.status == "registered":
        lines.append(f"next: {_command('model list', settings, recipe)}")
    elif record.reason:
        lines.append(record.reason)
    return "\n".join(lines)


def _command(words: str, settings: Settings, recipe: str | None, *more: str) -> str:
    options = command_options(recipe=recipe or settings.recipe, env=settings.environment)
    return f"sashiko {words}{options}{''.join(f' {shlex.quote(word)}' for word in more)}"
