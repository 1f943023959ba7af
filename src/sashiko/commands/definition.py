"""`sashiko definition`: prints the pipeline's definition, and validates it offline."""

import json
from typing import Annotated

import typer

from sashiko.commands.options import Environment, Home, Overrides, RecipeName
from sashiko.pipeline.project import FINETUNE, HOME, use_recipe
from sashiko.settings.environment import load_settings


def definition(
    env: Environment = "local",
    recipe: RecipeName = None,
    set_: Overrides = None,
    check: Annotated[
        bool, typer.Option("--check", help="Validate it against SageMaker's API instead, offline.")
    ] = False,
    pipeline: Annotated[
        str, typer.Option("--pipeline", help="Which one: a module of pipelines/.")
    ] = FINETUNE,
    home: Home = HOME,
) -> None:
    """Print a pipeline's definition JSON, which SageMaker runs, and `run` or `monitor` interprets.

    With --check, print a line with step and path for each problem. Exit status: 0 no problem, 1
    problems.
    """
    from sashiko.pipeline.compiled import compile_pipeline

    settings = load_settings(env)
    recipe_config = use_recipe(settings, recipe, overrides=tuple(set_ or ()))
    text = compile_pipeline(settings, recipe_config, home=home, pipeline=pipeline).definition
    if not check:
        typer.echo(text, nl=False)
        return
    from sashiko.pipeline.definition.validator.check import check_definition

    checked = check_definition(json.loads(text))
    typer.echo(f"{checked.steps} steps, {checked.arguments} arguments checked: no problem")
