"""`sashiko model ...`: list registered versions, approve, reject or promote them, trace them."""

import getpass
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sashiko.account.names import model_package_group_name
from sashiko.base.exit_status import CHECK_FAILED
from sashiko.commands.model_serving import invoke, replay, serve
from sashiko.commands.options import AsJson, Environment, Home, RecipeName
from sashiko.errors import InputError
from sashiko.packs import load_object, pack_commands
from sashiko.pipeline.champion import open_local, other_groups, refuse_ambiguous
from sashiko.pipeline.project import HOME, choose_recipe, command_options
from sashiko.registry.mlflow import MlflowRegistry
from sashiko.registry.versions import (
    SIGNED_BY_TAG,
    ApprovalStatus,
    ModelVersion,
    ReviewRegistry,
)
from sashiko.settings.environment import load_deployed, load_settings

if TYPE_CHECKING:
    from sashiko.registry.chain import Witness

app = typer.Typer(
    help="Registered models: list, approve, promote, trace, serve, invoke.",
    no_args_is_help=True,
)

# Of a model package.
_FILES = ("manifest", "manifest_sha256", "signature", SIGNED_BY_TAG, "mlflow_run_id")

Version = Annotated[int, typer.Argument(help="The version's number.")]
By = Annotated[str, typer.Option("--by", help="The reviewer.", default_factory=getpass.getuser)]
Reason = Annotated[str, typer.Option("--reason", help="The reason, stored with the version.")]


@app.command("list")
def list_(
    env: Environment = "local", recipe: RecipeName = None, home: Home = HOME, json_: AsJson = False
) -> None:
    """List the versions of a recipe's model package group, newest first."""
    registry, group = _open(env, recipe, home)
    versions = registry.versions(group)
    if json_:
        typer.echo(json.dumps([asdict(version) for version in versions], indent=2))
        return
    if not versions:
        options = command_options(recipe=recipe or load_settings(env).recipe, env=env, home=home)
        print(f"no version of {group} is registered yet: sashiko run{options}", file=sys.stderr)
    for version in versions:
        aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
        typer.echo(f"{group} {version.version}{aliases}  {version.status}  {_evidence(version)}")
    if recipe is None and isinstance(registry, MlflowRegistry):
        for other in other_groups(registry, group):
            options = command_options(recipe=other.recipe, home=home)
            print(
                f"{other.name}: {len(other.versions)} more: sashiko model list{options}",
                file=sys.stderr,
            )


@app.command()
def approve(
    version: Version,
    reason: Reason,
    by: By,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
) -> None:
    """Approve a version; the newest approved one is the champion, which is served."""
    _decide("Approved", version, reason=reason, by=by, place=(env, recipe, home))


@app.command()
def reject(
    version: Version,
    reason: Reason,
    by: By,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
) -> None:
    """Reject a version; a rejected version is no longer the champion."""
    _decide("Rejected", version, reason=reason, by=by, place=(env, recipe, home))


@app.command()
def promote(
    version: Annotated[int, typer.Argument(help="The version's number where it was approved.")],
    to: Annotated[str, typer.Option("--to", help="The target environment.")],
    recipe: RecipeName = None,
) -> None:
    """Copy an approved version into another environment, where it waits for approval.

    `promotion.source` in config/<to>.yaml names the source. The version must be approved there and
    its gates passed, every file must match the signed manifest, and it must be compiled for the
    image and the instance of <to>. Prints the new version's ARN, or that of the existing copy. Uses
    your credentials, which must be those of the role `promoter` of <to>.
    """
    from sashiko.account.neighbours import neighbour_settings
    from sashiko.account.promotion import Route
    from sashiko.account.promotion import promote as copy

    target = load_deployed(to)
    source = neighbour_settings(target, "source")
    if source is None:
        raise InputError(
            f"{to} has no source of versions: set `promotion.source` in config/{to}.yaml and "
            "`promotion.target` in the other environment's file, and deploy both"
        )
    recipe_config = choose_recipe(target, recipe)
    group = model_package_group_name(source, recipe_config.model_package_group)
    print(f"promoting {group} {version} of {source.environment} to {to}", file=sys.stderr)
    promoted, new = copy(Route(source=source, target=target, recipe=recipe_config), version)
    typer.echo(promoted.arn)
    state = "is the new copy" if new else "is the existing copy"
    print(f"{promoted.group} {promoted.version} {state}: {promoted.status}", file=sys.stderr)
    options = command_options(recipe=recipe or target.recipe, env=to)
    print(
        f"next: as the approver, sashiko model approve {promoted.version}{options} --reason ...; "
        f"then sashiko model deliver {promoted.version} --env {to}",
        file=sys.stderr,
    )


