"""`sashiko contract ...`: check a data contract."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sashiko.commands.options import AsJson

app = typer.Typer(help="Data contracts: check.", no_args_is_help=True)


@app.callback()
def contracts() -> None:
    """Data contracts (Open Data Contract Standard)."""


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="An ODCS YAML file.")], json_: AsJson = False
) -> None:
    """Check a contract: the standard's rules, ours, and that every rule becomes an expectation."""
    from sashiko.contract.model import load_contract
    from sashiko.contract.suite import expectation_suite

    contract = load_contract(file)
    suite = expectation_suite(contract, "all")
    if json_:
        typer.echo(json.dumps(contract.model_dump(mode="json"), indent=2))
        return
    typer.echo(f"{file}: valid; {contract.id} {contract.version}, table {contract.table}")
    for column in contract.columns:
        typer.echo(f"  {column.name:<24} {column.logical_type:<10} {column.classification}")
    typer.echo(f"  {len(suite.expectations)} expectations")
