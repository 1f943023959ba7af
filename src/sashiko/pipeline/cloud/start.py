"""Stages the inputs of a run in the account, and starts the deployed pipeline after all checks."""

import datetime as dt
import json
import re
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sashiko.account.account import Account
from sashiko.account.content_store import ContentStore, is_built
from sashiko.account.existing_lake import existing_version
from sashiko.account.names import bucket_name, etl_name, pipeline_name
from sashiko.base.files import sha256_bytes, sha256_file
from sashiko.contract.load import load_contract
from sashiko.data.sources import fetch_data, fetch_weights
from sashiko.errors import InputError
from sashiko.pipeline.cloud.executions import (
    NOT_FOUND,
    STARTED_BY,
    Execution,
    Executions,
    newest_load,
)
from sashiko.pipeline.cloud.selective_execution import SourceSearch, selective_request
from sashiko.pipeline.compiled import compile_pipeline
from sashiko.pipeline.definition.definition_records import PARAMETER, parse_definition
from sashiko.pipeline.project import contract_file
from sashiko.pipeline.staging import Staged, staged_inputs
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe

_AS_OF = re.compile(r"\d{8}T\d{6}Z")
_FORM = "%Y%m%dT%H%M%SZ"


def check_as_of(as_of: str, *, option: str) -> None:
    """Checks that a text is an instant in the form of the lake's versions.

    Raises:
        InputError: naming the option, if it is not.
    """
    try:
        if _AS_OF.fullmatch(as_of) is None:
            raise ValueError
        dt.datetime.strptime(as_of, _FORM)
    except ValueError as error:
        raise InputError(
            f"{option} {as_of}: expected an instant in UTC such as 20261125T104500Z"
        ) from error


def deployed_definition(account: Account, pipeline: str) -> Any:
    """Returns the definition of a pipeline in the account; None if there is none.

    Raises:
        InputError: if the caller lacks the permission, or the definition is not JSON.
    """
    response = account.read(
        "sagemaker", "describe_pipeline", absent=NOT_FOUND, role=STARTED_BY, PipelineName=pipeline
    )
    if response is None:
        return None
    try:
        return json.loads(response["PipelineDefinition"])
    except ValueError as error:
        raise InputError(f"the definition of pipeline {pipeline} is no JSON: {error}") from error


def _digest(definition: Any) -> str | None:
    """Returns the digest that a definition carries; the same before and after the deploy."""
    parameters = {item["Name"]: item for item in definition.get("Parameters", ())}
    digest: str | None = parameters.get(PARAMETER, {}).get("DefaultValue")
    return digest


