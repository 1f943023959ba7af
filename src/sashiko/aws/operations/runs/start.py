"""Starts the deployed pipeline of a recipe, after all checks pass."""

import json
import uuid
from pathlib import Path

from sashiko.aws.operations.runs.deployed import deployed_definition
from sashiko.aws.operations.runs.executions import STARTED_BY, Execution
from sashiko.aws.operations.runs.loads import newest_load
from sashiko.aws.operations.runs.readiness import missing
from sashiko.aws.resources.account import Account
from sashiko.aws.resources.names import etl_name, pipeline_name
from sashiko.contract.load import load_contract
from sashiko.errors import InputError
from sashiko.pipeline.compiled import compile_pipeline
from sashiko.pipeline.project import contract_file
from sashiko.pipeline.staging import staged_inputs
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
