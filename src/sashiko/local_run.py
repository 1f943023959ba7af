"""A whole run on this machine: seeds the lake, stages what the pipeline reads, runs, reports."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from sashiko.aws.images.job_images import job_images
from sashiko.aws.names import function_arn, pipeline_name
from sashiko.compiled import compiled_definition
from sashiko.contract.model import load_contract
from sashiko.data.lake import seed_lake
from sashiko.data.sources import fetch_weights
from sashiko.errors import InputError, disk_reason
from sashiko.files import read_json, walk_files, write_bytes
from sashiko.functions import gatekeeper
from sashiko.gates.verdict import Verdict, describe, describe_number, read_verdict
from sashiko.recipe import Recipe
from sashiko.repository import contract_file, tracking_uri
from sashiko.runner.jobs import Image
from sashiko.runner.lock import run_lock
from sashiko.runner.record import RunRecord, new_run_id
from sashiko.runner.run import run_definition
from sashiko.runner.store import Store
from sashiko.runner.view import open_view
from sashiko.settings import Settings
from sashiko.staging import Channel, staged_inputs


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        record: the run, step by step.
        report: the HTML report; None if it could not be written.
        summary: what a person reads on stdout.
    """

    record: RunRecord
    report: Path | None
    summary: str


def run_locally(
    settings: Settings, recipe: Recipe, *, home: Path, from_step: str | None, command: str
) -> RunResult:
    """Runs a recipe's pipeline on this machine, end to end, and writes its report.

    Args:
        settings: the local environment.
        recipe: what to fine-tune, overrides included.
        home: the folder of all local state.
        from_step: run this step and all after it again, whatever the cache holds.
        command: the command line that runs this again, for the record.

    Returns:
        The record, the report's path and a summary.

    Raises:
        InputError: if the contract, the data, the weights or the machine do not allow a run.
    """
    record = run_pipeline(settings, recipe, home=home, from_step=from_step, command=command)
    report = _report(home / "runs" / record.id, home)
    summary = _summary(record, Store((home / "s3").resolve()), report)
    return RunResult(record=record, report=report, summary=summary)


def run_pipeline(
    settings: Settings,
    recipe: Recipe,
    *,
    home: Path,
    from_step: str | None,
    command: str,
    until: str | None = None,
) -> RunRecord:
    """Runs a recipe's pipeline on this machine, as far as it is told.

    Args:
        settings: the local environment.
        recipe: what to fine-tune, overrides included.
        home: the folder of all local state.
        from_step: run this step and all after it again, whatever the cache holds.
        command: the command line that runs this again, for the record.
        until: end with this step; the whole pipeline if None.

    Raises:
        InputError: if the contract, the data, the weights or the machine do not allow a run.
    """
    if recipe.compile.target != "cpu":
        raise InputError(
            f"recipe {recipe.name}: key `compile.target`: {recipe.compile.target}: a run on this "
            "machine compiles and serves on its CPU: run it with `--set compile.target=cpu`, or in "
            "an account (`recipe` of config/<env>.yaml)"
        )
    contract_path = contract_file(recipe)
    staged = staged_inputs(settings, recipe)
    store = Store((home / "s3").resolve())
    contract = load_contract(contract_path)
    _make_private(home)
    run_id = new_run_id(home)
    with run_lock(home, run_id):  # the lake must not change under a run that is at work
        table = seed_lake(recipe, contract, lake=home / "lake", cache=home / "cache")
        fetch_weights(recipe.model, store.path(staged.weights_uri))
        for channel in staged.channels:
            _write(store, channel.uri, channel.files)
        definition = json.loads(compiled_definition(settings, recipe, home=home))

    with open_view() as view:
        return run_definition(
            definition,
            home=home,
            images={
                image.uri: Image(entrypoint=image.entrypoint)
                for image in job_images(settings, recipe.compile.target).of_jobs()
            },
            functions={function_arn(settings, "gatekeeper"): gatekeeper.judge},
            parameters={
                "LakeUri": table.uri,
                "AsOf": table.as_of,
                "ModelRegistry": "mlflow",
                "MlflowTrackingUri": tracking_uri(home),
                "RunManifestUri": staged.source.uri,
            },
            pipeline=pipeline_name(settings, recipe.name),
            run_id=run_id,
            view=view,
            evidence=_evidence(recipe, contract_path=contract_path, started_from=staged.source),
            from_step=from_step,
            until=until,
            command=command,
        )


