"""`sashiko model` in an account: what a person sees, who may decide, where a version came from."""

import json
import types
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sashiko.account import account_registry
from sashiko.account.names import model_package_group_name, role_name
from sashiko.commands import model_command as command
from sashiko.errors import InputError
from sashiko.settings.environment import load_settings
from tests.unit.registry.model_packages.account import BUCKET, GROUP, PLACEMENT, Killed, opened
from tests.unit.registry.model_packages.gathered import CHECK, SNAPSHOT, gather
from tests.unit.registry.model_packages.test_registrar import register

SETTINGS = load_settings("dev")


@pytest.fixture
def model(tmp_path):
    return gather(tmp_path)


@pytest.fixture
def account():
    with opened() as account:
        yield account


@pytest.fixture
def act_as(account, monkeypatch):
    """Lets the command line see the account with the credentials of a role."""

    def act(role: Any) -> str:
        name = role_name(SETTINGS, role)
        arn = f"arn:aws:sts::{SETTINGS.account}:assumed-role/{name}/ada"
        known = types.SimpleNamespace(
            check_identity=lambda: arn, client=lambda service: getattr(account.clients, service)
        )
        monkeypatch.setattr(account_registry, "Account", lambda _: known)
        monkeypatch.setattr(command, "model_package_group_name", lambda *_: GROUP)
        recipe = types.SimpleNamespace(model_package_group="late-loans")
        monkeypatch.setattr(command, "choose_recipe", lambda *_: recipe)
        return arn

    return act


def _sashiko(*arguments: str) -> Result:
    return CliRunner().invoke(command.app, [*arguments, "--env", "dev"])


def test_each_decision_stays_with_time_caller_reason_and_digests(account, model, act_as):
    version, _ = register(account, model)
    act_as("approver")
    for verb, name in (("approve", "Ada"), ("reject", "Grace"), ("approve", "Ada")):
        done = _sashiko(verb, "1", "--reason", f"{verb}\nby {name}", "--by", name)
        assert done.exit_code == 0, done.output
    lineage = json.loads(_sashiko("lineage", "1", "--json").stdout)
    decisions = lineage["decisions"]
    assert [item["status"] for item in decisions] == ["Approved", "Rejected", "Approved"]
    assert [item["reason"] for item in decisions][:2] == ["approve by Ada", "reject by Grace"]
    assert decisions[1]["by"].startswith("Grace (arn:aws:sts::1:assumed-role/approver/ada)")
    assert decisions[0]["time"] <= decisions[1]["time"] <= decisions[2]["time"]
    for item in decisions:
        assert item["digests"]["artifact_sha256"] == version.artifact_sha256
        assert item["digests"]["manifest_sha256"] == version.tags["manifest_sha256"]
    assert "Rejected by Grace" in _sashiko("lineage", "1").stdout


def test_a_status_of_the_console_is_shown_as_such_and_evidence_that_was_changed_refused(
    account, model, act_as
):
    register(account, model)
    account.decide(1, "Approved")
    act_as("approver")
    shown = _sashiko("lineage", "1").stdout
    assert "Approved was not set by `sashiko model`" in shown

    [key] = [key for key in account.objects() if key.endswith("bias/verdict.json")]
    account.clients.s3.put_object(Bucket=BUCKET, Key=key, Body=b'{"gate": "bias"}')
    act_as("data-scientist")
    refused = _sashiko("lineage", "1")
    assert isinstance(refused.exception, InputError)
    assert "bias/verdict.json is not the file that was registered" in str(refused.exception)


def test_a_decision_that_cannot_be_recorded_is_not_in_force(account, model, act_as):
    register(account, model)
    act_as("approver")
    account.kill_before("sagemaker", "CreateAction")
    with pytest.raises(Killed):
        _sashiko("approve", "1", "--reason", "-")
    assert account.registry.version(GROUP, 1).status == "PendingManualApproval"


