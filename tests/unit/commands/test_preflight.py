"""`sashiko preflight`: what it does with the account's answers."""

from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sashiko.aws.resources.account import Account
from sashiko.cli import app
from tests.unit.aws.operations.recorded_answers import Refusal, ScriptedAws


@pytest.fixture(autouse=True)
def serving(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that serves a version, as whose account the caller is known."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    expected = SimpleNamespace(model_package_arn="arn:of-the-version")
    monkeypatch.setattr(
        "sashiko.aws.operations.expected_version.expected_version", lambda *_: expected
    )
    monkeypatch.setattr(Account, "check_identity", lambda _: "arn:of-the-caller")


def preflight(monkeypatch: pytest.MonkeyPatch, refusal: Refusal) -> Result:
    account = ScriptedAws({"DescribeModelPackage": refusal}).account()

    def check(_: Any, expected: Any) -> None:
        sagemaker = account.client("sagemaker")
        sagemaker.describe_model_package(ModelPackageName=expected.model_package_arn)

    monkeypatch.setattr("sashiko.aws.functions.preflight.check.check", check)
    return CliRunner().invoke(app, ["preflight", "--env", "dev"])


def test_who_may_not_read_models_leaves_the_check_to_the_stack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = preflight(monkeypatch, Refusal("AccessDeniedException", "not yours"))
    assert done.exit_code == 0
    assert "not checked here" in done.stderr
    assert "the preflight is denied in dev" in done.stderr
    assert "may be served" not in done.stdout


@pytest.mark.parametrize("code", ["ThrottlingException", "ValidationException"])
def test_any_other_error_is_one_whatever_its_message_says(
    monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    done = preflight(monkeypatch, Refusal(code, "the request is denied for now"))
    assert done.exit_code == 1
    assert code in str(done.exception)
