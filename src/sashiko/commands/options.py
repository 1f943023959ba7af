"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Environment = Annotated[str, typer.Option("--env", help="The environment: a file in config/.")]
RecipeName = Annotated[
    str | None,
    typer.Option("--recipe", help="A recipe's name or file; default: `recipe` in config/."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a recipe's key for this run: train.epochs=1."),
]
Home = Annotated[Path, typer.Option("--home", help="The folder of all local state.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
DeployedEnvironment = Annotated[
    str, typer.Option("--env", help="The environment: a file in config/ that has an account.")
]
Place = Annotated[
    str,
    typer.Option("--env", help="An environment that has an account, or `delivery`: the tools'."),
]
TemplatesFolder = Annotated[
    Path, typer.Option("--templates", help="The output of `make synth` for the environment.")
]
