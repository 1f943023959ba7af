"""The pack's commands as a person meets them."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

import sashiko_packs.operations.commands.account as command
from sashiko import packs
from sashiko.account.access import environment_access
from sashiko.account.access.live import Difference
from sashiko.account.account import Account
from sashiko.account.names import bucket_name
from sashiko.cli import app
from sashiko.errors import CHECK_FAILED, InputError
from sashiko_packs.operations import audit, lake
from sashiko_packs.operations.commands.account import empty_bucket
from tests.infra.variants import settings_of
from tests.project_root import REPOSITORY
from tests.unit.commands.in_process import sashiko

CAPS = """#!/bin/sh
case "$*" in *trust=open*) exit 0 ;; esac
exit {closes}
"""


@pytest.mark.parametrize("destroyed", [0, 1])
@pytest.mark.parametrize("closes", [0, 1])
def test_a_destroy_that_could_not_close_the_cap_is_an_error_that_says_so(
    tmp_path: Path, destroyed: int, closes: int
) -> None:
    """Such as with credentials that expired while the stacks were deleted."""
    scripts = {
        "python": "#!/bin/sh\n",
        "caps": CAPS.format(closes=closes),
        "cdk": f"#!/bin/sh\nexit {destroyed}\n",
    }
    for name, text in scripts.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        [
            "make", "destroy", "ENV=dev", f"BIN={tmp_path}", f"CAPS={tmp_path}/caps",
            f"CDK={tmp_path}/cdk", "-o", f"{tmp_path}/.infra", "-o", "node_modules/.done",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode != 0) == bool(destroyed or closes)
    error = "error: deploys may still change who assumes the roles, until: make bootstrap ENV=dev"
    assert (error in done.stderr) == bool(closes)


DEV = settings_of("dev")
RAW = bucket_name(DEV, "raw")
OWN = {
    "Sid": "Own",
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": f"arn:aws:s3:::{RAW}/*",
}


@mock_aws
def test_what_is_emptied_is_closed_to_writes_once_and_keeps_its_own_policy() -> None:
    s3 = boto3.client("s3", "us-east-1")
    s3.create_bucket(Bucket=RAW)
    s3.put_bucket_policy(
        Bucket=RAW, Policy=json.dumps({"Version": "2012-10-17", "Statement": [OWN]})
    )
    for _ in range(2):
        list(empty_bucket(RAW, Account(DEV)))
    own, closed = json.loads(s3.get_bucket_policy(Bucket=RAW)["Policy"])["Statement"]
    assert own == OWN
    assert (closed["Effect"], closed["Action"]) == ("Deny", "s3:PutObject")


@pytest.mark.parametrize("command", ["drift", "cost", "destroy-data"])
def test_what_needs_an_account_refuses_this_machine_in_the_same_words(command: str) -> None:
    refused = CliRunner().invoke(app, ["env", command, "--env", "local"])
    assert isinstance(refused.exception, InputError)
    assert "environment `local` is this machine: it has no account" in str(refused.exception)


def test_the_audit_reports_what_packs_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = Difference("extra", "a model that no version has", fix="delete it")
    monkeypatch.setattr(packs, "pack_objects", lambda kind: {"drift": [lambda *_: [extra]]}[kind])
    monkeypatch.setattr(command, "load_deployed", lambda _: DEV)
    monkeypatch.setattr(Account, "check_identity", lambda _: None)
    monkeypatch.setattr(environment_access, "read_environment", lambda *_, **__: None)
    monkeypatch.setattr(audit, "read_live", lambda *_: SimpleNamespace(settings=None))
    for module, name in ((audit, "cap"), (audit, "serving"), (lake, "compare_lake")):
        monkeypatch.setattr(module, name, lambda *_: [])
    run = CliRunner().invoke(app, ["audit"])
    assert (run.exit_code, "a model that no version has" in run.stdout) == (CHECK_FAILED, True)


def test_what_an_environment_keeps_is_not_deleted() -> None:
    done = sashiko("env", "destroy-data", "--env", "prod", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "prod keeps its data (`on_destroy: retain`): nothing was deleted\n"
