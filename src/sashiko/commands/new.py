"""`sashiko new`: creates a project that depends on the engine."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from sashiko.errors import InputError


def new(
    folder: Annotated[Path, typer.Argument(help="The project's folder, new or empty.")],
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Ask no questions; the data set is the sample.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option("--data", help="A CSV or Parquet file to train on.")
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", help="The column to predict, with two values.")
    ] = None,
    facet: Annotated[
        list[str] | None,
        typer.Option("--facet", help="A column by which bias is judged; repeatable."),
    ] = None,
    answer: Annotated[
        list[str] | None,
        typer.Option(
            "--answer",
            help="Answer a question: project=acme, package=, dev_account=, prod_account=, region=, "
            "engine_source=index; repeatable.",
        ),
    ] = None,
    engine: Annotated[
        Path | None,
        typer.Option("--engine", help="The engine's wheel; default: that of this engine."),
    ] = None,
) -> None:
    """Create a project: contract, recipe, settings, pipeline, stacks, a step, tests and CI."""
    from sashiko.data.draft.naming import project_name
    from sashiko.scaffold.create import create_project
    from sashiko.scaffold.template import engine_wheel, read_wheel

    if (data is None) != (label is None):
        raise InputError("--data and --label go together: the file, and its column to predict")
    if not defaults and not sys.stdin.isatty():
        raise InputError("there is no terminal to ask in: add --defaults, and --answer KEY=VALUE")
    answers = {}
    for item in answer or ():
        key, separator, value = item.partition("=")
        if not separator:
            raise InputError(f"--answer {item}: expected KEY=VALUE, such as project=acme")
        answers[key] = value
    if data is not None and label is not None:
        answers |= {"data_file": str(data.absolute()), "label": label}
        answers.setdefault("dataset", project_name(data))
    with tempfile.TemporaryDirectory() as scratch:
        wheel = read_wheel(engine) if engine else engine_wheel(Path(scratch))
        create_project(folder, wheel=wheel, answers=answers, facets=facet or (), defaults=defaults)
    typer.echo(folder)
    print(f"next: cd {folder} && git init && make run", file=sys.stderr)
