"""`sashiko delivery ...`: how a merge reaches the environments."""

from typing import Annotated

import typer

from sashiko_packs.delivery.workflow import WorkflowName

app = typer.Typer(help="Delivery: print the workflows of GitHub Actions.", no_args_is_help=True)


@app.callback()
def delivery() -> None:
    """The group has no options."""


@app.command()
def workflow(
    name: Annotated[WorkflowName, typer.Argument(help="Which of the two.")] = "deliver",
) -> None:
    """Print a workflow for .github/workflows/<name>.yml, from config/delivery.yaml.

    `deliver` builds and tests, synthesizes once, and brings that assembly to each stage in turn.
    `model-delivery` opens the pull request of an approved version, each hour. Write them again
    after a change of the settings: each compares itself with what this command prints.
    """
    from sashiko_packs.delivery.workflow import workflow as text

    typer.echo(text(name), nl=False)
