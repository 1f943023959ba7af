"""Empties an environment before its destroy: AWS deletes only empty buckets and model groups.

Each function raises InputError if the account refuses a call.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, get_args

from sashiko.account.account import Account
from sashiko.account.names import Bucket, bucket_name, prefix
from sashiko.doctor.services import Check
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
    """Counts the objects in the environment's buckets, without buckets that do not exist."""
    buckets = (account.read("s3", "list_buckets") or {}).get("Buckets", [])
    existing = {item["Name"] for item in buckets}
    counted = []
    for bucket in get_args(Bucket):
        if (name := bucket_name(settings, bucket)) in existing:
            sizes = [int(version.get("Size", 0)) for version in _versions(account, name)]
            counted.append(Contents(bucket=name, objects=len(sizes), size=sum(sizes)))
    return tuple(counted)


def empty_bucket(bucket: str, account: Account) -> Iterator[int]:
    """Permanently deletes every version of every object of a bucket; yields how many a call did.

    It first turns access logging off and denies writes.
    """
    s3, versions, policy = (
        account.client("s3"),
        _versions(account, bucket),
        _policy(account, bucket),
    )
    with account.translate_errors(f"s3:PutBucketLogging of {bucket}"):
        s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    if not _is_closed(policy):
        deny = {
            "Sid": _CLOSED,
            "Effect": "Deny",
            "Principal": {"AWS": "*", "Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{bucket}/*",
        }
        policy["Statement"] = [*policy.get("Statement", []), deny]
        with account.translate_errors(f"s3:PutBucketPolicy of {bucket}"):
            s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
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
    """Lists the environment's buckets that were closed for a destroy and still exist."""
    names = (bucket_name(settings, bucket) for bucket in get_args(Bucket))
    return tuple(name for name in names if _is_closed(_policy(account, name)))


def check_closed(account: Account, settings: Settings) -> Iterator[Check]:
    """Yields a failed check if buckets are closed: what writes to them is refused."""
    if closed := closed_buckets(settings, account):
        detail = f"{', '.join(closed)}: emptied and closed for a destroy that was not run"
        fix = f"sashiko env destroy-data --undo --env {settings.environment}"
        yield Check("closed buckets", "failed", detail, fix=fix)


def reopen(settings: Settings, account: Account) -> Iterator[str]:
    """Reopens the environment's buckets after an aborted destroy, and yields their names.

    Deleted data is not restored.
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
    """Lists the ARNs of the model packages in the environment's groups."""
    own, list_all = f"{prefix(settings)}-", partial(account.pages, "sagemaker")
    groups = list_all("list_model_package_groups", "ModelPackageGroupSummaryList", NameContains=own)
    names = [group["ModelPackageGroupName"] for group in groups]
    return tuple(
        package["ModelPackageArn"]
        for name in names
        if name.startswith(own)
        for package in list_all(
            "list_model_packages", "ModelPackageSummaryList", ModelPackageGroupName=name
        )
    )


def unregister(package: str, account: Account) -> None:
    """Deletes a model package, an ARN."""
    with account.translate_errors(f"sagemaker:DeleteModelPackage of {package}"):
        account.client("sagemaker").delete_model_package(ModelPackageName=package)


def _versions(account: Account, bucket: str) -> Iterator[Mapping[str, Any]]:
    pages = account.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket)
    with account.translate_errors(f"s3:ListBucketVersions of {bucket}"):
        for page in pages:
            yield from (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))


def _policy(account: Account, bucket: str) -> dict[str, Any]:
    absent = ("NoSuchBucket", "NoSuchBucketPolicy")
    response = account.read("s3", "get_bucket_policy", absent=absent, Bucket=bucket)
    policy: dict[str, Any] = (
        json.loads(response["Policy"]) if response else {"Version": "2012-10-17"}
    )
    return policy


def _is_closed(policy: Mapping[str, Any]) -> bool:
    return any(item.get("Sid") == _CLOSED for item in policy.get("Statement", []))
