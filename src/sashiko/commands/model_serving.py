"""`sashiko model serve`, `replay` and `invoke`: the champion answers on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sashiko.account.endpoint_spec import VARIANT
from sashiko.commands.options import Environment, Home, RecipeName
from sashiko.commands.times import parse_time
from sashiko.pipeline.champion import champion_artifact, invoke_local
from sashiko.pipeline.project import CAPTURES, HOME, choose_recipe, contract_file
from sashiko.registry.versions import ModelVersion
from sashiko.settings.environment import load_settings

if TYPE_CHECKING:
    from sashiko.serving.capture import CaptureSettings

_FOR_EVER = 100 * 366 * 86_400  # seconds

Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="The port on 127.0.0.1.")]


def serve(
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
    port: Port = 8080,
    capture: Annotated[
        int,
        typer.Option(
            "--capture",
            min=0,
            max=100,
            help="The percentage of requests that are kept with their answers below "
            "<home>/capture, as SageMaker's data capture keeps them. They are personal data.",
        ),
    ] = 0,
) -> None:
    """Serve the champion on 127.0.0.1 with SageMaker's routes, /ping and /invocations."""
    from sashiko.serving.server import serve_artifact

    settings = load_settings(env)
    recipe_config = choose_recipe(settings, recipe)
    with champion_artifact(recipe_config, name=recipe, home=home) as (artifact, version):
        retention = settings.serving.capture.retention
        serve_artifact(
            artifact,
            threshold=version.threshold,
            port=port,
            capture=_capture(version, percent=capture, retention=retention, home=home)
            if capture
            else None,
        )


def replay(
    file: Annotated[Path, typer.Argument(help="A CSV or Parquet file of the contract's rows.")],
    since: Annotated[
        str | None, typer.Option("--since", help="The first time in UTC, such as 2026-01-01.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="The end of the times; itself left out.")
    ] = None,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
) -> None:
    """Answer a file's rows with the champion, at the times in the file, and capture the requests.

    Monitoring then judges them as those of a served model: `sashiko monitor`.
    """
    from sashiko.contract.load import load_contract
    from sashiko.serving.replay import replay_file

    settings = load_settings(env)
    recipe_config = choose_recipe(settings, recipe)
    contract = load_contract(contract_file(recipe_config))
    with champion_artifact(recipe_config, name=recipe, home=home) as (artifact, version):
        requests = replay_file(
            artifact,
            threshold=version.threshold,
            contract=contract,
            path=file,
            # Rows of the past are not older than they were meant to become.
            capture=_capture(version, percent=100, retention=_FOR_EVER, home=home),
            since=None if since is None else parse_time(since, option="--since"),
            until=None if until is None else parse_time(until, option="--until"),
        )
    typer.echo(f"{version.group} version {version.version} answered {requests:,} requests")


def invoke(
    text: Annotated[str, typer.Argument(help="A text, or a JSON request body.")],
    port: Port = 8080,
) -> None:
    """Send one request to the served model and print the response."""
    typer.echo(invoke_local(text, port=port))


def _capture(
    version: ModelVersion, *, percent: int, retention: int, home: Path
) -> "CaptureSettings":
    from sashiko.serving.capture import CaptureSettings

    return CaptureSettings(
        folder=home / CAPTURES,
        endpoint=version.group,
        variant=VARIANT,
        version=version.version,
        percent=percent,
        retention=retention,
    )
