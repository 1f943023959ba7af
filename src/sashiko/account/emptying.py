"""Empties an environment before its destroy: AWS deletes only empty buckets and model groups."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, get_args

from sashiko.account.account import Account
from sashiko.account.names import Bucket, bucket_name, prefix
from sashiko.errors import InputError
from sashiko.settings.environment import Settings

_KEYS_A_CALL = 1000
# Access logs arrive hours after the access, and an endpoint captures until it is deleted: both
# would write to an emptied bucket.
_CLOSED = "ClosedForDestroy"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The number and size of the objects in a bucket."""

    bucket: str  # its name
    objects: int  # versions and delete markers
    size: int  # of all versions, in bytes


def contents(settings: Settings, account: Account) -> tuple[Contents, ...]:
    """Counts the objects in the environment's buckets, without buckets that do not exist.

    Raises:
        InputError: if the account refuses a call.
    """
    buckets = (account.read("s3", "list_buckets") or {}).get("Buckets", [])
    existing = {item["Name"] for item in buckets}
    names = [bucket_name(settings, bucket) for bucket in get_args(Bucket)]
    return tuple(_count(name, account) for name in names if name in existing)


def _count(bucket: str, account: Account) -> Contents:
    sizes = [int(version.get("Size", 0)) for version in _versions(account, bucket)]
    return Contents(bucket=bucket, objects=len(sizes), size=sum(sizes))


def empty_bucket(bucket: str, account: Account) -> Iterator[int]:
    """Permanently deletes every version of every object of a bucket.

    It first turns access logging off and denies writes.

    Yields:
        the number of deleted objects of each call.

    Raises:
        InputError: if S3 refuses to list or to delete.
    """
    _close(bucket, account)
    s3, versions = account.client("s3"), _versions(account, bucket)
    while batch := list(islice(versions, _KEYS_A_CALL)):
        keys = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in batch]
        with account.translate_errors(f"s3:DeleteObjectVersion in {bucket}"):
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        for refused in answer.get("Errors", []):
            raise InputError(
                f"s3://{bucket}/{refused['Key']} cannot be deleted: {refused.get('Code')}: "
                f"{refused.get('Message')}"
            )
        yield len(keys)


def closed_buckets(settings: Settings, account: Account) -> tuple[str, ...]:
    """Lists the environment's buckets that were closed for a destroy and still exist.

    Raises:
        InputError: if the account refuses a call.
    """
    names = (bucket_name(settings, bucket) for bucket in get_args(Bucket))
    return tuple(name for name in names if _is_closed(_policy(account, name)))


def reopen(settings: Settings, account: Account) -> Iterator[str]:
    """Reopens the environment's buckets after an aborted destroy; deleted data is not restored.

    Yields:
        the name of each bucket that accepts writes and logs accesses again.

    Raises:
        InputError: if the account refuses a call.
    """
    logs = bucket_name(settings, "logs")
    for bucket in get_args(Bucket):
        name = bucket_name(settings, bucket)
        policy = _policy(account, name)
        if not _is_closed(policy):
            continue
        statements = [item for item in policy["Statement"] if item.get("Sid") != _CLOSED]
        with account.translate_errors(f"s3:PutBucketPolicy of {name}"):
            text = json.dumps({**policy, "Statement": statements})
            account.client("s3").put_bucket_policy(Bucket=name, Policy=text)
        if bucket != "logs":  # as src/sashiko_cdk/lake/private_bucket.py has it
            status = {"LoggingEnabled": {"TargetBucket": logs, "TargetPrefix": f"{bucket}/"}}
            with account.translate_errors(f"s3:PutBucketLogging of {name}"):
                account.client("s3").put_bucket_logging(Bucket=name, BucketLoggingStatus=status)
        yield name


def packages(settings: Settings, account: Account) -> tuple[str, ...]:
    """Lists the ARNs of the model packages in the environment's groups; errors as `contents`."""
    name_prefix = f"{prefix(settings)}-"
    groups = account.pages(
        "sagemaker",
        "list_model_package_groups",
        "ModelPackageGroupSummaryList",
        NameContains=name_prefix,
    )
    names = [group["ModelPackageGroupName"] for group in groups]
    return tuple(
        package["ModelPackageArn"]
        for name in names
        if name.startswith(name_prefix)
        for package in account.pages(
            "sagemaker",
            "list_model_packages",
            "ModelPackageSummaryList",
            ModelPackageGroupName=name,
        )
    )


def unregister(package: str, account: Account) -> None:
    """Deletes a model package, an ARN.

    Raises:
        InputError: if SageMaker refuses it.
    """
    with account.translate_errors(f"sagemaker:DeleteModelPackage of {package}"):
        account.client("sagemaker").delete_model_package(ModelPackageName=package)


def _versions(account: Account, bucket: str) -> Iterator[Mapping[str, Any]]:
    pages = account.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket)
    with account.translate_errors(f"s3:ListBucketVersions of {bucket}"):
        for page in pages:
            yield from (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))


def _close(bucket: str, account: Account) -> None:
    """Turns access logging off and denies writes."""
    with account.translate_errors(f"s3:PutBucketLogging of {bucket}"):
        account.client("s3").put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    policy = _policy(account, bucket)
    if _is_closed(policy):
        return
    deny = {
        "Sid": _CLOSED,
        "Effect": "Deny",
        "Principal": {"AWS": "*", "Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    policy["Statement"] = [*policy.get("Statement", []), deny]
    with account.translate_errors(f"s3:PutBucketPolicy of {bucket}"):
        account.client("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


def _policy(account: Account, bucket: str) -> dict[str, Any]:
    absent = ("NoSuchBucket", "NoSuchBucketPolicy")
    response = account.read("s3", "get_bucket_policy", absent=absent, Bucket=bucket)
    policy: dict[str, Any] = (
        json.loads(response["Policy"]) if response else {"Version": "2012-10-17"}
    )
    return policy


def _is_closed(policy: Mapping[str, Any]) -> bool:
    return any(item.get("Sid") == _CLOSED for item in policy.get("Statement", []))
