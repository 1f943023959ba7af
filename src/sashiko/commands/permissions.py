"""`sashiko env permissions`: who reads which column and rows, from the synthesized templates."""

import io
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Annotated

import typer

from sashiko.account.access.environment_access import (
    Cell,
    Environment,
    duties,
    object_access,
    permission_matrix,
    read_environment,
)
from sashiko.account.access.lake_governance import Target
from sashiko.account.existing_lake import owner_text
from sashiko.account.names import tag_key
from sashiko.account.templates import CDK_OUT
from sashiko.commands.options import AsJson, DeployedEnvironment, TemplatesFolder
from sashiko.contract.load import load_contract
from sashiko.settings.environment import contract_files, load_deployed

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_STYLES = {"allowed": "green", "files": "magenta", "filtered": "yellow", "-": "dim"}
_PLAIN_WIDTH = 200  # a file or a pipe has no width; nothing must be truncated


def permissions(
    env: DeployedEnvironment = "dev",
    templates: TemplatesFolder = CDK_OUT,
    for_owner: Annotated[
        bool,
        typer.Option(
            "--for-owner", help="Print instead what owners of the contracts' other tables grant."
        ),
    ] = False,
    json_: AsJson = False,
) -> None:
    """Print who can read which columns and rows, according to the synthesized templates.

    Requires `make synth`, but no account. `allowed`: by Lake Formation; `files`: by the objects in
    S3, so every column and row; `filtered`: some rows; `-`: nothing. A condition that cannot be
    evaluated counts as met in an Allow, and as not met in a Deny.
    """
    settings = load_deployed(env)
    if for_owner:
        contracts = map(load_contract, contract_files(settings))
        texts = [owner_text(settings, contract) for contract in contracts if contract.lake]
        typer.echo("\n".join(texts) or f"# no contract of {env} names a `lake`: nothing to grant")
        return
    environment = read_environment(settings, folder=templates)
    if json_:
        typer.echo(json.dumps(as_json(environment), indent=2))
        return
    from rich.console import Console

    if sys.stdout.isatty():
        _print(environment, Console())
        return
    typer.echo(text(environment), nl=False)


def as_json(environment: Environment) -> Mapping[str, object]:
    """Returns all results as plain JSON values."""
    return {
        "environment": environment.settings.environment,
        "account": environment.templates.account,
        "region": environment.templates.region,
        "cells": [asdict(cell) for cell in permission_matrix(environment, environment)],
        "objects": [asdict(item) for item in object_access(environment)],
        "duties": asdict(duties(environment)),
        "admins": sorted(_admins(environment)),
    }


def text(environment: Environment) -> str:
    """Draws the matrix as plain text, for a file or a pipe."""
    from rich.console import Console

    stream = io.StringIO()
    _print(environment, Console(file=stream, width=_PLAIN_WIDTH))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _print(environment: Environment, console: "Console") -> None:
    cells = permission_matrix(environment, environment)
    templates = environment.templates
    head = f"{environment.settings.environment}: account {templates.account}, {templates.region}"
    console.print(f"{head}\n", markup=False, highlight=False)
    readers = sorted({cell.principal for cell in cells if cell.access != "denied"})
    key = tag_key(environment.settings, "sensitivity")
    table_of = attrgetter("database", "table")
    for name, table_cells in groupby(sorted(cells, key=table_of), key=table_of):
        table = _table(".".join(name), "column", "sensitivity", *readers)
        rows: dict[str, dict[str, Cell]] = {}
        for cell in table_cells:
            rows.setdefault(cell.column, {})[cell.principal] = cell
        for column, row in rows.items():
            target = Target(database=name[0], table=name[1], column=column)
            tag = environment.governance.tags_of(target).get(key, "-")
            labels = []
            for cell in (row[reader] for reader in readers):
                label = "files" if "files" in cell.grounds else cell.access
                labels.append("-" if cell.access == "denied" else label)
            table.add_row(column, tag, *(f"[{_STYLES[label]}]{label}[/]" for label in labels))
        console.print(table)
    filters = {
        (cell.principal, f"{cell.database}.{cell.table}", " or ".join(cell.rows))
        for cell in cells
        if cell.access == "filtered"
    }
    filtered = sorted(filters)
    lines = [f"filtered: {who} reads of {of} the rows where {rows}" for who, of, rows in filtered]
    if environment.settings.lake_formation.mode == "iam_only":
        lines.append("iam_only: whoever reads a table's files reads all of its columns and rows")
    non_readers = [role.name for role in environment.principals if role.name not in readers]
    _print_lines(console, [*lines, f"no column: {', '.join(non_readers) or 'nobody'}", ""])
    table = _table("objects in S3", "bucket", "role", "reads", "writes")
    for item in object_access(environment):
        reads, writes = (", ".join(keys) or "-" for keys in (item.reads, item.writes))
        table.add_row(item.bucket, item.principal, reads, writes)
    console.print(table)
    separation = duties(environment)
    lines = [
        f"registers models: {', '.join(separation.registers) or 'nobody'}",
        f"approves models: {', '.join(separation.approves) or 'nobody'}",
    ]
    for title, pairs in (("assumes", separation.assumes), ("starts jobs as", separation.passes)):
        for role, role_pairs in groupby(pairs, key=itemgetter(0)):
            lines.append(f"{role} {title}: {', '.join(other for _, other in role_pairs)}")
    admins = ", ".join(sorted(_admins(environment))) or "none in these templates"
    lines.append(f"data-lake administrators, who can grant themselves anything: {admins}")
    _print_lines(console, lines)


def _print_lines(console: "Console", lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _admins(environment: Environment) -> frozenset[str]:
    settings = environment.governance.settings
    return settings.admins if settings else frozenset()


def _table(title: str, *columns: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
