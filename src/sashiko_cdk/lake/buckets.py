"""The lake's buckets, and who reads and writes what in them."""

from collections.abc import Mapping
from typing import cast, get_args

from aws_cdk import Duration
from aws_cdk import aws_s3 as s3

from sashiko.account.names import MODELS, Bucket, Role, SnapshotView, registering
from sashiko.packs import load_packs, pack_objects
from sashiko.registry.attestation import STATEMENTS
from sashiko_cdk.identity.role_table import STAGED, role_records
from sashiko_cdk.identity.trust import share_models
from sashiko_cdk.lake.catalog import RESULTS
from sashiko_cdk.lake.domain_key import DomainKey
from sashiko_cdk.lake.private_bucket import PrivateBucket
from sashiko_cdk.stack import EnvironmentStack

__all__ = ["add_buckets"]

ACCESS_LOGS = Duration.days(400)
_SCRATCH = Duration.days(7)
_CHECKPOINTS = Duration.days(30)  # more than the 28 days that a training may run
_READ = ("s3:GetObject*",)
# Other readers of the lake's objects go through Lake Formation, which acts as the first role.
_OBJECT_READERS: tuple[Role, ...] = ("lake-formation", "etl", "break-glass")
# Without Lake Formation a query reads with its own role.
_BY_IAM: tuple[Role, ...] = ("broker", "bias-evaluator")


def add_buckets(
    stack: EnvironmentStack, *, lake_key: DomainKey, snapshots_key: DomainKey, ml_key: DomainKey
) -> tuple[PrivateBucket, ...]:
    """Adds the lake's buckets to a stack; a deny in their policies overrides what IAM allows.

    Args:
        stack: the stack.
        lake_key: encrypts the tables and the files that they are loaded from.
        snapshots_key: encrypts what pipelines read of the lake.
        ml_key: encrypts artifacts.

    Returns:
        The buckets, with the one first that the others log to.
    """
    settings = stack.settings
    logs = _bucket(stack, "logs", expiring={"": ACCESS_LOGS})
    raw = _bucket(stack, "raw", key=lake_key, logs=logs)
    _tell_event_bridge(raw)
    curated = _bucket(stack, "curated", key=lake_key, logs=logs)
    by_iam = () if settings.lake_formation.mode == "enforced" else _BY_IAM
    raw.only(*_OBJECT_READERS, actions=_READ)
    records = role_records(settings)
    publishers = [one.name for one in records if one.publishes_tables]
    curated.only(*_OBJECT_READERS, *by_iam, *publishers, actions=_READ)
    views = get_args(SnapshotView)
    scratch = [f"{view}/{folder}" for view in views for folder in ("scratch/", RESULTS)]
    expiring = dict.fromkeys(scratch, _SCRATCH)
    snapshots = _bucket(stack, "snapshots", key=snapshots_key, logs=logs, expiring=expiring)
    snapshots.only("broker", actions=["s3:PutObject"], prefix="training/")
    snapshots.only("bias-evaluator", actions=["s3:PutObject"], prefix="facets/")
    snapshots.only("bias-evaluator", "break-glass", actions=_READ, prefix="facets/")
    snapshots.only("bias-evaluator", actions=["s3:PutObject"], prefix="weights/")
    snapshots.only("bias-evaluator", "training", "break-glass", actions=_READ, prefix="weights/")
    # A finished training deletes its checkpoints; those of an abandoned one expire.
    expiring = {RESULTS: _SCRATCH, "checkpoints/": _CHECKPOINTS}
    artifacts = _bucket(stack, "artifacts", key=ml_key, logs=logs, expiring=expiring)
    # A version in the registry points there: only the roles that register may write its files.
    artifacts.only(*registering(settings), actions=["s3:PutObject"], prefix=f"{MODELS}/")
    # A registration vouches for the statements about the images that its model was made in.
    artifacts.only("image-build-starter", actions=["s3:PutObject"], prefix=f"{STATEMENTS}/")
    share_models(artifacts, ml_key, settings=settings)
    for keys in STAGED:
        artifacts.only("deployer", actions=["s3:PutObject"], prefix=keys.removesuffix("*"))
        artifacts.write_once(prefix=keys.removesuffix("*"))
    buckets: Mapping[Bucket, PrivateBucket] = {"artifacts": artifacts, "snapshots": snapshots}
    for add_parts in pack_objects("bucket_parts", load_packs(settings.packs, source="settings")):
        add_parts(settings, buckets)
    logs.explain_logs("raw", "curated", "snapshots", "artifacts", "capture")
    return logs, raw, curated, snapshots, artifacts


def _bucket(
    stack: EnvironmentStack,
    bucket: Bucket,
    *,
    key: DomainKey | None = None,
    logs: PrivateBucket | None = None,
    expiring: Mapping[str, Duration] | None = None,
) -> PrivateBucket:
    """Makes a bucket; `expiring` has a folder, or `""` for all, -> the age of what expires."""
    return PrivateBucket(
        stack,
        f"Bucket-{bucket}",
        settings=stack.settings,
        bucket=bucket,
        removal_policy=stack.removal_policy,
        key=key,
        logs=logs,
        expiring=[
            s3.LifecycleRule(prefix=folder or None, expiration=age)
            for folder, age in (expiring or {}).items()
        ],
    )


def _tell_event_bridge(bucket: s3.Bucket) -> None:
    """Sends EventBridge the bucket's events; the construct's own switch adds a Lambda function."""
    config = s3.CfnBucket
    to_event_bridge = config.EventBridgeConfigurationProperty(event_bridge_enabled=True)
    cast(
        s3.CfnBucket, bucket.node.default_child
    ).notification_configuration = config.NotificationConfigurationProperty(
        event_bridge_configuration=to_event_bridge
    )
