"""`sashiko preflight`: what it does with the account's answers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sashiko.aws.functions.custom_resource import RefusedError
from sashiko.aws.functions.preflight.scans import ScanRule
from sashiko.aws.operations.expected_version import scan_rule
from sashiko.aws.resources.account import Account
from sashiko.cli import app
from sashiko.errors import InputError
from tests.infra.variants import recipes_of, settings_of
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
    monkeypatch.setattr("sashiko.aws.functions.preflight.scans.check_scans", lambda *_: ("a note",))

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


@pytest.mark.parametrize("serves", [True, False])
def test_a_critical_finding_stops_a_deploy_whether_or_not_a_model_is_served(
    monkeypatch: pytest.MonkeyPatch, serves: bool
) -> None:
    def refuse(_: Any, rule: ScanRule) -> None:
        raise RefusedError(f"{rule.images[0]} has the critical finding CVE-2026-1")

    if not serves:
        monkeypatch.setattr(
            "sashiko.aws.operations.expected_version.expected_version", lambda *_: None
        )
    passed = SimpleNamespace(bounds=(), files=15, threshold="0.43")
    monkeypatch.setattr("sashiko.aws.functions.preflight.check.check", lambda *_: passed)
    monkeypatch.setattr("sashiko.aws.functions.preflight.scans.check_scans", refuse)
    done = CliRunner().invoke(app, ["preflight", "--env", "dev"])
    assert done.exit_code == 4
    assert "/sashiko-dev/job:" in done.stderr and "CVE-2026-1" in done.stderr
    assert ("may be served" if serves else "serves nothing") in done.stdout


def test_a_finding_is_accepted_in_the_projects_file_alone_with_reason_owner_and_day(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "accepted.yaml"
    monkeypatch.setattr("sashiko.aws.operations.expected_version._ACCEPTED", file)
    dev = settings_of("dev")
    (recipe,) = recipes_of(dev)
    assert scan_rule(dev, recipe).accepted == ()
    entry = "id: CVE-2026-1, package: openssl, owner: Ada, expires: 2999-12-31"
    file.write_text(f"accepted: [{{{entry}, reason: nothing listens there}}]")
    (accepted,) = scan_rule(dev, recipe).accepted
    assert (accepted.id, accepted.expires) == ("CVE-2026-1", "2999-12-31")
    file.write_text(f"accepted: [{{{entry}}}]")
    with pytest.raises(InputError, match=r"accepted\.yaml.*reason"):
        scan_rule(dev, recipe)
