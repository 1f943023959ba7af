"""`sashiko env permissions`: who reads which column and rows, from the synthesized templates."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Annotated

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
from sashiko.commands.options import AsJson, DeployedEnvironment, TemplatesFolder, align
from sashiko.contract.load import load_contract
from sashiko.errors import InputError
from sashiko.settings.environment import contract_files, load_deployed


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
        if json_:
            raise InputError("--for-owner prints commands for a shell: leave --json out")
        contracts = map(load_contract, contract_files(settings))
        texts = [owner_text(settings, contract) for contract in contracts if contract.lake]
        typer.echo("\n".join(texts) or f"# no contract of {env} names a `lake`: nothing to grant")
        return
    environment = read_environment(settings, folder=templates)
    if json_:
        typer.echo(json.dumps(as_json(environment), indent=2))
        return
    typer.echo("\n".join(text(environment)))


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


def text(environment: Environment) -> Iterator[str]:
    """Yields the lines of the text output."""
    cells = permission_matrix(environment, environment)
    templates = environment.templates
    yield f"{environment.settings.environment}: account {templates.account}, {templates.region}"
    readers = sorted({cell.principal for cell in cells if cell.access != "denied"})
    key = tag_key(environment.settings, "sensitivity")
    table_of = attrgetter("database", "table")
    for name, table_cells in groupby(sorted(cells, key=table_of), key=table_of):
        rows: dict[str, dict[str, Cell]] = {}
        for cell in table_cells:
            rows.setdefault(cell.column, {})[cell.principal] = cell
        lines = [("column", "sensitivity", *readers)]
        for column, row in rows.items():
            target = Target(database=name[0], table=name[1], column=column)
            tag = environment.governance.tags_of(target).get(key, "-")
            labels = []
            for cell in (row[reader] for reader in readers):
                label = "files" if "files" in cell.grounds else cell.access
                labels.append("-" if cell.access == "denied" else label)
            lines.append((column, tag, *labels))
        yield from ("", ".".join(name), *align(lines))
    yield ""
    filters = {
        (cell.principal, f"{cell.database}.{cell.table}", " or ".join(cell.rows))
        for cell in cells
        if cell.access == "filtered"
    }
    for who, of, where in sorted(filters):
        yield f"filtered: {who} reads of {of} the rows where {where}"
    if environment.settings.lake_formation.mode == "iam_only":
        yield "iam_only: whoever reads a table's files reads all of its columns and rows"
    non_readers = [role.name for role in environment.principals if role.name not in readers]
    yield f"no column: {', '.join(non_readers) or 'nobody'}"
    objects = [("bucket", "role", "reads", "writes")]
    for item in object_access(environment):
        reads, writes = (", ".join(keys) or "-" for keys in (item.reads, item.writes))
        objects.append((item.bucket, item.principal, reads, writes))
    yield from ("", "objects in S3", *align(objects), "")
    separation = duties(environment)
    yield f"registers models: {', '.join(separation.registers) or 'nobody'}"
    yield f"approves models: {', '.join(separation.approves) or 'nobody'}"
    for title, pairs in (("assumes", separation.assumes), ("starts jobs as", separation.passes)):
        for role, role_pairs in groupby(pairs, key=itemgetter(0)):
            yield f"{role} {title}: {', '.join(other for _, other in role_pairs)}"
    admins = ", ".join(sorted(_admins(environment))) or "none in these templates"
    yield f"data-lake administrators, who can grant themselves anything: {admins}"


def _admins(environment: Environment) -> frozenset[str]:
    settings = environment.governance.settings
    return settings.admins if settings else frozenset()
