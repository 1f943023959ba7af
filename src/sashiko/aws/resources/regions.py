"""Whether a region has the services that an environment is made of; botocore knows, offline."""

from sashiko.errors import InputError
from sashiko.settings.environment import Settings, file_of

# botocore's names of their endpoints.
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
    commercial, at = _endpoints()
    return tuple(sorted(set.intersection(commercial, *at.values())))


def check_region(settings: Settings) -> None:
    """Refuses a region that AWS does not have, or that lacks a service.

    Raises:
        InputError: naming the file, the key, what lacks, and the regions that have all.
    """
    commercial, at = _endpoints()
    region = settings.region
    lacking = [name for name, has in at.items() if region not in has]
    if not lacking:
        return
    known = region in commercial
    problem = f"{region} has no {', '.join(lacking)}" if known else f"AWS has no region {region}"
    raise InputError(
        f"{file_of('region', settings.environment)}: key `region`: {problem}; "
        f"allowed: {', '.join(regions())}"
    )


def _endpoints() -> tuple[set[str], dict[str, set[str]]]:
    """Returns the commercial regions, and those of each service by its name."""
    from botocore.loaders import Loader

    commercial = Loader().load_data("endpoints")["partitions"][0]
    services = commercial["services"]
    at = {name: set(services[endpoint]["endpoints"]) for endpoint, name in _NEEDED.items()}
    return set(commercial["regions"]), at
