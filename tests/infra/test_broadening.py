"""`sashiko broadening` before a first deploy: everything that the templates allow is new."""

import json

import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from sashiko.aws.resources.account import Account
from sashiko.cli import app
from tests.infra.variants import synthesized


def _broadening(*options: str) -> Result:
    templates = str(synthesized("dev"))
    return CliRunner().invoke(
        app, ["broadening", "--env", "dev", "--templates", templates, *options]
    )


def test_a_first_deploy_broadens_all_that_its_templates_allow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setattr(Account, "check_identity", lambda _: None)  # moto's account is another
    with mock_aws():
        printed, listed = _broadening(), _broadening("--json")
    assert printed.exit_code == 0, printed.stderr
    changes = json.loads(listed.stdout)
    assert {"iam", "kms", "network"} <= {change["kind"] for change in changes}
    assert len(printed.stdout.splitlines()) == len(changes)
    assert "run `make bootstrap ENV=dev` before the deploy" in printed.stderr
