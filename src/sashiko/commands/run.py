"""`sashiko run`: data to registered model, on this machine or in an account."""

import json
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from sashiko.commands.options import AsJson, Environment, Home, Overrides, RecipeName, WithRows
from sashiko.errors import INTERRUPTED, InputError
from sashiko.packs import pack_objects
from sashiko.pipeline.project import HOME, use_recipe
from sashiko.settings.environment import load_settings


def run(
    env: Environment = "local",
    recipe: RecipeName = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="Repeat this step and all steps after it.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            help="With --from in an account: the execution whose results are reused; default: the "
            "newest that has them."
        ),
    ] = None,
    set_: Overrides = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            help="The version of the data: in an account, a load, by default the last; of an "
            "Iceberg table a snapshot's id, by default the newest."
        ),
    ] = None,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep",
            help="Train once per reweighing strength, judge each on the validation split, and "
            "recommend one. Registers nothing.",
        ),
    ] = False,
    strengths: Annotated[
        str | None,
        typer.Option(
            help="With --sweep: reweighing strengths, 0 to 4; default: 0,0.5,1,1.5,2. "
            "The recipe's own is always included."
        ),
    ] = None,
    home: Home = HOME,
    with_rows: WithRows = False,
    json_: AsJson = False,
) -> None:
    """Run the pipeline: snapshot, validate, train, compile, evaluate, judge bias, register.

    In an account, start the deployed pipeline and follow it; Ctrl-C does not stop the pipeline.
    Exit status: 0 registered; 3 blocked by a gate; 1 an error; 130 interrupted. With --sweep: 0 a
    point passes; 3 none does.
    """
    settings = load_settings(env)
    if strengths is not None and not sweep:
        raise InputError(
            f"--strengths {strengths}: add --sweep; for one strength, use "
            "`--set reweighing.strength=...`"
        )
    if source is not None and (from_ is None or settings.tier == "local"):
        raise InputError(f"--source {source}: it goes with --from in an account")
    if sweep:
        run_sweep = next(iter(pack_objects("sweep")), None)
        if run_sweep is None:
            raise InputError("--sweep: no pack in `packs` of config/base.yaml has a sweep")
        with _stopped_by_sigterm():
            run_sweep(
                settings, strengths, recipe=recipe, from_=from_, set_=set_, as_of=as_of,
                home=home, command=_command(recipe or settings.recipe, set_, home), json_=json_,
            )  # fmt: skip
        return
    if settings.tier == "local":
        from sashiko.commands.local_runs import run_locally

        recipe_config = use_recipe(settings, recipe, overrides=tuple(set_ or ()))
        command = _command(recipe or settings.recipe, set_, home)
        try:
            with _stopped_by_sigterm():
                record, summary = run_locally(
                    settings, recipe_config,
                    home=home, from_step=from_, command=command, with_rows=with_rows,
                    as_of=as_of,
                )  # fmt: skip
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        typer.echo(json.dumps(record.model_dump(mode="json"), indent=2) if json_ else summary)
        raise typer.Exit(record.exit_code)
    # An account runs the deployed pipeline with all its gates.
    if set_:
        raise InputError(
            f"--set {set_[0]}: an account runs the recipe that was deployed; change the recipe "
            "and run make deploy"
        )
    from sashiko.commands.cloud_runs import run_in_account

    run_in_account(
        settings,
        recipe=recipe, as_of=as_of, from_step=from_, source=source, home=home, json_=json_,
    )  # fmt: skip


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Handles SIGTERM as Ctrl-C before and after the steps, including child processes.

    While steps run, the runner handles both signals.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _command(recipe: str, overrides: list[str] | None, home: Path) -> str:
    """Returns the command line that repeats the run."""
    options = [word for override in overrides or () for word in ("--set", override)]
    options += [] if home == HOME else ["--home", str(home)]
    return shlex.join(["sashiko", "run", "--recipe", recipe, *options])
