"""`sashiko env doctor --all`: three accounts in moto, each read by its own profile."""

import json
import shutil
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from sashiko.cli import app
from sashiko.doctor.accounts import check_connection, read_places
from sashiko.errors import CHECK_FAILED
from tests.infra.delivery import CONNECTION, write_stages
from tests.unit.account.fake_account import FakeAccount

ACCOUNTS = {"dev": "111122223333", "staging": "333344445555", "prod": "444455556666"}
PARTS = ("deploy", "file-publishing", "lookup")
DELIVERY = """\
by: actions
account: "777788889999"
region: us-east-1
source: {host: github, repository: acme/churn, branch: main, ids: {owner: 12, repository: 34}}
stages: [dev, staging, prod]
"""
PROFILE = """\
[profile sashiko-{name}]
role_arn = arn:aws:iam::{account}:role/admin
source_profile = base
region = us-east-1
"""


class Accounts:
    """The accounts behind the profiles of a configuration file."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "config"
        self._profiles = folder / "aws"
        self._clients: dict[tuple[str, str], Any] = {}
        self.write(*ACCOUNTS)

    def write(self, *names: str) -> None:
        """Writes the profiles of these environments and no others."""
        base = "[profile base]\naws_access_key_id = a\naws_secret_access_key = b\n"
        own = [PROFILE.format(name=name, account=ACCOUNTS[name]) for name in names]
        self._profiles.write_text("".join([base, *own]))

    def client(self, name: str, service: str) -> Any:
        if (name, service) not in self._clients:
            session = boto3.session.Session(profile_name=f"sashiko-{name}")
            self._clients[name, service] = session.client(service)
        return self._clients[name, service]

    def bootstrap(self, name: str, *others: str) -> None:
        """Makes what `make bootstrap` leaves, as far as `doctor` checks it."""
        self.client(name, "ssm").put_parameter(
            Name="/cdk-bootstrap/sashiko/version", Value="30", Type="String"
        )
        for part in PARTS:
            principals = [ACCOUNTS[name], *others]
            self._role(name, f"cdk-sashiko-{part}-role-{ACCOUNTS[name]}-us-east-1", {
                "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principals},
            })  # fmt: skip

    def _role(self, name: str, role: str, *trust: dict[str, Any]) -> None:
        document = {"Version": "2012-10-17", "Statement": list(trust)}
        self.client(name, "iam").create_role(
            RoleName=role, AssumeRolePolicyDocument=json.dumps(document)
        )

    def lines(self) -> tuple[dict[str, dict[str, str]], int]:
        """Environment -> its line, and the exit status."""
        run = CliRunner().invoke(app, ["env", "doctor", "--all", "--json"], catch_exceptions=False)
        checks = json.loads(run.stdout)
        assert [check["name"] for check in checks] == list(ACCOUNTS)
        return {check["name"]: check for check in checks}, run.exit_code


@pytest.fixture
def accounts(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    shutil.copy("config/base.yaml", tmp_path / "config")
    for name, account in ACCOUNTS.items():
        text = f'tier: dev\naccount: "{account}"\n'
        (tmp_path / f"config/{name}.yaml").write_text(text)
    (tmp_path / "config/delivery.yaml").write_text(DELIVERY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "own")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "own")
    with mock_aws():
        three = Accounts(tmp_path)
        for name in ACCOUNTS:
            three.bootstrap(name)
        yield three


def test_each_account_has_a_line_and_without_a_bootstrap_the_command(accounts):
    lines, status = accounts.lines()
    assert status == 0
    for name, account in ACCOUNTS.items():
        assert lines[name]["status"] == "ok", lines[name]
        assert f"arn:aws:sts::{account}:assumed-role/admin" in lines[name]["detail"]

    accounts.client("staging", "ssm").delete_parameter(Name="/cdk-bootstrap/sashiko/version")
    lines, status = accounts.lines()
    assert (status, lines["staging"]["status"]) == (CHECK_FAILED, "failed")
    assert lines["staging"]["fix"] == "make bootstrap ENV=staging"


def test_an_account_without_credentials_fails_and_the_others_are_read(accounts):
    accounts.write("dev", "staging")
    lines, status = accounts.lines()
    assert status == CHECK_FAILED
    assert {name: line["status"] for name, line in lines.items()} == {
        "dev": "ok", "staging": "ok", "prod": "failed",
    }  # fmt: skip
    assert "not of prod (account 444455556666" in lines["prod"]["detail"]
    assert "profile sashiko-prod" in lines["prod"]["fix"]


def test_a_trust_that_the_configuration_does_not_name_is_a_note(accounts):
    role = f"cdk-sashiko-deploy-role-{ACCOUNTS['dev']}-us-east-1"
    principals = [ACCOUNTS["dev"], "999999999999"]
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principals}}
    accounts.client("dev", "iam").update_assume_role_policy(
        RoleName=role,
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    lines, status = accounts.lines()
    assert (status, lines["dev"]["status"]) == (0, "note")
    assert "role deploy trusts 999999999999" in lines["dev"]["detail"]


def test_a_persons_terminal_gets_a_line_for_each_account(accounts):
    accounts.client("dev", "ssm").delete_parameter(Name="/cdk-bootstrap/sashiko/version")
    run = CliRunner().invoke(app, ["env", "doctor", "--all"], catch_exceptions=False)
    first, fix, *others = run.stdout.splitlines()
    assert first.startswith("failed  dev: 111122223333 in us-east-1: CDK bootstrap: no /cdk-")
    assert fix.strip() == "fix: make bootstrap ENV=dev"
    assert [line.split(":")[0] for line in others] == ["ok      staging", "ok      prod"]


def test_the_tools_come_first_and_deliver_to_the_stages(tmp_path):
    write_stages(tmp_path)
    assert [(place.profile, place.tools) for place in read_places(folder=tmp_path)] == [
        ("sashiko-delivery", None),
        ("sashiko-dev", "777788889999"),
        ("sashiko-staging", "777788889999"),
        ("sashiko-prod", "777788889999"),
    ]


@pytest.mark.parametrize(
    ("state", "status"), [("AVAILABLE", "ok"), ("PENDING", "failed"), ("ERROR", "failed")]
)
def test_a_connection_that_nobody_accepted_is_named(state, status):
    answer = {"Connection": {"ConnectionArn": CONNECTION, "ConnectionStatus": state}}
    account = FakeAccount({("codeconnections", "get_connection"): answer})
    check = check_connection(account, CONNECTION)
    assert check.status == status
    assert (CONNECTION in check.detail) == (status == "failed")


def test_a_stage_that_does_not_trust_the_tools_names_the_bootstrap(accounts):
    write_stages(accounts.config)
    text = (accounts.config / "staging.yaml").read_text()
    (accounts.config / "staging.yaml").write_text(text.replace("222233334444", "333344445555"))
    run = CliRunner().invoke(app, ["env", "doctor", "--all", "--json"], catch_exceptions=False)
    lines = {check["name"]: check for check in json.loads(run.stdout)}
    assert list(lines) == ["delivery", "dev", "staging", "prod"]
    assert run.exit_code == CHECK_FAILED
    assert "role deploy does not trust 777788889999" in lines["staging"]["detail"]
    assert "make bootstrap ENV=staging" in lines["staging"]["fix"]
    assert "profile sashiko-delivery" in lines["delivery"]["fix"]
