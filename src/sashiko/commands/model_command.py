"""`sashiko model ...`: list registered versions, approve, reject or promote them, trace them."""

import getpass
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from sashiko.account.names import model_package_group_name
from sashiko.base.async_requests import LONGEST_TTL, SHORTEST_TTL
from sashiko.commands.options import AsJson, Environment, Home, RecipeName, align
from sashiko.errors import CHECK_FAILED, InputError
from sashiko.evaluation.gates.verdict import Verdict, describe
from sashiko.pipeline import local_models
from sashiko.pipeline.project import HOME, choose_recipe, command_options, contract_file, use_recipe
from sashiko.registry.chain import Provenance
from sashiko.registry.mlflow import MlflowRegistry
from sashiko.registry.versions import (
    SIGNED_BY_TAG,
    SOURCE_TAG,
    ApprovalStatus,
    ModelVersion,
    ReviewRegistry,
)
from sashiko.settings.environment import load_deployed, load_settings

Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="The port on 127.0.0.1.")]
app = typer.Typer(
    help="List, approve, reject, promote, trace and serve registered versions of a model.",
    no_args_is_help=True,
)
_COLUMNS = ("version", "status", "alias", "recipe", "quality", "gates", "data", "commit")
_SHOWN_TAGS = ("recipe", "data_sha256", "git_sha")
# Of a model package.
_FILES = ("manifest", "manifest_sha256", "signature", SIGNED_BY_TAG, "mlflow_run_id")
Version = Annotated[int, typer.Argument(help="The version's number.")]
By = Annotated[str, typer.Option("--by", help="The reviewer.", default_factory=getpass.getuser)]
Reason = Annotated[str, typer.Option("--reason", help="The reason, stored with the version.")]


def gate_lines(verdict: Verdict) -> Iterator[str]:
    """Yields a verdict's checks; those of data that passed, one for each rule, are counted."""
    if not verdict.judged:
        yield f"{verdict.gate}: not judged: {verdict.checks[0].reason}"
        return
    counted = verdict.gate.startswith("data-")
    shown = [one for one in verdict.checks if not (counted and one.passed and one.judged)]
    passed = f", {len(verdict.checks) - len(shown)} checks passed" if counted else ""
    yield f"{verdict.gate}: {verdict.outcome}{passed}"
    yield from (f"  {check.outcome}  {describe(check)}" for check in shown)


def lineage_text(provenance: Provenance) -> str:
    """Returns a version and its provenance as text, one block each."""
    version, snapshot, decisions = provenance.version, provenance.snapshot, provenance.decisions
    source = version.tags.get(SOURCE_TAG)
    of_source = f", on results of execution {source}" if source else ""
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    review = []  # each decision, oldest first, and a status that none of them set
    for decision in decisions:
        digests = ", ".join(f"{key} {value[:12]}" for key, value in decision.digests.items())
        about = f" ({digests})" if digests else ""
        time = decision.time or "at an unknown time"
        review.append(f"{time}  {decision.status} by {decision.by}: {decision.reason}{about}")
    if version.status != (decisions[-1].status if decisions else "PendingManualApproval"):
        description = version.tags.get("approval.reason", "without a description")
        review.append(f"{version.status} was not set by `sashiko model`: {description}")
    elif not decisions:
        review.append("nobody has decided yet")
    blocks = {
        f"{version.group} {version.version}{aliases}": [version.status, *review],
        "data": [
            f"{snapshot.rows:,} rows of {snapshot.table} as of {snapshot.as_of}",
            f"sha256 {snapshot.sha256}",
            f"contract {snapshot.contract.id} {snapshot.contract.version}",
            f"contract sha256 {snapshot.contract.sha256}",
        ],
        "code": [
            f"commit {version.tags['git_sha']}",
            f"recipe {version.tags['recipe']}",
            f"execution {version.tags['execution_id']}{of_source}",
        ],
        "chain": [f"{link.state}  {link.subject}: {link.detail}" for link in provenance.chain],
        "gates": [line for verdict in provenance.verdicts for line in gate_lines(verdict)],
        "files, by their sha256": [
            f"{digest}  {name}" for name, digest in sorted(provenance.files.items())
        ],
        "lineage, nearest first": [
            f"{edge.source}  {edge.kind}  {edge.destination}" for edge in provenance.edges
        ],
    }
    lines = ((title, *(f"  {text}" for text in texts)) for title, texts in blocks.items())
    return "\n".join(line for block in lines for line in block)


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
    if versions:
        typer.echo("\n".join(align([_COLUMNS, *map(_row, versions)])))
    if recipe is None and isinstance(registry, MlflowRegistry):
        for other in local_models.other_groups(registry, group):
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
    """Approve a version. The newest approved one is the champion, which `model serve` serves."""
    _decide(_open_version(version, env, recipe, home), "Approved", reason=reason, by=by)


