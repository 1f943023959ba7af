"""The inputs of an app: settings, the contracts and the recipe they name, compiled pipelines."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from sashiko.contract.glue import check_lake
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.pipeline import compiled as compiler
from sashiko.pipeline.definition.validator.check import check_definition
from sashiko.pipeline.project import HOME, source
from sashiko.settings.environment import (
    Settings,
    Side,
    deployed_environments,
    file_of,
    load_deployed,
    load_settings,
    neighbour_settings,
)
from sashiko.settings.recipe import Recipe
from sashiko_cdk.pipeline.compiled_pipeline import Compiled

# Endpoint prefix in botocore -> name of the service.
_NEEDED = {
    "athena": "Athena",
    "api.ecr": "ECR",
    "glue": "Glue",
    "kms": "KMS",
    "lakeformation": "Lake Formation",
    "logs": "CloudWatch Logs",
    "api.sagemaker": "SageMaker",
}


def regions() -> tuple[str, ...]:
    """Returns the regions that have all services, in order."""
    commercial, by_service = _endpoints()
    return tuple(sorted(set.intersection(commercial, *by_service.values())))


def check_region(settings: Settings) -> None:
    """Checks that a region exists and has every service.

    Raises:
        InputError: naming the file, the key, the missing services and the regions that have all.
    """
    commercial, by_service = _endpoints()
    region = settings.region
    missing = [name for name, available in by_service.items() if region not in available]
    if not missing:
        return
    known = region in commercial
    problem = f"{region} has no {', '.join(missing)}" if known else f"AWS has no region {region}"
    raise InputError(
        f"{file_of('region', settings.environment)}: key `region`: {problem}; "
        f"allowed: {', '.join(regions())}"
    )


def _endpoints() -> tuple[set[str], dict[str, set[str]]]:
    """Returns the commercial regions, and the regions of each service by its name."""
    from botocore.loaders import Loader

    commercial = Loader().load_data("endpoints")["partitions"][0]
    services = commercial["services"]
    by_service = {name: set(services[endpoint]["endpoints"]) for endpoint, name in _NEEDED.items()}
    return set(commercial["regions"]), by_service


def cloud_settings(environment: str) -> Settings:
    """Reads the settings of an environment that has an account.

    Raises:
        InputError: if there is no such environment, its region lacks a service, the settings of
            the promotion's source or target disagree, or another environment already makes the
            resources that an account has once.
    """
    settings = load_deployed(environment)
    check_region(settings)
    _check_account_stack(settings)
    for side in get_args(Side):
        neighbour_settings(settings, side)
    return settings


def _check_account_stack(settings: Settings) -> None:
    if not settings.lake_formation.account_stack:
        return
    for name in deployed_environments():
        other = load_settings(name)
        same_place = (other.account, other.region) == (settings.account, settings.region)
        if name != settings.environment and same_place and other.lake_formation.account_stack:
            raise InputError(
                f"{file_of('lake_formation', settings.environment)}: key "
                f"`lake_formation.account_stack`: {file_of('lake_formation', name)} has it too, in "
                f"the same account ({settings.account}) and region; an account can have one such "
                "stack: set `false` in one of them"
            )


def read_contracts(settings: Settings) -> tuple[Contract, ...]:
    """Reads the contracts that the settings name, each the only one of its table.

    Raises:
        InputError: if one is missing or not valid, two describe one table, or the lake does not
            support one.
    """
    key = f"{file_of('contracts', settings.environment)}: key `contracts`"
    contracts: dict[str, tuple[Path, Contract]] = {}
    for name in settings.contracts:
        file = Path("contracts") / f"{name}.odcs.yaml"
        if not file.is_file():
            names = sorted(
                f.name.removesuffix(".odcs.yaml") for f in file.parent.glob("*.odcs.yaml")
            )
            raise InputError(
                f"{key}: {file} does not exist; in config/{settings.environment}.yaml name those "
                f"that belong in the lake, such as `contracts: [{', '.join(names)}]`"
            )
        contract = load_contract(file)
        if contract.table in contracts:
            other = contracts[contract.table][0]
            raise InputError(
                f"{key}: {other} and {file} describe the same table `{contract.table}`: "
                "name one of them, or change `physicalName` in the other"
            )
        contracts[contract.table] = (file, contract)
    enforced = settings.lake_formation.mode == "enforced"
    by_file = {str(file): contract for file, contract in contracts.values()}
    check_lake(by_file, row_filters_hold=enforced)
    return tuple(by_file.values())


def compile_pipelines(
    settings: Settings, recipes: Sequence[Recipe], *, home: Path = HOME
) -> tuple[Compiled, ...]:
    """Compiles the pipelines of recipes and validates each against SageMaker's API, offline.

    Returns:
        Of each recipe the pipeline that trains, then the one that monitors.

    Raises:
        InputError: if one cannot be compiled, or SageMaker would reject it.
    """
    commit = source()
    commit_id = commit.git_sha + ("-dirty" if commit.dirty else "")
    compiled = []
    for recipe in recipes:
        pipelines = compiler.compile_pipelines(settings, recipe, home=home)
        modules = compiler.pipeline_modules(settings)
        for module, built in zip(modules, pipelines, strict=True):
            definition = json.loads(built.definition)
            check_definition(definition)
            compiled.append(
                Compiled(recipe=recipe.name, module=module, definition=definition, commit=commit_id)
            )
    return tuple(compiled)
