"""`sashiko upgrade`: moves a project to a later version of the engine."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from sashiko.errors import FAILED, InputError


def upgrade(
    to: Annotated[
        str, typer.Argument(help="A wheel file, or a version that pip downloads from your index.")
    ],
) -> None:
    """Pin a later engine, and merge the changes of its template into the project's files.

    Conflicts are marked in the files and listed; the exit status is then 1. Files that the template
    does not have or did not change stay as they are, but for the names of moved modules, which are
    rewritten. Imports that the new engine does not have are listed; the exit status is then 1 too.
    """
    from sashiko.project.copier_template import read_wheel
    from sashiko.project.project_upgrade import upgrade_project

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
        raise typer.Exit(FAILED)
    print("next: read docs/changelog.md, then make check test", file=sys.stderr)
