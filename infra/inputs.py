"""What an app is made of: an environment's settings, and the contracts that they name."""

from pathlib import Path

from sashiko.aws.regions import check_region
from sashiko.contract.model import Contract, load_contract
from sashiko.errors import InputError
from sashiko.recipe import Recipe, load_recipe
from sashiko.settings import Settings, file_of, load_settings


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


def read_recipes(settings: Settings) -> tuple[Recipe, ...]:
    """Reads the recipe that the settings name: what the environment's pipeline trains.

    Raises:
        InputError: if it is missing or not valid.
    """
    return (load_recipe(Path("recipes") / f"{settings.recipe}.yaml"),)
