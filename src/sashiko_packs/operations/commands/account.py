"""`sashiko env drift` and `destroy-data`: the account, and its data."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from typing import Any, get_args

import typer

from sashiko.account.account import Account
from sashiko.account.names import Bucket, bucket_name, prefix
from sashiko.account.templates import CDK_OUT
from sashiko.commands.options import (
    AsJson,
    DeployedEnvironment,
    Place,
    TemplatesFolder,
    Yes,
    confirm,
)
from sashiko.errors import CHECK_FAILED, InputError
from sashiko.settings.environment import Settings, load_deployed
from sashiko.settings.tools import load_place

# Empties an environment before its destroy: AWS deletes only empty buckets and model groups.
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
    s3, policy = account.client("s3"), _policy(account, bucket)
    with account.translate_errors(f"s3:PutBucketLogging of {bucket}"):
        s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    if all(item.get("Sid") != _CLOSED for item in policy.get("Statement", [])):
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
    # Listed from the start each time: the marker of a next page would name a deleted version.
    while batch := list(islice(_versions(account, bucket), _KEYS_A_CALL)):
        keys = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in batch]
        with account.translate_errors(f"s3:DeleteObjectVersion in {bucket}"):
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        for refused in answer.get("Errors", []):
            raise InputError(
                f"s3://{bucket}/{refused['Key']} cannot be deleted: {refused.get('Code')}: "
                f"{refused.get('Message')}"
            )
        yield len(keys)


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


def drift(
    env: DeployedEnvironment = "dev", templates: TemplatesFolder = CDK_OUT, json_: AsJson = False
) -> None:
    """Compare an account with the templates where CloudFormation detects no drift. Read-only.

    It reads Lake Formation's settings, LF-Tags, filters, grants and locations, the catalog's
    tables, the live endpoint, what packs compare, such as imported models, and whether deploys
    may change who assumes the roles (TRUST=open). docs/audit.md says how to detect the drift of
    everything else.

    A note names what others may have added, such as another administrator. It does not count.
    Exit status: 0 no difference; 4 differences; 1 an error.
    """
    from sashiko.account.access.environment_access import read_environment
    from sashiko.account.account import Account
    from sashiko.packs import pack_objects
    from sashiko_packs.operations.audit import cap, read_live, serving
    from sashiko_packs.operations.lake import compare_lake

    settings = load_deployed(env)
    environment = read_environment(settings, folder=templates)
    account = Account(settings)
    caller = account.check_identity()
    print(f"reading {settings.account} in {settings.region} as {caller}", file=sys.stderr)
    live = read_live(account, environment)
    if live.settings and not live.settings.lists_all_to(caller):
        print(
            "warning: the caller is not a data-lake administrator, not even a read-only one. "
            "Lake Formation lists only its own grants to it: what is missing below may exist",
            file=sys.stderr,
        )
    differences = [
        *cap(account, settings),
        *compare_lake(environment, live),
        *serving(account, environment),
    ]
    for compare in pack_objects("drift"):
        differences += compare(account, environment)
    drifted = [item for item in differences if item.kind != "note"]
    notes = len(differences) - len(drifted)
    if json_:
        typer.echo(json.dumps([asdict(item) for item in differences], indent=2))
    else:
        for item in differences:
            typer.echo(f"{item.kind:<8} {item.resource}")
            if item.detail:
                typer.echo(f"         {item.detail}")
            typer.echo(f"         {'if unwanted' if item.kind == 'note' else 'fix'}: {item.fix}")
        summary = f"{len(drifted) or 'no'} difference{'s' * (len(drifted) != 1)}"
        typer.echo(summary + (f", {notes} note{'s' * (notes != 1)}" if notes else ""))
    if drifted:
        raise typer.Exit(CHECK_FAILED)


def destroy_data(
    env: Place = "dev",
    yes: Yes = False,
) -> None:
    """Delete all data and registered models of an environment, so that its stacks can be destroyed.

    It lists what is there and asks first. It deletes every version of every object in the buckets,
    and every version in the model package groups; with `on_destroy: retain`, nothing.
    """
    settings = load_place(env)
    if settings.on_destroy == "retain":
        typer.echo(f"{env} keeps its data (`on_destroy: retain`): nothing was deleted")
        return
    account = Account(settings)
    account.check_identity()
    buckets, models = contents(settings, account), packages(settings, account)
    for item in buckets:
        print(f"{item.bucket}: {item.objects} objects, {item.size / 1e6:.1f} MB", file=sys.stderr)
    print(f"{len(models)} registered models", file=sys.stderr)
    if (models or any(item.objects for item in buckets)) and not yes:
        confirm(f"all data of {env}", word=env)
    deleted = 0
    for item in buckets:
        for count in empty_bucket(item.bucket, account):
            deleted += count
            print(f"{item.bucket}: {deleted} deleted", file=sys.stderr)
    for arn in models:
        unregister(arn, account)
        print(f"{arn}: deleted", file=sys.stderr)
    typer.echo(
        f"{deleted} objects and versions deleted from {len(buckets)} buckets of {env}, and "
        f"{len(models)} registered models"
    )