@app.command()
def reject(
    version: Version,
    reason: Reason,
    by: By,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
) -> None:
    """Reject a version. It is then no longer the champion, and can be approved again."""
    _decide(_open_version(version, env, recipe, home), "Rejected", reason=reason, by=by)


@app.command()
def promote(
    version: Annotated[int, typer.Argument(help="The version's number where it was approved.")],
    to: Annotated[str, typer.Option(help="The target environment.")],
    recipe: RecipeName = None,
) -> None:
    """Copy an approved version into another environment, where it waits for approval.

    `promotion.source` in config/<to>.yaml names the source. The version must be approved there and
    its gates passed, every file must match the signed manifest, and it must be compiled for the
    image and the instance of <to>. Prints the new version's ARN, or that of the existing copy. Uses
    your credentials, which must be those of the role `promoter` of <to>.
    """
    from sashiko.account.promotion import Route
    from sashiko.account.promotion import promote as copy
    from sashiko.settings.environment import neighbour_settings

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


@app.command()
def lineage(
    version: Version,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
    json_: AsJson = False,
) -> None:
    """Show where a version comes from: approvals, data, code, signed chain, gates, files, lineage.

    Check each file against the version's manifest, and follow the chain of in-toto statements:
    model, definition, data, images, the engine's wheel, commit. A link is verified, broken, or not
    verifiable here, with the reason. Exit status: 0 none is broken; 4 one is; 1 an error.
    """
    from pydantic import TypeAdapter

    from sashiko.pipeline.witness import AccountWitness, LocalWitness
    from sashiko.registry.chain import Provenance, read_provenance, walk_chain

    registry, item = _open_version(version, env, recipe, home)
    provenance = read_provenance(registry, item)
    settings = load_settings(env)
    kind = LocalWitness if settings.tier == "local" else AccountWitness
    witness = kind(settings, choose_recipe(settings, recipe), home=home, version=item)
    files, snapshot = provenance.files, provenance.snapshot
    chain = walk_chain(registry, item, files=files, snapshot=snapshot, witness=witness)
    provenance = replace(provenance, chain=chain)
    as_json = TypeAdapter(Provenance).dump_json(provenance, indent=2, by_alias=True).decode()
    typer.echo(as_json if json_ else lineage_text(provenance))
    if any(link.state == "broken" for link in chain):
        raise typer.Exit(CHECK_FAILED)


@app.command()
def serve(
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
    port: Port = 8080,
    capture: Annotated[
        int,
        typer.Option(
            min=0,
            max=100,
            help="Keep this percentage of requests, with answers, in the folder capture below "
            "--home. They are personal data.",
        ),
    ] = 0,
) -> None:
    """Serve the champion on 127.0.0.1 with SageMaker's routes, /ping and /invocations."""
    from sashiko.serving.server import serve_artifact

    settings = load_settings(env)
    chosen, kept = choose_recipe(settings, recipe), None
    retention = settings.serving.capture.retention
    with local_models.champion_artifact(chosen, name=recipe, home=home) as (artifact, version):
        if capture:
            kept = local_models.capture_settings(
                version, home, percent=capture, retention=retention
            )
        serve_artifact(artifact, threshold=version.threshold, port=port, capture=kept)


