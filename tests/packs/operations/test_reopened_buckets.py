"""A destroy that was broken off: its buckets take writes again, and their accesses are logged."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

import sashiko_packs.operations.commands.account as command
from sashiko.account.account import Account
from sashiko.account.emptying import closed_buckets, empty_bucket, reopen
from sashiko.account.names import bucket_name
from sashiko.cli import app
from tests.infra.variants import settings_of

DEV = settings_of("dev")
RAW, LOGS = (bucket_name(DEV, name) for name in ("raw", "logs"))
OWN = {
    "Sid": "Own",
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": f"arn:aws:s3:::{RAW}/*",
}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("s3", "us-east-1")
        for bucket in (RAW, LOGS):
            client.create_bucket(Bucket=bucket)
        client.put_bucket_policy(
            Bucket=RAW, Policy=json.dumps({"Version": "2012-10-17", "Statement": [OWN]})
        )
        client.put_bucket_acl(
            Bucket=LOGS,
            GrantWrite="uri=http://acs.amazonaws.com/groups/s3/LogDelivery",
            GrantReadACP="uri=http://acs.amazonaws.com/groups/s3/LogDelivery",
        )
        yield client


def test_what_was_closed_is_opened_and_logged_as_before(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account(DEV)
    list(empty_bucket(RAW, account))
    assert closed_buckets(DEV, account) == (RAW,)

    monkeypatch.setattr(command, "load_place", lambda _: DEV)
    monkeypatch.setattr(Account, "check_identity", lambda _: None)  # moto's account is another
    run = CliRunner().invoke(app, ["empty", "--undo", "--env", "dev"], catch_exceptions=False)
    assert run.stdout == f"open again: {RAW}\n"

    policy = json.loads(s3.get_bucket_policy(Bucket=RAW)["Policy"])
    assert policy["Statement"] == [OWN]
    logged = s3.get_bucket_logging(Bucket=RAW)["LoggingEnabled"]
    assert (logged["TargetBucket"], logged["TargetPrefix"]) == (LOGS, "raw/")
    assert closed_buckets(DEV, account) == ()


def test_what_was_not_closed_is_left_alone(s3: Any) -> None:
    assert list(reopen(DEV, Account(DEV))) == []
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=RAW)
