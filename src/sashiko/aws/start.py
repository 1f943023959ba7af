"""Starts the deployed pipeline of a recipe, once everything is there."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sashiko.aws.account import Account
from sashiko.aws.deployed import deployed_definition
from sashiko.aws.executions import STARTED_BY, Execution
from sashiko.aws.names import bucket_name, etl_name, pipeline_name
from sashiko.aws.readiness import missing
from sashiko.compiled import compiled_definition
from sashiko.contract.model import load_contract
from sashiko.errors import InputError
from sashiko.recipe import Recipe
from sashiko.repository import contract_file, source
from sashiko.settings import Settings
from sashiko.staging import stage


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

    Args:
        settings: the environment.
        recipe: what to fine-tune.
        account: the environment's.
        home: the local state, for the compiled definition.
        as_of: the version of the data; that of the newest successful load if None.
        command: the command line that starts another one, for the record.

    Raises:
        InputError: naming everything that is missing, each with what mends it.
    """
    pipeline = pipeline_name(settings, recipe.name)
    deploy = f"make deploy ENV={settings.environment}"
    deployed = deployed_definition(account, pipeline)
    if deployed is None:
        raise InputError(
            f"there is no pipeline {pipeline} in {settings.environment}: {deploy}; it makes that "
            f"of the recipe `{settings.recipe}`, which the settings name"
        )
    staged = stage(
        recipe,
        contract_file=contract_file(recipe),
        bucket=bucket_name(settings, "artifacts"),
        started_from=source(),
    )
    compiled = json.loads(compiled_definition(settings, recipe, home=home))
    problems = list(
        missing(
            settings, recipe, staged=staged, compiled=compiled, deployed=deployed, account=account
        )
    )
    if as_of is None:
        as_of = _newest_load(settings, recipe, account)
        if as_of is None:
            problems.append(
                f"no load of the table has succeeded yet ({_etl(settings, recipe)}): load an "
                "extract (docs/first-deploy.md), or name a version with --as-of"
            )
    if problems or as_of is None:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        raise InputError(f"pipeline {pipeline} cannot start:{listed}")
    with account.told("sagemaker:StartPipelineExecution", by=STARTED_BY):
        started = account.client("sagemaker").start_pipeline_execution(
            PipelineName=pipeline,
            PipelineExecutionDisplayName=f"as-of-{as_of}",
            PipelineParameters=[{"Name": "AsOf", "Value": as_of}],
            # A call that is sent again after a lost answer starts no second execution.
            ClientRequestToken=str(uuid.uuid4()),
        )
    return Execution(account, started["PipelineExecutionArn"], command=command)


def _etl(settings: Settings, recipe: Recipe) -> str:
    return etl_name(settings, load_contract(contract_file(recipe)).table)


def _newest_load(settings: Settings, recipe: Recipe, account: Account) -> str | None:
    """Returns the `--as-of` of the load that succeeded last."""
    runs = account.pages(
        "glue",
        "get_job_runs",
        "JobRuns",
        absent=("EntityNotFoundException",),
        by=STARTED_BY,
        JobName=_etl(settings, recipe),
    )
    done = [run for run in runs if run["JobRunState"] == "SUCCEEDED" and _as_of(run)]
    newest = max(done, key=lambda run: run["StartedOn"], default=None)
    return _as_of(newest) if newest else None


def _as_of(run: Mapping[str, Any]) -> str:
    return str(run.get("Arguments", {}).get("--as-of", ""))
