"""`sashiko data bias`: the bias of a file's labels, and of predictions for it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sashiko.commands.options import AsJson
from sashiko.data.draft.review import refuse_unreviewed
from sashiko.errors import BLOCKED, InputError
from sashiko.pipeline.project import find_recipe, open_recipe
from sashiko.settings.recipe_bias import BiasSection


def bias(
    data: Annotated[
        Path,
        typer.Argument(
            help="A CSV, Parquet or JSON Lines file with the contract's columns, or a folder."
        ),
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
    probability_threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Read predictions as probabilities, which are positive above this threshold.",
        ),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Also judge the predictions by this recipe's bias gates.")
    ] = None,
    json_: AsJson = False,
) -> None:
    """Measure the bias of a file's labels and predictions: Clarify's metrics, with intervals.

    Compare the contract's group of each facet with everyone else, and then each combination of
    several facets' groups, the worst off first. With --json, print Clarify's analysis.json with
    the intervals. Exit status: 3 if a gate of --recipe blocks.
    """
    from sashiko.bias.clarify.analysis import analysis_json
    from sashiko.commands.bias_analysis import Predictions, analyse_file, file_verdict, text
    from sashiko.contract.load import load_contract

    if predictions is None and (recipe or predicted_label or probability_threshold is not None):
        raise InputError(
            "--recipe, --predicted-label and --probability-threshold apply to predictions: add "
            "--predictions"
        )
    data_contract = load_contract(contract)
    refuse_unreviewed([contract])
    judging_recipe = open_recipe(find_recipe(recipe)) if recipe else None
    if judging_recipe and not judging_recipe.bias.judged:
        raise InputError(f"recipe {recipe} says `bias: {{judged: false}}`: leave --recipe out")
    section = judging_recipe.bias if judging_recipe else BiasSection()
    source = None
    if predictions:
        source = Predictions(predictions, predicted_label, probability_threshold)
    analysis = analyse_file(data_contract, data, source, section=section)
    verdict = None
    if judging_recipe and predictions:
        inputs = {"data": data, "predictions": predictions}
        verdict = file_verdict(analysis, data_contract, judging_recipe, inputs=inputs)
    if json_:
        value = analysis_json(analysis.analysis)
        value["intervals"] = [estimate.model_dump(mode="json") for estimate in analysis.estimates]
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
