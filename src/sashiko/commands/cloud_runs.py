"""`sashiko run` and `sashiko runs ...` for an environment with an account."""

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from sashiko.account.account import Account
from sashiko.contract.load import load_contract
from sashiko.errors import INTERRUPTED, InputError
from sashiko.pipeline.cloud.executions import Execution, Executions, follow, job_lines
from sashiko.pipeline.cloud.start import check_as_of, start
from sashiko.pipeline.project import choose_recipe, command_options, contract_file, use_recipe
from sashiko.pipeline.runner.run_record import open_view
from sashiko.settings.environment import Settings


def run_in_account(
    settings: Settings,
    *,
    recipe: str | None,
    as_of: str | None,
    from_step: str | None,
    source: str | None,
    home: Path,
    json_: bool,
) -> None:
    """Starts the deployed pipeline, follows it, and exits with the status of a local run."""
    recipe_config = use_recipe(settings, recipe)
    if as_of is not None and load_contract(contract_file(recipe_config)).lake is None:
        check_as_of(as_of, option="--as-of")
    account = Account(settings)
    account.check_identity()
    execution = start(
        settings,
        recipe_config,
        account=account,
        home=home,
        as_of=as_of,
        command=_command("run", settings, recipe),
        from_step=from_step,
        source=source,
    )
    print(f"started {execution.arn}", file=sys.stderr)
    follow_execution(settings, execution, recipe=recipe, json_=json_)


def follow_execution(
    settings: Settings, execution: Execution, *, recipe: str | None, json_: bool
) -> None:
    """Follows an execution to its end; Ctrl-C does not stop it."""
    again = _command("runs follow", settings, recipe, execution.id)
    stop = _command("runs stop", settings, recipe, execution.id)
    hint = f"follow it again: {again}\nstop it: {stop}"
    try:
        with open_view() as view:
            record = follow(execution, view=view)
    except KeyboardInterrupt:
        print(f"execution {execution.id} continues\n{hint}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except InputError:
        print(f"execution {execution.id} may continue\n{hint}", file=sys.stderr)
        raise
    if json_:
        typer.echo(json.dumps(record.model_dump(mode="json"), indent=2))
        raise typer.Exit(record.exit_code)
    typer.echo(f"{record.status}: execution {record.id} of {record.pipeline}")
    if record.status == "registered":
        typer.echo(f"next: {_command('model list', settings, recipe)}")
    elif record.reason:
        typer.echo(record.reason)
    raise typer.Exit(record.exit_code)


def executions(settings: Settings, recipe: str | None) -> tuple[Executions, Account]:
    """Opens the executions of a recipe's pipeline with the caller's credentials."""
    account = Account(settings)
    account.check_identity()
    name = choose_recipe(settings, recipe).name
    command = _command("run", settings, recipe)
    return Executions(settings, name, account=account, command=command), account


def step_log(history: Executions, account: Account, *, step: str, run: str | None) -> Iterator[str]:
    """Yields the log of a step's job; for a cached step, that of the original execution."""
    record = history.find(run).record()
    step_record = record.step(step)
    if not step_record.job and step_record.cached_from:
        step_record = history.find(step_record.cached_from).record().step(step)
    if not step_record.job:
        raise InputError(
            f"step {step} of execution {record.id} has no log: it is {step_record.status}"
        )
    yield from job_lines(account, step_record.type, step_record.job)


def _command(command: str, settings: Settings, recipe: str | None, *arguments: str) -> str:
    options = command_options(recipe=recipe or settings.recipe, env=settings.environment)
    return f"sashiko {command}{options}{''.join(f' {shlex.quote(text)}' for text in arguments)}"
