"""What SageMaker hosts in the emulator, and what the audit says of it."""

from pathlib import Path
from typing import Any

from sashiko.aws.operations.access.environment import read_environment
from sashiko.aws.operations.audit.difference import Difference
from sashiko.aws.operations.audit.serving import serving
from sashiko.aws.resources.account import Account
from verification.deploy import served
from verification.deploy.inventory import inventory
from verification.deploy.process import Emulator

NAME = "sashiko-dev-complaint-triage"
TARGET = f"endpoint/{NAME}/variant/primary"


def audit(folder: Path) -> list[Difference]:
    """Returns what `sashiko audit` finds of serving."""
    settings = served.serving_settings()
    environment = read_environment(settings, folder=folder / "cdk.out")
    return list(serving(Account(settings), environment))


def endpoint(account: Emulator) -> Any:
    """Describes the endpoint."""
    return account.client("sagemaker").describe_endpoint(EndpointName=NAME)


def config(account: Emulator) -> Any:
    """Describes its configuration."""
    name = endpoint(account)["EndpointConfigName"]
    return account.client("sagemaker").describe_endpoint_config(EndpointConfigName=name)


def model(account: Emulator) -> Any:
    """Describes its model."""
    (variant,) = config(account)["ProductionVariants"]
    return account.client("sagemaker").describe_model(ModelName=variant["ModelName"])


def served_arn(account: Emulator) -> str:
    """Returns the ARN of the version that it serves."""
    return str(model(account)["PrimaryContainer"]["ModelPackageName"])


def hosting_names(account: Emulator) -> list[str]:
    """Names of all that SageMaker hosts."""
    names_by_operation = inventory(account)
    kinds = ("list_models", "list_endpoint_configs", "list_endpoints")
    return [name for kind in kinds for name in names_by_operation[kind]]


def count(account: Emulator) -> int:
    """Returns its number of instances."""
    return int(endpoint(account)["ProductionVariants"][0]["DesiredInstanceCount"])


def scale_out(account: Emulator, instances: int) -> None:
    """Changes its number of instances, as scaling does."""
    account.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName=NAME,
        DesiredWeightsAndCapacities=[{"VariantName": "primary", "DesiredInstanceCount": instances}],
    )
