"""Batches in an account, for a person: runs to start, and published batches."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from sashiko.account.account import Account
from sashiko.account.account_registry import AccountRegistry
from sashiko.account.content_store import ContentStore, list_objects, read_object
from sashiko.account.existing_lake import existing_version
from sashiko.account.names import Role, model_package_group_name
from sashiko.base.files import sha256_bytes, sha256_file, write_json
from sashiko.base.yaml_models import validate
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.pipeline.cloud.executions import newest_load
from sashiko.pipeline.cloud.start import StagedPlace, put_place
from sashiko.pipeline.project import contract_file
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_packs.batch.local_run import Window
from sashiko_packs.batch.places import batch_pipeline_name, batch_places, time_text
from sashiko_packs.batch.records import Publication
from sashiko_packs.batch.settings import BatchSection

_CALLER: Role = "data-scientist"


def scored_contract(recipe: Recipe) -> Contract:
    """Returns the contract of the rows that a recipe's version scores."""
    return recipe.section(BatchSection).scored(load_contract(contract_file(recipe)))


def start_batches(
    settings: Settings, recipe: Recipe, *, windows: Sequence[Window | None], version: int | None
) -> Iterator[str]:
    """Starts the deployed pipeline once for each window; the preflight decides on the version.

    SageMaker starts one execution of a batch, however often a call is repeated within its time.

    Yields:
        the ARN of each execution.

    Raises:
        InputError: if no version is approved, no load has succeeded, or the caller may not.
    """
    account = Account(settings)
    registry = AccountRegistry(settings)
    group = model_package_group_name(settings, recipe.model_package_group)
    model = registry.champion(group) if version is None else registry.version(group, version)
    if model is None:
        raise InputError(f"{group} has no approved version: sashiko model list")
    scored = scored_contract(recipe)
    table, lake = scored.table, scored.lake
    as_of = existing_version(account, settings, lake) if lake else None
    as_of = as_of or newest_load(account, settings, table, role=_CALLER)
    if as_of is None:
        raise InputError(f"no load of the table `{table}` has succeeded yet: docs/first-deploy.md")
    client = account.client("sagemaker")
    for window in windows:
        start, end = (time_text(time) for time in window or (None, None))
        parameters = {
            "AsOf": as_of, "WindowStart": start, "WindowEnd": end,
            "ModelVersion": str(model.version), "Now": time_text(dt.datetime.now(dt.UTC)),
        }  # fmt: skip
        with account.translate_errors("sagemaker:StartPipelineExecution", role=_CALLER):
            started = client.start_pipeline_execution(
                PipelineName=batch_pipeline_name(settings, recipe.name),
                PipelineExecutionDisplayName=f"version-{model.version}-to-{end}",
                PipelineParameters=[
                    {"Name": name, "Value": value} for name, value in parameters.items()
                ],
                # An earlier call's answer may be lost: equal calls of a minute start one execution.
                ClientRequestToken=sha256_bytes(json.dumps(parameters).encode()),
            )
        yield str(started["PipelineExecutionArn"])


def publications_of(settings: Settings, recipe: Recipe) -> tuple[Publication, ...]:
    """Reads the records of all published batches, by the times of their runs.

    Raises:
        InputError: if the caller may not read them.
    """
    account = Account(settings)
    account.check_identity()
    published = batch_places(settings, recipe, table=scored_contract(recipe).table).published
    records = []
    for name in list_objects(account, published, role=_CALLER):
        if name.endswith(f"/{Publication.FILE}"):
            uri = f"{published}/{name}"
            content = json.loads(read_object(account, uri, role=_CALLER)[0])
            records.append(validate(Publication, content, source=uri))
    return tuple(sorted(records, key=lambda record: (record.time, record.batch)))


def stage_records(
    settings: Settings, recipe: Recipe, *, contract: Contract, account: Account
) -> Iterator[StagedPlace]:
    """Writes the record of no batch, where it is missing: a job's input may not be empty.

    Yields:
        its place.

    Raises:
        InputError: if the caller may not write there.
    """
    table = recipe.section(BatchSection).table or contract.table
    published = batch_places(settings, recipe, table=table).published
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / "none.json"
        write_json(file, {})
        digests = {file.name: sha256_file(file)}
        yield put_place(ContentStore(account).put_new, published, {file.name: file}, digests)
