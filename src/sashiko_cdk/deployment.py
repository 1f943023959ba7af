"""The inputs of a deployment: an environment's settings, and what they name."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from sashiko.contract.glue import check_lake
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.packs import load_packs, pack_objects
from sashiko.pipeline import compiled as compiler
from sashiko.pipeline.definition.validator.check import check_definition
from sashiko.pipeline.project import HOME, choose_recipe, source
from sashiko.settings import environment as environments
from sashiko.settings.delivery import GitHubTrust, github_trust
from sashiko.settings.environment import Settings, Side, file_of, neighbour_settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.tools import Tools, stages_tools
from sashiko_cdk.pipeline.compiled_pipeline import Compiled

__all__ = ["Deployment", "read_deployment"]

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


def cloud_settings(environment: str) -> Settings:
    """Reads the settings of an environment that has an account.

    Raises:
        InputError: if there is no such environment, its region lacks a service, the settings of
            the promotion's source or target disagree, or another environment already makes the
            resources that an account has once.
    """
    settings = environments.load_deployed(environment)
    region, by_service = settings.region, _regions_of_services()
    missing = [name for name, available in by_service.items() if region not in available]
    if missing:
        known = "AWS" not in missing
        lacks = f"{region} has no {', '.join(missing)}"
        raise InputError(
            f"{file_of('region', settings.environment)}: key `region`: "
            f"{lacks if known else f'AWS has no region {region}'}; allowed: {', '.join(regions())}"
        )
    place = (settings.account, settings.region)
    own_stack = settings.lake_formation.account_stack
    for name in environments.deployed_environments() if own_stack else ():
        other = environments.load_settings(name)
        both = other.lake_formation.account_stack and name != settings.environment
        if both and (other.account, other.region) == place:
            raise InputError(
                f"{file_of('lake_formation', settings.environment)}: key "
                f"`lake_formation.account_stack`: {file_of('lake_formation', name)} has it too, in "
                f"the same account ({settings.account}) and region; an account can have one such "
                "stack: set `false` in one of them"
            )
    for side in get_args(Side):
        neighbour_settings(settings, side)
    return settings


def regions() -> tuple[str, ...]:
    """Returns the regions that have all services, in order."""
    return tuple(sorted(set.intersection(*_regions_of_services().values())))


def _regions_of_services() -> dict[str, set[str]]:
    """Returns the commercial regions of each service by its name, and of AWS as a whole."""
    from botocore.loaders import Loader

    commercial = Loader().load_data("endpoints")["partitions"][0]
    services = commercial["services"]
    by_service = {name: set(services[endpoint]["endpoints"]) for endpoint, name in _NEEDED.items()}
    return {"AWS": set(commercial["regions"])} | by_service


def read_contracts(settings: Settings) -> tuple[Contract, ...]:
    """Reads the contracts that the settings name, each the only one of its table.

    Raises:
        InputError: if one is missing or not valid, two describe one table, or the lake does not
            support one.
    """
    key = f"{file_of('contracts', settings.environment)}: key `contracts`"
    contracts: dict[str, Contract] = {}
    for file in environments.contract_files(settings):
        if not file.is_file():
            names = sorted(
                f.name.removesuffix(".odcs.yaml") for f in file.parent.glob("*.odcs.yaml")
            )
            raise InputError(
                f"{key}: {file} does not exist; in config/{settings.environment}.yaml name those "
                f"that belong in the lake, such as `contracts: [{', '.join(names)}]`"
            )
        contracts[str(file)] = load_contract(file)
    enforced = settings.lake_formation.mode == "enforced"
    check_lake(contracts, row_filters_hold=enforced, region=settings.region)
    return tuple(contracts.values())


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


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The inputs of every stack."""

    settings: Settings  # the environment
    environments: tuple[str, ...]  # names of all that have an account
    contracts: tuple[Contract, ...]  # of the lake's tables, and of those of other owners
    recipes: tuple[Recipe, ...]  # what the environment's pipelines train
    pipelines: tuple[Compiled, ...]  # of each recipe, as `compile_pipelines` returns them
    github: GitHubTrust | None = None  # if GitHub Actions deploys the environment
    tools: Tools | None = None  # if a pipeline in the tools' account does

    @property
    def loaded(self) -> tuple[Contract, ...]:
        """The contracts of the tables that the stacks declare and load."""
        return tuple(contract for contract in self.contracts if contract.lake is None)


def read_deployment(settings: Settings) -> Deployment:
    """Reads what the settings name, and compiles the pipelines.

    Raises:
        InputError: if a contract or a recipe is missing or not valid, one cannot be compiled, or
            `config/delivery.yaml` is not valid.
    """
    recipes = (choose_recipe(settings, None),)
    contracts = read_contracts(settings)
    for more in pack_objects("lake_contracts", load_packs(settings.packs, source="settings")):
        contracts += tuple(item for recipe in recipes for item in more(settings, recipe, contracts))
    return Deployment(
        settings=settings,
        environments=environments.deployed_environments(),
        contracts=contracts,
        recipes=recipes,
        pipelines=compile_pipelines(settings, recipes),
        github=github_trust(settings.environment),
        tools=stages_tools(settings),
    )
