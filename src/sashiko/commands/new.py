"""`sashiko new` creates a project that depends on the engine; `sashiko upgrade` moves it on."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from sashiko.commands import options
from sashiko.errors import CHECK_FAILED, InputError


def upgrade(
    to: Annotated[
        str, typer.Argument(help="A wheel file, or a version that pip downloads from your index.")
    ],
) -> None:
    """Pin a later engine, and merge its template's changes into the project's files.

    Conflicts are marked in the files and listed, and so are imports that the new engine lacks.
    Other files keep their content, but imports of moved modules are rewritten in them. Exit status:
    0 done; 4 conflicts or lost imports to resolve; 1 an error.
    """
    from sashiko.project.project_upgrade import read_wheel, upgrade_project

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(to)
        if not to.endswith(".whl"):  # pip's settings name the index
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
            command += [scratch, f"sashiko=={to}"]
            if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
                raise InputError(f"pip could not download sashiko=={to}: see above")
            path = next(Path(scratch).glob("*.whl"))
        result = upgrade_project(Path.cwd(), wheel=read_wheel(path))
    for name in result.written:
        typer.echo(f"{'conflict' if name in result.conflicts else 'changed '}  {name}")
    for name in result.deleted:
        typer.echo(f"deleted   {name}")
    if result.conflicts:
        print(
            f"error: {len(result.conflicts)} of the files have conflicts between your changes and "
            "the template's: edit the marked lines, then make check test",
            file=sys.stderr,
        )
    for line in result.unknown:
        print(f"error: {line} is not in the new engine: see docs/api.md", file=sys.stderr)
    if result.conflicts or result.unknown:
        raise typer.Exit(CHECK_FAILED)
    print("next: read docs/changelog.md, then make check test", file=sys.stderr)


def new(
    folder: Annotated[Path, typer.Argument(help="The project's folder, new or empty.")],
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Ask no questions; the data set is the sample.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="A CSV or Parquet file to train on.")] = None,
    label: Annotated[
        str | None, typer.Option(help="The column to predict, with 2 to 20 values.")
    ] = None,
    facet: options.Facets = None,
    delimiter: options.DelimiterName = None,
    encoding: options.EncodingName = None,
    decimal: options.DecimalName = None,
    date_order: options.DateOrder = None,
    packs: Annotated[
        str | None,
        typer.Option(
            help="Packs to turn on, as monitoring,selection; default: monitoring; '': none."
        ),
    ] = None,
    answer: Annotated[
        list[str] | None,
        typer.Option(
            help="Answer a question: project=acme, package=, dev_account=, prod_account=, region=, "
            "engine_source=index; repeatable."
        ),
    ] = None,
    engine: Annotated[
        Path | None, typer.Option(help="The engine's wheel; default: this engine.")
    ] = None,
) -> None:
    """Create a project: contract, recipe, settings, pipeline, stacks, a step, tests and CI."""
    from sashiko.data.draft.naming import prefix_name, project_name
    from sashiko.data.draft.review import review_lines
    from sashiko.project.project_upgrade import create_project, engine_wheel, read_wheel

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
    if packs is not None:
        answers["packs"] = packs
    if data is not None and label is not None:
        answers |= {"data_file": str(data.absolute()), "label": label}
        answers.setdefault("dataset", project_name(data))
    if defaults and "project" not in answers:
        answers["project"] = prefix_name(folder)
        if answers["project"] != folder.absolute().name:
            print(
                f"project: {answers['project']}, the prefix of AWS names, as {folder.name} cannot "
                "be one; --answer project=NAME chooses another",
                file=sys.stderr,
            )
    values = {
        "delimiter": delimiter, "encoding": encoding, "decimal": decimal, "date-order": date_order,
    }  # fmt: skip
    draft = [f"--facet={column}" for column in facet or ()]
    draft += [f"--{name}={value}" for name, value in values.items() if value is not None]
    if draft and defaults and "data_file" not in answers:
        raise InputError(f"{draft[0]} applies to a data file: add --data and --label")
    with tempfile.TemporaryDirectory() as scratch:
        wheel = read_wheel(engine) if engine else engine_wheel(Path(scratch))
        replies = create_project(
            folder, wheel=wheel, answers=answers, draft_options=draft, defaults=defaults
        )
    typer.echo(folder)
    if not replies["data_file"]:
        print(f"next: cd {folder} && git init && make run", file=sys.stderr)
        return
    contract, recipe = (
        f"contracts/{replies['dataset']}.odcs.yaml", f"recipes/{replies['dataset']}.yaml"
    )  # fmt: skip
    guesses = sum(len(review_lines(folder / file)) for file in (contract, recipe))
    print(
        f"next: cd {folder} && git init; review the {guesses} guesses in {contract} and {recipe}; "
        f"then make setup && .venv/bin/sashiko contract check {contract}, and make run",
        file=sys.stderr,
    )