@app.command()
def invoke(
    text: Annotated[str, typer.Argument(help="A text, or a JSON request body.")],
    port: Port = 8080,
    env: Environment = "local",
    recipe: RecipeName = None,
    within: Annotated[
        int,
        typer.Option(
            min=SHORTEST_TTL,
            max=LONGEST_TTL,
            help="Seconds to wait for an endpoint that sleeps; then the request expires.",
        ),
    ] = 3600,
) -> None:
    """Send one request to the served model and print the response.

    Of an environment: to its endpoint of `serving.mode: asynchronous`, as `endpoint-caller`. Waits
    while the endpoint wakes, and keeps request and answer until `serving.capture.retention` ends.
    """
    settings = load_settings(env)
    if settings.tier == "local":
        typer.echo(local_models.invoke_local(text, port=port))
        return
    from sashiko.account.asynchronous import ask

    typer.echo(
        ask(
            settings,
            choose_recipe(settings, recipe),
            local_models.request_body(text),
            within=within,
        )
    )


def predict(
    file: Annotated[
        Path, typer.Argument(help="A CSV or Parquet file with the columns of `text.template`.")
    ],
    out: Annotated[Path | None, typer.Option(help="Write the CSV here instead of stdout.")] = None,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
) -> None:
    """Score a file with the approved model; write what it predicts for each row as CSV."""
    from sashiko.contract.load import load_contract
    from sashiko.serving.file_prediction import predict_file

    settings = load_settings(env)
    chosen = use_recipe(settings, recipe)
    contract = load_contract(contract_file(chosen))
    with local_models.champion_artifact(chosen, name=recipe, home=home) as (artifact, version):
        registry = local_models.open_local(home, recipe=recipe or settings.recipe)
        local_models.check_version(settings, chosen, registry, version)
        predict_file(artifact, threshold=version.threshold, contract=contract, path=file, out=out)


def _open(env: str, recipe: str | None, home: Path) -> tuple[ReviewRegistry, str]:
    """Opens this machine's registry, or that of an environment's account."""
    settings = load_settings(env)
    group = choose_recipe(settings, recipe).model_package_group
    if settings.tier == "local":
        return local_models.open_local(home, recipe=recipe or settings.recipe), group
    from sashiko.account.account_registry import AccountRegistry

    return AccountRegistry(settings), model_package_group_name(settings, group)


def _open_version(
    number: int, env: str, recipe: str | None, home: Path
) -> tuple[ReviewRegistry, ModelVersion]:
    """Also refuses an ambiguous number: several groups of this machine have it, without a recipe.

    An account's environment has one recipe, that of its settings.
    """
    registry, group = _open(env, recipe, home)
    if recipe is None and isinstance(registry, MlflowRegistry):
        default = load_settings(env).recipe
        local_models.refuse_ambiguous(registry, number, group=group, recipe=default, home=home)
    return registry, registry.version(group, number)


def _row(version: ModelVersion) -> tuple[str, ...]:
    tags = version.tags
    gates = {key: tags[key] for key in tags if key.startswith("gate.") and key.count(".") == 1}
    open_ = [f"{key[5:]} {outcome}" for key, outcome in gates.items() if outcome != "passed"]
    recipe, data, commit = (tags.get(key, "-") for key in _SHOWN_TAGS)
    measures = {"AUC": "metric.auc", "macro F1": "metric.macro_f1", "R²": "metric.r2"}
    quality = next((f"{name} {tags[tag]}" for name, tag in measures.items() if tag in tags), "-")
    verdicts = ", ".join(open_) or f"{len(gates)} passed"
    aliases, name = ", ".join(version.aliases), f"{version.group} {version.version}"
    return name, version.status, aliases, recipe, quality, verdicts, data[:12], commit[:12]


def _decide(
    opened: tuple[ReviewRegistry, ModelVersion], status: ApprovalStatus, *, reason: str, by: str
) -> None:
    registry, version = opened
    group, number = version.group, version.version
    print("\n".join(align([_COLUMNS, _row(version)])), file=sys.stderr)
    for key in version.tags:
        if key in _FILES or key.startswith("source."):
            print(f"  {key}: {version.tags[key]}", file=sys.stderr)
    registry.decide(group, number, status=status, by=by, reason=reason)
    typer.echo(f"{group} {number}: {status} by {by}: {reason}")
    champion = registry.champion(group)
    description = f"version {champion.version}, the newest approved one" if champion else "none"
    print(f"{group}: the champion is {description}", file=sys.stderr)
