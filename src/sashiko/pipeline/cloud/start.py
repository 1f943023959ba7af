"""Starts the deployed pipeline of a recipe, after all checks pass."""

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sashiko.account.account import Account
from sashiko.account.content_store import ContentStore
from sashiko.account.images.own_images import is_built
from sashiko.account.names import bucket_name, etl_name, pipeline_name
from sashiko.contract.load import load_contract
from sashiko.errors import InputError
from sashiko.pipeline.cloud.deployed import deployed_definition, difference, texts
from sashiko.pipeline.cloud.executions import STARTED_BY, Execution
from sashiko.pipeline.cloud.loads import newest_load
from sashiko.pipeline.compiled import compile_pipeline
from sashiko.pipeline.project import contract_file
from sashiko.pipeline.staging import Staged, staged_inputs
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe


def start(
    settings: Settings,
    recipe: Recipe,
    *,
    account: Account,
    home: Path,
    as_of: str | None,
    command: str,
) -> Execution:
    """Starts an execution.

    Without `as_of` it runs on the version of the newest successful load.

    Raises:
        InputError: naming each missing prerequisite with its fix.
    """
    pipeline = pipeline_name(settings, recipe.name)
    deploy = f"make deploy ENV={settings.environment}"
    deployed = deployed_definition(account, pipeline)
    if deployed is None:
        raise InputError(
            f"there is no pipeline {pipeline} in {settings.environment}: {deploy}; it makes that "
            f"of the recipe `{settings.recipe}`, which the settings name"
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
    if as_of is None:
        table = load_contract(contract_file(recipe)).table
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
    if path := difference(compiled, deployed):
        yield (
            f"the deployed pipeline is not that of this checkout; they differ first in {path}: "
            f"make deploy ENV={settings.environment}, or check out what was deployed"
        )
    yield from _unstaged(settings, recipe, staged=staged, deployed=deployed, account=account)
    yield from _unbuilt(settings, deployed, account)


def _unstaged(
    settings: Settings, recipe: Recipe, *, staged: Staged, deployed: Any, account: Account
) -> Iterator[str]:
    bucket = re.escape(bucket_name(settings, "artifacts"))
    place = re.compile(rf"s3://{bucket}/(?:code|config|source|weights)/[0-9a-f]{{16}}")
    expected_files = staged.places
    fix = f"sashiko stage --env {settings.environment} --recipe {recipe.name}"
    store = ContentStore(account)
    for uri in sorted({match for text in texts(deployed) for match in place.findall(text)}):
        sizes = store.sizes(uri, role=STARTED_BY)
        missing_files = sorted(set(expected_files.get(uri, ())) - set(sizes))
        if missing_files:
            yield f"{uri} lacks {', '.join(missing_files)}: {fix}"
        elif not sizes:  # of another commit: its file names are unknown here
            yield f"{uri} is not there: {fix}, in the checkout that was deployed"


def _unbuilt(settings: Settings, deployed: Any, account: Account) -> Iterator[str]:
    registry = rf"{settings.account}\.dkr\.ecr\.{settings.region}\.amazonaws\.com"
    image = re.compile(rf"{registry}/[^:@]+(?::[^:@]+|@sha256:[0-9a-f]{{64}})")
    for uri in sorted({text for text in texts(deployed) if image.fullmatch(text)}):
        if not is_built(account, uri, role=STARTED_BY):
            yield f"the image {uri} is not built: make deploy ENV={settings.environment}"