def texts(value: Any) -> Iterator[str]:
    """Yields every text in a definition."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def start(
    settings: Settings,
    recipe: Recipe,
    *,
    account: Account,
    home: Path,
    as_of: str | None,
    command: str,
    from_step: str | None = None,
    source: str | None = None,
) -> Execution:
    """Starts an execution.

    Without `as_of` it runs on the version of the newest successful load, or on the newest snapshot
    of a table of another owner. With `from_step` it runs
    from there on the results of an earlier execution, of the id `source` or the newest that fits,
    and on the version of its data.

    Raises:
        InputError: naming each missing prerequisite with its fix; or if no execution fits.
    """
    pipeline = pipeline_name(settings, recipe.name)
    deploy = f"make deploy ENV={settings.environment}"
    deployed = deployed_definition(account, pipeline)
    if deployed is None:
        raise InputError(
            f"there is no pipeline {pipeline} in {settings.environment}: {deploy}; a deploy makes "
            f"the pipeline of recipe `{settings.recipe}`, which the settings name"
        )
    compiled = compile_pipeline(settings, recipe, home=home)
    problems = list(
        missing(
            settings,
            recipe,
            staged=staged_inputs(settings, recipe, compiled.channels),
            compiled=json.loads(compiled.definition),
            deployed=deployed,
            account=account,
        )
    )
    request: Mapping[str, Any] = {}
    if from_step is not None and not problems:
        request, as_of = selective_request(
            SourceSearch(
                executions=Executions(settings, recipe.name, account=account, command=command),
                definition=parse_definition(deployed),
            ),
            from_step,
            source=source,
            as_of=as_of,
        )
    contract = load_contract(contract_file(recipe))
    table = contract.table
    if contract.lake is not None and not problems and from_step is None:
        as_of = existing_version(account, settings, contract.lake, as_of=as_of)
    if as_of is None and contract.lake is None:
        as_of = newest_load(account, settings, table, role=STARTED_BY)
        if as_of is None:
            problems.append(
                f"no load of the table has succeeded yet ({etl_name(settings, table)}): load an "
                "extract (docs/first-deploy.md), or name a version with --as-of"
            )
    if problems or as_of is None:
        lines = "".join(f"\n  - {problem}" for problem in problems)
        raise InputError(f"pipeline {pipeline} cannot start:{lines}")
    with account.translate_errors("sagemaker:StartPipelineExecution", role=STARTED_BY):
        started = account.client("sagemaker").start_pipeline_execution(
            PipelineName=pipeline,
            PipelineExecutionDisplayName=f"as-of-{as_of}",
            PipelineParameters=[{"Name": "AsOf", "Value": as_of}],
            # A retry after a lost response starts no second execution.
            ClientRequestToken=str(uuid.uuid4()),
            **request,
        )
    return Execution(account, started["PipelineExecutionArn"], command=command)


def missing(
    settings: Settings,
    recipe: Recipe,
    *,
    staged: Staged,
    compiled: Any,
    deployed: Any,
    account: Account,
) -> Iterator[str]:
    """Yields each problem that prevents a run of the deployed pipeline, with its fix.

    Raises:
        InputError: if the caller may not look.
    """
    if _digest(compiled) != _digest(deployed):
        yield (
            "the deployed pipeline is not that of this checkout: make deploy "
            f"ENV={settings.environment}, or check out what was deployed"
        )
    bucket = re.escape(bucket_name(settings, "artifacts"))
    place = re.compile(rf"s3://{bucket}/(?:code|config|source|weights)/[0-9a-f]{{16}}")
    fix = f"sashiko env stage --env {settings.environment} --recipe {recipe.name}"
    store = ContentStore(account)
    for uri in sorted({match for text in texts(deployed) for match in place.findall(text)}):
        sizes = store.sizes(uri, role=STARTED_BY)
        if missing_files := sorted(set(staged.places.get(uri, ())) - set(sizes)):
            yield f"{uri} lacks {', '.join(missing_files)}: {fix}"
        elif not sizes:  # of another commit: its file names are unknown here
            yield f"{uri} is not there: {fix}, in the checkout that was deployed"
    registry = rf"{settings.account}\.dkr\.ecr\.{settings.region}\.amazonaws\.com"
    image = re.compile(rf"{registry}/[^:@]+(?::[^:@]+|@sha256:[0-9a-f]{{64}})")
    for uri in sorted({text for text in texts(deployed) if image.fullmatch(text)}):
        if not is_built(account, uri, role=STARTED_BY):
            yield f"the image {uri} is not built: make deploy ENV={settings.environment}"


# Stages the inputs of a run in the account: configuration, code, weights, and seed data.
#
# Each object is written once under a content-addressed name, and S3 verifies its SHA-256. So an
# aborted command, or two concurrent ones, lead to the same objects.


_MARKER = "_SUCCESS"


@dataclass(frozen=True, kw_only=True)
class StagedPlace:
    """The objects below one prefix."""

    uri: str  # its S3 URI
    files: dict[str, str]  # name -> hex SHA-256
    uploaded: tuple[str, ...]  # those that were not there before


def stage_inputs(
    staged: Staged, recipe: Recipe, *, account: Account, cache: Path
) -> Iterator[StagedPlace]:
    """Uploads the inputs of a recipe's pipeline, small files first.

    Yields:
        each place as it is done.

    Raises:
        InputError: if the weights cannot be had, a place holds another content, or the caller may
            not write there.
    """
    store = ContentStore(account)
    digests = staged.places
    for channel in staged.channels:
        yield put_place(store.put, channel.uri, channel.files, digests[channel.uri])
    folder = cache / "weights" / staged.weights_uri.rpartition("/")[2]
    fetch_weights(recipe.model, folder)
    weights = {name: folder / name for name in staged.weights}
    if weights:
        yield put_place(store.put, staged.weights_uri, weights, digests[staged.weights_uri])


def stage_seed(
    settings: Settings, recipe: Recipe, *, table: str, as_of: str, account: Account, cache: Path
) -> StagedPlace:
    """Writes a recipe's own data to raw, as the whole extract of an instant.

    The marker comes last: it says that the extract is complete. `as_of` is an instant such as
    20261125T104500Z.

    Raises:
        InputError: if the data cannot be had, or the extract has other files.
    """
    data = fetch_data(recipe.data, cache=cache)
    digest = sha256_file(data)
    # Named by its content: raw is not for the deployer to read, so the name must tell it.
    name = f"{digest[:16]}{data.suffix.lower()}"
    uri = f"s3://{bucket_name(settings, 'raw')}/{table}/as_of={as_of}"
    store = ContentStore(account)
    other_files = sorted(set(store.sizes(uri)) - {name, _MARKER})
    if other_files:
        raise InputError(
            f"{uri} holds {other_files[0]} already: an extract is loaded as a whole; give another "
            "instant to --seed-data"
        )
    files: dict[str, bytes | Path] = {name: data, _MARKER: b""}
    digests = {name: digest, _MARKER: sha256_bytes(b"")}
    return put_place(store.put_new, uri, files, digests)


def check_seed(settings: Settings, as_of: str) -> None:
    """Checks that example data may be loaded into an environment, as of an instant.

    Raises:
        InputError: if it keeps its data, or `as_of` is no instant.
    """
    check_as_of(as_of, option="--seed-data")
    if settings.on_destroy == "retain":
        raise InputError(
            f"{settings.environment} keeps its data (`on_destroy: retain`), so no example data "
            "are loaded: your own loading job writes extracts to raw, and `_SUCCESS` after them"
        )


def put_place(
    put: Callable[..., bool], uri: str, files: Mapping[str, bytes | Path], digests: dict[str, str]
) -> StagedPlace:
    """Uploads the files of a place (name -> content) that are not there.

    `put` is `ContentStore.put`, or `put_new`, which keeps what is there; `digests` are hex SHA-256.

    Raises:
        InputError: if the caller may not write there, or the place holds another content.
    """
    uploaded = []
    for name, content in files.items():
        print(f"{uri}/{name}", file=sys.stderr)
        if put(f"{uri}/{name}", content, sha256=digests[name]):
            uploaded.append(name)
    return StagedPlace(uri=uri, files=digests, uploaded=tuple(uploaded))
