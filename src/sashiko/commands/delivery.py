"""`sashiko delivery ...`: how a merge reaches the environments."""

import typer

app = typer.Typer(help="Delivery: print the workflow of GitHub Actions.", no_args_is_help=True)


@app.callback()
def delivery() -> None:
    """The group has no options."""


@app.command()
def workflow() -> None:
    """Print the workflow for .github/workflows/deliver.yml, from config/delivery.yaml.

    It builds and tests, synthesizes once, and brings that assembly to each stage in turn. Write it
    again after a change of the settings: it compares itself with what this command prints.
    """
    from sashiko.scaffold.workflow import workflow as text

    typer.echo(text(), nl=False)
