"""`sashiko predict`: score a file with the champion."""

from pathlib import Path
from typing import Annotated

import typer

from sashiko.commands.options import Environment, Home, RecipeName
from sashiko.pipeline.project import HOME, contract_file, use_recipe
from sashiko.settings.environment import load_settings


def predict(
    file: Annotated[
        Path, typer.Argument(help="A CSV or Parquet file with the template's columns.")
    ],
    out: Annotated[Path | None, typer.Option(help="Write the CSV here instead of stdout.")] = None,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
) -> None:
    """Score a file with the approved model; write each row's label and score as CSV."""
    from sashiko.contract.load import load_contract
    from sashiko.pipeline.local_models import champion_artifact
    from sashiko.serving.file_prediction import predict_file

    recipe_config = use_recipe(load_settings(env), recipe)
    contract = load_contract(contract_file(recipe_config))
    with champion_artifact(recipe_config, name=recipe, home=home) as (artifact, version):
        predict_file(artifact, threshold=version.threshold, contract=contract, path=file, out=out)
