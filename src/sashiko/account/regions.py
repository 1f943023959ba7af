"""Checks that a region has every service that an environment needs, from botocore's data."""

from sashiko.errors import InputError
from sashiko.settings.environment import Settings, file_of

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