@pytest.mark.parametrize(
    ("role", "decision"), [("data-scientist", "approve"), ("registrar", "reject")]
)
def test_nobody_else_decides(account, model, act_as, role, decision):
    register(account, model)
    act_as(role)
    done = _sashiko(decision, "1", "--reason", "-")
    assert isinstance(done.exception, InputError)
    assert f"only the role {role_name(SETTINGS, 'approver')} does" in str(done.exception)
    assert [call for call in account.calls if call[0] == "UpdateModelPackage"] == []


def test_a_session_that_is_called_like_the_approver_is_not_the_approver(
    account, model, act_as, monkeypatch
):
    act_as("registrar")
    approver = role_name(SETTINGS, "approver")
    arn = f"arn:aws:sts::{SETTINGS.account}:assumed-role/other/{approver}"
    known = types.SimpleNamespace(check_identity=lambda: arn, client=lambda _: None)
    monkeypatch.setattr(account_registry, "Account", lambda _: known)
    with pytest.raises(InputError, match="may not decide"):
        account_registry.AccountRegistry(SETTINGS).require_approver()


def test_versions_are_listed_with_their_arns(account, model, act_as):
    act_as("data-scientist")
    assert f"no version of {GROUP} is registered yet" in _sashiko("list").stderr
    version, _ = register(account, model)
    [listing] = json.loads(_sashiko("list", "--json").stdout)
    assert (listing["arn"], listing["status"]) == (version.arn, "PendingManualApproval")
    head, line = _sashiko("list").stdout.splitlines()
    assert line.startswith(f"{GROUP} 1  PendingManualApproval  candidate  ")
    assert head.index("status") == line.index("PendingManualApproval")


def test_a_version_is_traced_from_the_snapshot_to_its_approver_and_the_champion(
    account, model, act_as
):
    version, _ = register(account, model)
    act_as("data-scientist")
    lineage = json.loads(_sashiko("lineage", "1", "--json").stdout)
    edges = lineage["edges"]
    assert edges[0]["destination"] == f"artifact {version.arn}"
    sources = {(edge["source"], edge["kind"]) for edge in edges}
    assert (f"artifact {PLACEMENT.made_from}", "DerivedFrom") in sources
    assert (f"action {version.tags['manifest']}", "Produced") in sources
    assert len(edges) == len(account.edges)
    assert lineage["snapshot"]["sha256"] == SNAPSHOT["sha256"]
    assert lineage["verdicts"][0]["checks"][0]["value"] == CHECK.value

    arn = act_as("approver")
    done = _sashiko("approve", "1", "--reason", "better\nthan before", "--by", "Ada")
    assert done.exit_code == 0, done.output
    for shown in ("  loans  ", "1 passed", version.tags["manifest"]):
        assert shown in done.stderr
    assert "the champion is version 1" in done.stderr
    [(_, update)] = [call for call in account.calls if call[0] == "UpdateModelPackage"]
    assert update["ApprovalDescription"] == f"Ada ({arn}): better than before"
    champion = account.registry.champion(GROUP)
    assert champion is not None
    assert champion.version == 1

    act_as("data-scientist")
    shown = _sashiko("lineage", "1").stdout
    assert f"{GROUP} 1 (candidate, champion)\n  Approved\n  20" in shown
    assert "  Approved by Ada (arn:aws:sts:" in shown
    assert "1,200 rows of loans as of 2026-11-01" in shown
    assert "passed  auc = 0.9 [0.85, 0.95], required >= 0.8" in shown
    assert f"  {version.artifact_sha256}  model.tar.gz" in shown


def test_a_group_bears_the_environments_prefix_but_for_this_machines():
    named = model_package_group_name(SETTINGS, "late-loans")
    assert named == f"{SETTINGS.project}-dev-late-loans"
    assert model_package_group_name(load_settings("local"), "late-loans") == "late-loans"
    with pytest.raises(InputError, match="SageMaker allows 63; shorten the recipe's"):
        model_package_group_name(SETTINGS, "x" * 63)