def _make_private(home: Path) -> None:
    """Makes the home for its owner alone: the lake in it holds personal and sensitive columns."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make {home}: {disk_reason(error)}") from error


def _write(store: Store, uri: str, files: Mapping[str, bytes]) -> None:
    """Puts staged files in place; their URI is named by their content, so they never change."""
    for name, content in files.items():
        path = store.path(uri) / name
        if not path.is_file() or path.read_bytes() != content:
            write_bytes(path, content)


def _evidence(recipe: Recipe, *, contract_path: Path, started_from: Channel) -> dict[str, bytes]:
    """Collects what the run was started with: file name -> content."""
    text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    given = {"contract.odcs.yaml": contract_path.read_bytes(), "recipe.yaml": text.encode()}
    return given | dict(started_from.files)


def _report(folder: Path, home: Path) -> Path | None:
    """Writes the report; a run keeps its outcome even where the report cannot be written."""
    from sashiko.report import write_report

    print("writing the report", file=sys.stderr)
    try:
        return write_report(folder, home)
    except InputError as error:
        print(f"no report: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("no report: interrupted; `sashiko runs report` writes it", file=sys.stderr)
    return None


def _summary(record: RunRecord, store: Store, report: Path | None) -> str:
    """Says in a few lines what came of the run and what to do next."""
    lines = [f"{record.status}: run {record.id}"]
    if record.status == "registered":
        lines += [*_registered_waived(record, store), _registered(record, store)]
    elif record.reason:
        lines.append(record.reason)
    lines += _caveats(record, store)
    if report is not None:
        lines.append(f"report: {report}")
    return "\n".join(lines)


def _registered_waived(record: RunRecord, store: Store) -> list[str]:
    """Names the failed checks that the recipe waives, before anything that sounds like success."""
    verdicts = _verdicts(record, store)
    return [f"FAILED: {describe(check)}" for verdict in verdicts for check in verdict.waived]


def _caveats(record: RunRecord, store: Store) -> Iterator[str]:
    """Says what no gate judged, and what passed although its interval spans the bound."""
    for verdict in _verdicts(record, store):
        for check in verdict.checks:
            if not check.judged:
                yield f"not judged: {verdict.gate}: {check.name}: {check.reason}"
            if check.spans_bound:
                yield (
                    f"passed by its value alone, the interval spans the bound: {verdict.gate}: "
                    f"{describe_number(check)}"
                )


def _verdicts(record: RunRecord, store: Store) -> Iterator[Verdict]:
    """Yields the gates' verdicts, as far as the run came."""
    for step in ("DeviceCheck", "Track"):
        done = next((one for one in record.steps if one.name == step), None)
        if done is not None and "verdicts" in done.outputs:
            for file in walk_files(store.path(done.outputs["verdicts"].uri)):
                yield read_verdict(file)
            return


def _registered(record: RunRecord, store: Store) -> str:
    output = record.step("Register").outputs["registration"]
    path = store.path(output.uri) / "registration.json"
    registration = read_json(path)
    try:
        group, version = registration["model_package_group"], registration["version"]
        new, status = registration["new"], registration["status"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} is not a registration: {error}") from error
    text = f"{group} version {version}, {status}"
    if not new:
        text += "; it holds this artifact already, so nothing new was registered"
    if status == "PendingManualApproval":
        options = record.options("--recipe", "--home")
        text += (
            f"\nnext: sashiko model approve {version}{options} --reason '...'; "
            f"then sashiko model serve{options}"
        )
    return text
