"""`sashiko data ...`: check a file, measure its bias, fetch inputs, generate synthetic rows."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sashiko.commands.options import AsJson, Environment, Home, RecipeName
from sashiko.data.draft.review import refuse_unreviewed
from sashiko.errors import BLOCKED, CHECK_FAILED, InputError
from sashiko.pipeline.project import HOME, choose_recipe, contract_file, find_recipe, open_recipe
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe_bias import BiasSection

app = typer.Typer(
    help="Check a file of data, measure its bias, fetch a recipe's data, or make synthetic rows.",
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
        typer.Option(help="A YAML file: add weeks with planted shifts, and list them beside OUT."),
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


@app.command()
def bias(
    data: Annotated[
        Path,
        typer.Argument(help="A CSV or Parquet file with the contract's columns, or a folder."),
    ],
    contract: Annotated[Path, typer.Option(help="The data contract, with label and facets.")],
    predictions: Annotated[
        Path | None,
        typer.Option(help="A file of the key and a prediction for each row, or a run's own file."),
    ] = None,
    predicted_label: Annotated[
        str | None,
        typer.Option(help="The predictions' column; default: predicted_label or predicted."),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Also judge the predictions by this recipe's bias gates.")
    ] = None,
    json_: AsJson = False,
) -> None:
    """Measure the bias of labels and predictions in a file: Clarify's metrics, with intervals.

    The contract's group of each facet is compared with everyone else, then each combination of
    several facets' groups, the worst off first. With --json, print Clarify's analysis.json and the
    intervals. Exit status: 0; 3 a gate of --recipe blocks; 1 an error.
    """
    from sashiko.bias.clarify.analysis import analysis_json
    from sashiko.commands.bias_analysis import analyse_file, file_verdict, text
    from sashiko.contract.load import load_contract

    if predictions is None and (recipe or predicted_label):
        raise InputError("--recipe and --predicted-label apply to predictions: add --predictions")
    data_contract = load_contract(contract)
    refuse_unreviewed([contract])
    judging_recipe = open_recipe(find_recipe(recipe)) if recipe else None
    if judging_recipe and not judging_recipe.bias.judged:
        raise InputError(f"recipe {recipe} says `bias: {{judged: false}}`: leave --recipe out")
    section = judging_recipe.bias if judging_recipe else BiasSection()
    analysis = analyse_file(
        data_contract, data, predictions, column=predicted_label, section=section
    )
    verdict = None
    if judging_recipe and predictions:
        inputs = {"data": data, "predictions": predictions}
        verdict = file_verdict(analysis, data_contract, judging_recipe, inputs=inputs)
    if json_:
        value = analysis_json(analysis.analysis)
        value["intervals"] = [estimate.model_dump(mode="json") for estimate in analysis.estimates]
        if analysis.by_class:
            value["classes"] = [estimate.model_dump(mode="json") for estimate in analysis.by_class]
        if verdict:
            value["verdict"] = verdict.model_dump(mode="json", by_alias=True)
        typer.echo(json.dumps(value, indent=2))
    else:
        for line in text(analysis, minimum_group_size=section.minimum_group_size):
            typer.echo(line)
        if verdict:
            typer.echo(verdict.summary)
    if verdict and not verdict.passed:
        raise typer.Exit(BLOCKED)
