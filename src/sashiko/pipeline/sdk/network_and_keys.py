"""What a job needs in an account and not on this machine: a VPC, keys, tags.

What the pipeline role is denied (sashiko_cdk.identity.roles) includes a job that lacks any of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sagemaker.core.shapes import Tag
from sagemaker.core.workflow.entities import PipelineVariable

from sashiko.account import deploy_time
from sashiko.account.instances import has_local_disk
from sashiko.account.names import Bucket, KeyDomain, bucket_name
from sashiko.errors import InputError
from sashiko.settings.environment import Settings

# Bucket -> the domain of its key.
_BUCKETS_OF_ROWS: Final[Mapping[Bucket, KeyDomain]] = {
    "snapshots": "snapshots",
    "capture": "capture",
    "curated": "lake",
}


def vpc(settings: Settings, *, nodes: int) -> dict[str, Sequence[str]]:
    """Returns a job's VPC options; several nodes are in a group that lets them talk.

    SageMaker asks for it of processing too: "you must allow communication between the different
    containers in the same processing job" ("Give SageMaker AI Processing Jobs Access to Resources
    in Your Amazon VPC", Developer Guide). Existing groups have to, which the doctor checks.
    """
    if settings.tier == "local":
        return {}
    groups = [*deploy_time.security_group_ids(settings)]
    if nodes > 1 and not settings.network.security_groups:
        groups.append(deploy_time.nodes_group_id())
    return {"security_group_ids": groups, "subnets": list(deploy_time.subnet_ids(settings))}


def proxy_env(settings: Settings) -> dict[str, str]:
    """Returns the variables of the proxy, for a job with a network; none without a proxy.

    In both cases of letters: urllib and requests prefer the lower one, other clients know one only.
    """
    proxy = settings.network.proxy
    if settings.tier == "local" or proxy is None:
        return {}
    direct = settings.network.no_proxy(settings.region)
    values = {"http_proxy": proxy.url, "https_proxy": proxy.url, "no_proxy": direct}
    return {form(name): value for name, value in values.items() for form in (str.lower, str.upper)}


def volume_key(settings: Settings, instance_type: str) -> str | None:
    """Returns the KMS key of a job's volume; None for instances that encrypt their local disks."""
    if settings.tier == "local" or has_local_disk(instance_type):
        return None
    return deploy_time.key_arn("ml")


def output_key(settings: Settings, uris: Iterable[Any]) -> str | None:
    """Returns the KMS key of a job's outputs: SageMaker takes one key for all of them.

    A job that writes rows into the snapshots, the capture or the curated bucket encrypts all its
    outputs with that bucket's key. Roles that read its verdict may use that key; rows under the
    artifacts key would be readable by every role that reads artifacts.

    Raises:
        InputError: if it writes into two of them, since each bucket's rows are for other readers.
    """
    if settings.tier == "local":
        return None
    # The literal beginning of each: those of a run are joined when it runs.
    prefixes = [
        f"{uri.expr['Std:Join']['Values'][0]}/" if isinstance(uri, PipelineVariable) else str(uri)
        for uri in uris
    ]
    keys = [
        bucket
        for bucket in _BUCKETS_OF_ROWS
        if any(prefix.startswith(f"s3://{bucket_name(settings, bucket)}/") for prefix in prefixes)
    ]
    if len(keys) > 1:
        raise InputError(
            f"pipelines/: a job writes into the buckets {' and '.join(keys)}, and SageMaker "
            "encrypts all its outputs with one key: make two steps of it"
        )
    return deploy_time.key_arn(_BUCKETS_OF_ROWS[keys[0]] if keys else "ml")


def tags(settings: Settings) -> list[Tag] | None:
    """Returns a job's tags: those that every resource of the environment has."""
    if settings.tier == "local":
        return None
    values = {"project": settings.project, "environment": settings.environment}
    return [Tag(key=key, value=value) for key, value in values.items()]