for _name, _target in pack_commands("model").items():
    app.command(_name)(load_object(_target))


@app.command()
def lineage(
    version: Version,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
    json_: AsJson = False,
) -> None:
    """Show a version's provenance: approver, data, code, chain, gates with numbers, files, lineage.

    Check each registered file against the version's manifest, and walk the chain of in-toto
    statements: model, definition, data, images, the engine's wheel, commit. Each link is verified,
    not verifiable here (the line says how), or broken. Exit status: 0; 4 a link is broken; 1 an
    error.
    """
    from pydantic import TypeAdapter

    from sashiko.commands.lineage_text import lineage_text
    from sashiko.registry.chain import walk_chain
    from sashiko.registry.trace import Provenance, read_provenance

    registry, group = _open(env, recipe, home)
    _require_one(registry, version, group=group, place=(env, recipe, home))
    item = registry.version(group, version)
    provenance = read_provenance(registry, item)
    chain = walk_chain(
        registry,
        item,
        files=provenance.files,
        snapshot=provenance.snapshot,
        witness=_witness(env, recipe, home=home, version=item),
    )
    provenance = replace(provenance, chain=chain)
    as_json = TypeAdapter(Provenance).dump_json(provenance, indent=2, by_alias=True).decode()
    typer.echo(as_json if json_ else lineage_text(provenance))
    if any(link.state == "broken" for link in chain):
        raise typer.Exit(CHECK_FAILED)


app.command()(serve)
app.command()(replay)
app.command()(invoke)


def _open(env: str, recipe: str | None, home: Path) -> tuple[ReviewRegistry, str]:
    """Opens this machine's registry, or that of an environment's account."""
    settings = load_settings(env)
    group = choose_recipe(settings, recipe).model_package_group
    if settings.tier == "local":
        return open_local(home, recipe=recipe or settings.recipe), group
    from sashiko.account.model_registry import AccountRegistry

    return AccountRegistry(settings), model_package_group_name(settings, group)


def _witness(env: str, recipe: str | None, *, home: Path, version: ModelVersion) -> "Witness":
    """Returns what a version's chain is verified by: this machine, or the account as well."""
    from sashiko.pipeline.account_witness import AccountWitness
    from sashiko.pipeline.witness import LocalWitness

    settings = load_settings(env)
    kind = LocalWitness if settings.tier == "local" else AccountWitness
    return kind(settings, choose_recipe(settings, recipe), home=home, version=version)


def _require_one(
    registry: ReviewRegistry, number: int, *, group: str, place: tuple[str, str | None, Path]
) -> None:
    """Refuses an ambiguous number: several groups of this machine have it, and no recipe is named.

    An account's environment has one recipe, that of its settings.
    """
    env, recipe, home = place
    if recipe is None and isinstance(registry, MlflowRegistry):
        default = load_settings(env).recipe
        refuse_ambiguous(registry, number, group=group, recipe=default, home=home)


def _decide(
    status: ApprovalStatus,
    number: int,
    *,
    reason: str,
    by: str,
    place: tuple[str, str | None, Path],
) -> None:
    registry, group = _open(*place)
    _require_one(registry, number, group=group, place=place)
    version = registry.version(group, number)
    print(f"{group} {number}: {_evidence(version)}", file=sys.stderr)
    for key in version.tags:
        if key in _FILES or key.startswith("source."):
            print(f"  {key}: {version.tags[key]}", file=sys.stderr)
    registry.decide(group, number, status=status, by=by, reason=reason)
    typer.echo(f"{group} {number}: {status} by {by}: {reason}")
    champion = registry.champion(group)
    description = f"version {champion.version}, the newest approved one" if champion else "none"
    print(f"{group}: the champion is {description}", file=sys.stderr)


def _evidence(version: ModelVersion) -> str:
    shown = ("recipe", "metric.auc", "data_sha256", "git_sha")
    texts = [f"{key}={version.tags[key][:12]}" for key in shown if key in version.tags]
    texts += [f"{key}={value}" for key, value in version.tags.items() if key.startswith("gate.")]
    return " ".join(texts)
