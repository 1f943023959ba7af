"""What a job needs in an account and not on this machine: a VPC, keys, tags.

The pipeline role's guardrails (sashiko_cdk.identity.guardrails) deny a job that lacks any of it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sagemaker.core.shapes import Tag
from sagemaker.core.workflow.entities import PipelineVariable

from sashiko.aws.resources import deploy_time
from sashiko.aws.resources.instances import has_local_disk
from sashiko.aws.resources.names import bucket_name
from sashiko.settings.environment import Settings

Uri = Any  # a string, or a pipeline variable that becomes one


def vpc(settings: Settings) -> dict[str, Sequence[str]]:
    """Returns a job's VPC options, which processing and training share."""
    if settings.tier == "local":
        return {}
    return {
        "security_group_ids": [deploy_time.security_group_id()],
        "subnets": list(deploy_time.subnet_ids(settings)),
    }


def traffic_encrypted(settings: Settings) -> bool | None:
    """Returns whether traffic between containers is encrypted; None leaves it out."""
    return None if settings.tier == "local" else True


def volume_key(settings: Settings, instance_type: str) -> str | None:
    """Returns the KMS key of a job's volume; None for instances that encrypt their local disks."""
    if settings.tier == "local" or has_local_disk(instance_type):
        return None
    return deploy_time.key_arn("ml")


def output_key(settings: Settings, uris: Iterable[Uri]) -> str | None:
    """Returns the KMS key of a job's outputs: SageMaker takes one key for all of them.

    A job that writes rows into the snapshots bucket encrypts all its outputs with that bucket's
    key. Roles that read its verdict may use that key; rows under the artifacts key would be
    readable by every role that reads artifacts.
    """
    if settings.tier == "local":
        return None
    snapshots = f"s3://{bucket_name(settings, 'snapshots')}/"
    rows = any(_literal_prefix(uri).startswith(snapshots) for uri in uris)
    return deploy_time.key_arn("snapshots" if rows else "ml")


def tags(settings: Settings) -> list[Tag] | None:
    """Returns a job's tags: those that every resource of the environment has."""
    if settings.tier == "local":
        return None
    values = {"project": settings.project, "environment": settings.environment}
    return [Tag(key=key, value=value) for key, value in values.items()]


def _literal_prefix(uri: Uri) -> str:
    """Returns the literal beginning of a URI."""
    if isinstance(uri, PipelineVariable):
        [(_, join)] = uri.expr.items()
        return f"{join['Values'][0]}/"
    return str(uri)
