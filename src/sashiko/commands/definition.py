"""`sashiko definition`: the pipeline as SageMaker gets it."""

import typer

from sashiko.commands.options import Environment, Home, Overrides, RecipeName
from sashiko.repository import HOME, use_recipe
from sashiko.settings import load_settings


def definition(
    env: Environment = "local",
    recipe: RecipeName = None,
    set_: Overrides = None,
    home: Home = HOME,
) -> None:
    """Print the pipeline's definition JSON, the one that SageMaker runs and `run` interprets."""
    from sashiko.compiled import compiled_definition

    settings = load_settings(env)
    chosen = use_recipe(settings, recipe, overrides=tuple(set_ or ()))
    typer.echo(compiled_definition(settings, chosen, home=home), nl=False)
