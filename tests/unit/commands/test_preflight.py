"""`sashiko env preflight`: what it does with the account's answers."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sashiko.account.account import Account
from sashiko.account.endpoint_spec import scan_rule
from sashiko.cli import app
from sashiko.errors import InputError
from sashiko.registry.preflight.expected import Expected
from tests.infra.variants import recipes_of, settings_of
from tests.unit.account.fake_account import Refusal, Script, ScriptedAws
from tests.unit.registry.model_packages.account import opened
from tests.unit.registry.preflight.registered import Version, registered, write_evidence

SCANNED: Mapping[str, Any] = {"imageScanStatus": {"status": "COMPLETE"}, "imageScanFindings": {}}
CRITICAL: Mapping[str, Any] = {
    "imageScanStatus": {"status": "COMPLETE"},
    "imageScanFindings": {
        "findings": [{"name": "CVE-2026-1", "severity": "CRITICAL", "attributes": []}]
    },
}
Preflight = Callable[..., Result]


@pytest.fixture
def version(tmp_path: Path) -> Iterator[Version]:
    with opened() as account:
        yield registered(account, write_evidence(tmp_path))


@pytest.fixture
def preflight(monkeypatch: pytest.MonkeyPatch, version: Version) -> Preflight:
    """Runs the command where the version is the one to serve; ECR answers `scan` of each image.

    `denied` answers DescribeModelPackage in the account's place.
    """
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setattr(Account, "check_identity", lambda _: "arn:of-the-caller")

    def run(
        *, scan: Script = SCANNED, denied: Refusal | None = None, serves: bool = True
    ) -> Result:
        clients = {
            "sagemaker": version.clients.sagemaker,
            "s3": version.clients.s3,
            "kms": version.clients.kms,
            "application-autoscaling": version.clients.scaling,
            "ecr": ScriptedAws({"DescribeImageScanFindings": scan}).account().client("ecr"),
        }
        if denied:
            scripted = ScriptedAws({"DescribeModelPackage": denied})
            clients["sagemaker"] = scripted.account().client("sagemaker")
        expected: Expected | None = version.expected() if serves else None
        monkeypatch.setattr("sashiko.account.endpoint_spec.expected_version", lambda *_: expected)
        monkeypatch.setattr(Account, "client", lambda _, service: clients[service])
        return CliRunner().invoke(app, ["env", "preflight", "--env", "dev"])

    return run


def test_a_version_that_holds_may_be_used_and_one_that_is_refused_stops_a_deploy(
    preflight, version
):
    done = preflight()
    assert done.exit_code == 0
    assert f"{version.arn} may be served: 15 signed files match, threshold 0.43" in done.stdout
    assert "nothing stops a deploy" in done.stderr

    version.account.decide(1, "Rejected")
    done = preflight()
    assert done.exit_code == 4
    assert "is Rejected, not Approved" in done.stderr
    assert "may be served" not in done.stdout


def test_who_may_not_read_models_leaves_the_check_to_the_stack(preflight: Preflight) -> None:
    done = preflight(denied=Refusal("AccessDeniedException", "not yours"))
    assert done.exit_code == 0
    assert "not checked here" in done.stderr
    assert "the preflight is denied in dev" in done.stderr
    assert "may be served" not in done.stdout


def test_an_image_that_the_deploy_is_to_build_stops_nothing_and_is_named(preflight: Preflight):
    done = preflight(scan=Refusal("ImageNotFoundException"))
    assert done.exit_code == 0
    assert "is not built yet" in done.stderr


@pytest.mark.parametrize("code", ["ThrottlingException", "ValidationException"])
def test_any_other_error_is_one_whatever_its_message_says(preflight: Preflight, code: str) -> None:
    done = preflight(denied=Refusal(code, "the request is denied for now"))
    assert done.exit_code == 1
    assert code in str(done.exception)


@pytest.mark.parametrize("serves", [True, False])
def test_a_critical_finding_stops_a_deploy_whether_or_not_a_model_is_served(preflight, serves):
    done = preflight(scan=CRITICAL, serves=serves)
    assert done.exit_code == 4
    assert "sashiko-dev/job:" in done.stderr and "CVE-2026-1" in done.stderr
    assert ("may be served" if serves else "serves nothing") in done.stdout


def test_a_finding_is_accepted_in_the_projects_file_alone_with_reason_owner_and_day(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "accepted.yaml"
    monkeypatch.setattr("sashiko.account.endpoint_spec._ACCEPTED", file)
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
