"""`sashiko env destroy-data`: what it deletes for good, what it leaves alone, and what stops it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from sashiko.account.account import Account
from sashiko.account.names import bucket_name
from sashiko.errors import InputError
from sashiko.settings.environment import Settings
from sashiko_packs.operations.commands import account as commands
from sashiko_packs.operations.commands.account import contents, empty_bucket, packages, unregister
from tests.infra.variants import settings_of

OWN_STATEMENT = {
    "Sid": "OnlyTheEtl",
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::*/*",
}


@pytest.fixture
def settings() -> Settings:
    return settings_of("dev")


@pytest.fixture
def account(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        yield Account(settings)


@pytest.fixture
def raw(account: Account, settings: Settings) -> str:
    bucket, s3 = bucket_name(settings, "raw"), account.client("s3")
    make_bucket(account, bucket)
    for body in (b"one", b"three"):
        s3.put_object(Bucket=bucket, Key="a", Body=body)
    s3.put_object(Bucket=bucket, Key="b", Body=b"2")
    s3.delete_object(Bucket=bucket, Key="b")
    return bucket


def make_bucket(account: Account, bucket: str) -> None:
    s3 = account.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def left_in(account: Account, bucket: str) -> list[str]:
    response = account.client("s3").list_object_versions(Bucket=bucket)
    return [
        item["Key"] for kind in ("Versions", "DeleteMarkers") for item in response.get(kind, ())
    ]


def test_nothing_is_left_of_a_bucket_neither_old_versions_nor_delete_markers(
    account: Account, raw: str
) -> None:
    make_bucket(account, "of-somebody-else")
    account.client("s3").put_object(Bucket="of-somebody-else", Key="a", Body=b"1")
    assert sum(empty_bucket(raw, account)) == 4
    assert left_in(account, raw) == []
    assert left_in(account, "of-somebody-else") == ["a"]
    account.client("s3").delete_bucket(Bucket=raw)  # which AWS refuses while anything is there


def test_more_than_a_call_may_name_takes_several(account, raw, monkeypatch):
    monkeypatch.setattr(commands, "_KEYS_A_CALL", 3)
    assert list(empty_bucket(raw, account)) == [3, 1]
    assert left_in(account, raw) == []


def test_nothing_is_written_to_a_bucket_once_its_emptying_began(account: Account, raw: str) -> None:
    """Neither by services that deliver late, nor by its own access log."""
    s3, calls = account.client("s3"), []
    s3.put_bucket_policy(
        Bucket=raw, Policy=json.dumps({"Version": "2012-10-17", "Statement": [OWN_STATEMENT]})
    )
    s3.meta.events.register("before-call.s3", lambda model, **_: calls.append(model.name))
    list(empty_bucket(raw, account))
    first = calls.index("DeleteObjects")
    assert {"PutBucketLogging", "PutBucketPolicy"} <= set(calls[:first])
    policy = json.loads(s3.get_bucket_policy(Bucket=raw)["Policy"])
    own, closed = policy["Statement"]
    assert own == OWN_STATEMENT
    assert (closed["Effect"], closed["Action"]) == ("Deny", "s3:PutObject")
    assert closed["Principal"] == {"AWS": "*", "Service": "logging.s3.amazonaws.com"}
    assert closed["Resource"] == f"arn:aws:s3:::{raw}/*"


def test_a_second_try_adds_no_second_denial(account: Account, raw: str) -> None:
    for _ in range(2):
        list(empty_bucket(raw, account))
    policy = json.loads(account.client("s3").get_bucket_policy(Bucket=raw)["Policy"])
    assert len(policy["Statement"]) == 1


def test_an_object_that_s3_keeps_ends_it_with_the_objects_name(
    account: Account, raw: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = {"Key": "a", "Code": "AccessDenied", "Message": "a legal hold"}
    monkeypatch.setattr(account.client("s3"), "delete_objects", lambda **_: {"Errors": [refused]})
    with pytest.raises(InputError, match=f"s3://{raw}/a cannot be deleted: AccessDenied: a legal"):
        list(empty_bucket(raw, account))


def test_nothing_is_deleted_where_the_bucket_cannot_be_closed(
    account: Account, raw: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutBucketPolicy")

    monkeypatch.setattr(account.client("s3"), "put_bucket_policy", denied)
    before = left_in(account, raw)
    with pytest.raises(InputError, match=f"s3:PutBucketPolicy of {raw} is denied in dev"):
        list(empty_bucket(raw, account))
    assert left_in(account, raw) == before


def test_what_will_go_is_counted_and_a_bucket_that_is_not_there_is_left_out(
    account: Account, raw: str, settings: Settings
) -> None:
    make_bucket(account, "of-somebody-else")
    (counted,) = contents(settings, account)
    assert (counted.bucket, counted.objects, counted.size) == (raw, 4, 3 + 5 + 1)
    assert left_in(account, raw) != []


def test_the_environments_registered_models_go_and_no_others(
    account: Account, settings: Settings
) -> None:
    sagemaker = account.client("sagemaker")
    names = ("sashiko-dev-loans", "sashiko-prod-loans", "our-sashiko-dev-loans")
    for group in names:
        sagemaker.create_model_package_group(
            ModelPackageGroupName=group, ModelPackageGroupDescription="of a test"
        )
        for _ in range(2):
            sagemaker.create_model_package(
                ModelPackageGroupName=group, ModelPackageDescription="of a test"
            )
    arns = packages(settings, account)
    assert [arn.rpartition("model-package/")[2] for arn in arns] == [
        "sashiko-dev-loans/1",
        "sashiko-dev-loans/2",
    ]


def test_a_model_that_sagemaker_keeps_is_named(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "ConflictException", "Message": "in use"}}, "Delete")

    monkeypatch.setattr(account.client("sagemaker"), "delete_model_package", denied)
    with pytest.raises(InputError, match=r"DeleteModelPackage of arn:x failed in dev.*: in use"):
        unregister("arn:x", account)
