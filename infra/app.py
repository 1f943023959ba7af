"""The CDK app: an environment's settings in, its stacks out. The CDK command line runs it.

`make synth ENV=dev`, or `npx --no-install cdk synth -c env=dev`. It reads files and calls nothing.
"""

import sys
from itertools import pairwise
from pathlib import Path

from aws_cdk import App

from infra.security_rules.plugin import add_rules
from infra.stacks.base import EnvironmentStack
from infra.stacks.data_lake import DataLake
from infra.stacks.governance import Governance
from infra.stacks.identity import Identity
from infra.stacks.lake_formation_account import LakeFormationAccount
from infra.stacks.network import Network
from infra.stacks.platform import Platform
from sashiko.aws.regions import check_region
from sashiko.contract.glue import check_lake
from sashiko.contract.model import Contract, load_contract
from sashiko.errors import InputError
from sashiko.recipe import Recipe
from sashiko.repository import find_recipe, open_recipe
from sashiko.settings import Settings, file_of, load_settings


def add_stacks(
    app: App,
    settings: Settings,
    contracts: tuple[Contract, ...],
    recipes: tuple[Recipe, ...],
) -> None:
    """Adds an environment's stacks, in the order in which they are deployed."""
    enforced = settings.lake_formation.mode == "enforced"
    files = [f"contracts/{name}.odcs.yaml" for name in settings.contracts]
    check_lake(dict(zip(files, contracts, strict=True)), row_filters_hold=enforced)
    stacks: list[EnvironmentStack] = []
    if enforced and settings.lake_formation.account_stack:
        stacks.append(LakeFormationAccount(app, settings=settings, contracts=contracts))
    stacks.append(Identity(app, settings=settings))
    stacks.append(Network(app, settings=settings))
    stacks.append(DataLake(app, settings=settings, contracts=contracts))
    if enforced:
        stacks.append(Governance(app, settings=settings, contracts=contracts))
    stacks.append(Platform(app, settings=settings, recipes=recipes))
    for before, after in pairwise(stacks):
        after.add_stack_dependency(before)


def main() -> None:
    """Synthesizes the environment that the context key `env` names.

    Raises:
        InputError: if a setting, a contract or the recipe is wrong, or a template breaks a rule.
    """
    app = App()
    settings = cloud_settings(app.node.try_get_context("env") or "dev")
    contracts = read_contracts(settings)
    add_stacks(app, settings, contracts, (open_recipe(find_recipe(settings.recipe)),))
    report = bool(app.node.try_get_context("security-report"))
    add_rules(app, retains=settings.on_destroy == "retain", nist=report)
    try:
        app.synth()
    except RuntimeError as error:
        # What was found stands on stderr already, resource by resource.
        if "ValidationFailed" not in str(error):
            raise
        if report:  # whether a finding is a failure is for `infra.security_report` to say
            return
        raise InputError("the templates break a rule: see the findings above") from error


def cloud_settings(environment: str) -> Settings:
    """Reads the settings of an environment that has an account.

    Raises:
        InputError: if there is no such environment, or its region lacks a service.
    """
    if environment == "local":
        raise InputError("environment `local` is this machine and has no stacks: use dev or prod")
    settings = load_settings(environment)
    check_region(settings)
    return settings


def read_contracts(settings: Settings) -> tuple[Contract, ...]:
    """Reads the contracts that the settings name, each the only one of its table.

    Raises:
        InputError: if one is missing or not valid, or two describe one table.
    """
    where = f"{file_of('contracts', settings.environment)}: key `contracts`"
    contracts: dict[str, tuple[Path, Contract]] = {}
    for name in settings.contracts:
        file = Path("contracts") / f"{name}.odcs.yaml"
        if not file.is_file():
            there = sorted(
                f.name.removesuffix(".odcs.yaml") for f in file.parent.glob("*.odcs.yaml")
            )
            raise InputError(f"{where}: {file} does not exist; there are: {', '.join(there)}")
        contract = load_contract(file)
        if contract.table in contracts:
            other = contracts[contract.table][0]
            raise InputError(
                f"{where}: {other} and {file} describe the same table `{contract.table}`: "
                "name one of them, or change `physicalName` in the other"
            )
        contracts[contract.table] = (file, contract)
    return tuple(contract for _, contract in contracts.values())


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
