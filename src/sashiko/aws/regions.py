"""Whether a region has the services that an environment is made of; botocore knows, offline."""

from sashiko.errors import InputError
from sashiko.settings import Settings, file_of

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


def check_region(settings: Settings) -> None:
    """Refuses a region that AWS does not have, or that lacks a service.

    Raises:
        InputError: naming the file, the key, what lacks, and the regions that have all.
    """
    from botocore.loaders import Loader

    commercial = Loader().load_data("endpoints")["partitions"][0]
    region = settings.region
    at = {name: set(commercial["services"][name]["endpoints"]) for name in _NEEDED}
    lacking = [_NEEDED[name] for name, regions in at.items() if region not in regions]
    if not lacking:
        return
    whole = sorted(set.intersection(set(commercial["regions"]), *at.values()))
    known = region in commercial["regions"]
    problem = f"{region} has no {', '.join(lacking)}" if known else f"AWS has no region {region}"
    raise InputError(
        f"{file_of('region', settings.environment)}: key `region`: {problem}; "
        f"allowed: {', '.join(whole)}"
    )
