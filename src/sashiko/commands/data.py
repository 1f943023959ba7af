"""`sashiko data ...`: check a file, fetch inputs, generate synthetic rows."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sashiko.commands.options import AsJson, Environment, Home, RecipeName
from sashiko.errors import CHECK_FAILED, InputError
from sashiko.pipeline.project import HOME, choose_recipe, contract_file
from sashiko.settings.environment import load_settings

app = typer.Typer(
    help="Check a file of data, fetch a recipe's data, or make synthetic rows.",
    no_args_is_help=True,
)


@app.command()
def generate(
    out: Annotated[Path, typer.Argument(help="The Parquet file to write.")],
    rows: Annotated[int, typer.Option(min=1, help="The number of rows.")] = 9000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same file.")] = 0,
    generator: Annotated[
        str | None,
        typer.Option(help="The generator; default: the first of the built-in ones by name."),
    ] = None,
    bias: Annotated[bool, typer.Option(help="Plant the known label bias.")] = True,
    drift: Annotated[bool, typer.Option(help="Shift the mix of topics over time.")] = False,
    plan: Annotated[
        Path | None,
        typer.Option(help="A YAML file: add weeks with planted shifts."),
    ] = None,
) -> None:
    """Write synthetic rows to a Parquet file, in constant memory."""
    from sashiko.data.lake import generate as write

    write(out, generator=generator, rows=rows, seed=seed, bias=bias, drift=drift, plan=plan)
    typer.echo(str(out))


@app.command()
def fetch(env: Environment = "local", recipe: RecipeName = None, home: Home = HOME) -> None:
    """Fetch a recipe's data and weights, so that `sashiko run` needs no network."""
    from sashiko.pipeline.local_run import fetch_inputs

    settings = load_settings(env)
    fetch_inputs(settings, choose_recipe(settings, recipe), home=home)


@app.command()
def pull(
    out: Annotated[Path, typer.Argument(help="The new folder, as a recipe's source names it.")],
    limit: Annotated[int, typer.Option(min=1, help="The number of rows.")],
    env: Environment = "local",
    recipe: RecipeName = None,
) -> None:
    """Copy rows of the recipe's table, if it has another owner, from --env's account."""
    from sashiko.account.account import Account
    from sashiko.account.existing_lake import pull_sample
    from sashiko.contract.load import load_contract
    from sashiko.settings.environment import load_deployed

    settings = load_deployed(env)
    contract = load_contract(contract_file(choose_recipe(settings, recipe)))
    version = pull_sample(Account(settings), settings, contract, rows=limit, folder=out)
    typer.echo(f"{out}: at most {limit:,} rows of {version}")


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A CSV or Parquet file.")],
    contract: Annotated[
        Path | None, typer.Option(help="The contract; default: the recipe's.")
    ] = None,
    env: Environment = "local",
    recipe: RecipeName = None,
    json_: AsJson = False,
) -> None:
    """Check a file against a data contract. Exit status: 0 it passes; 4 it fails; 1 an error."""
    from sashiko.contract.load import load_contract
    from sashiko.data.ingest import check_file
    from sashiko.evaluation.gates.verdict import describe

    if not file.is_file():
        raise InputError(f"{file} does not exist")
    contract_path = contract or contract_file(choose_recipe(load_settings(env), recipe))
    verdict = check_file(file, load_contract(contract_path))
    if json_:
        typer.echo(json.dumps(verdict.model_dump(mode="json", by_alias=True), indent=2))
    else:
        for item in verdict.checks:
            typer.echo(f"{'pass' if item.passed else 'FAIL'}  {describe(item)}")
        typer.echo(verdict.summary.splitlines()[0])
    if not verdict.passed:
        raise typer.Exit(CHECK_FAILED)
