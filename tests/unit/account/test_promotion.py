"""An approved version crosses from one account to another: whole, verified, and as pending."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sashiko.account import promotion
from sashiko.account.endpoint_spec import expected_of
from sashiko.account.names import key_alias, key_alias_arn
from sashiko.base.aws_calls import Clients
from sashiko.base.custom_resource import RefusedError
from sashiko.commands import model_command as command
from sashiko.errors import InputError
from sashiko.registry.preflight import signed_files
from sashiko.registry.preflight.expected import Bound, Expected, write_bounds
from sashiko.registry.preflight.version_check import check
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from tests.unit.account.two_accounts import (
    DEV,
    GROUP,
    PROD,
    RECIPE,
    ROUTE,
    TwoAccounts,
    evidence,
    register,
    two_accounts,
)
from tests.unit.registry.model_packages.account import Account, Killed, replace_signing_key
from tests.unit.registry.model_packages.gathered import state

ENVELOPE = "provenance.intoto.json"


@pytest.fixture
def accounts(monkeypatch):
    with two_accounts(monkeypatch, act_as="promoter") as pair:
        yield pair


@pytest.fixture
def approved(accounts, tmp_path):
    register(accounts.dev, evidence(tmp_path), recipe="complaints")
    return accounts


def test_the_copy_waits_for_approval_with_the_same_files_under_the_targets_names(approved):
    version, new = approved.promote()
    shown = (version.group, version.version, new, version.status)
    assert shown == (GROUP, 1, True, "PendingManualApproval")
    assert str(version.arn).startswith(f"arn:aws:sagemaker:us-east-1:{PROD.account}:model-package/")
    dev, prod = approved.folder(approved.dev), approved.folder(approved.prod)
    assert prod == dev.replace("sashiko-dev-", "sashiko-prod-")
    names = {name.removeprefix(dev) for name in approved.dev.objects()}
    assert {name.removeprefix(prod) for name in approved.prod.objects()} == names
    for name in names - {"/manifest-signature.json"}:
        assert approved.prod.body(f"s3://{approved.prod.bucket}/{prod}{name}") == (
            approved.dev.body(f"s3://{approved.dev.bucket}/{dev}{name}")
        )


def test_the_provenance_comes_along_under_the_targets_own_signature(accounts, tmp_path):
    files = evidence(tmp_path)
    state(files)
    register(accounts.dev, files, recipe="complaints")
    version, _ = accounts.promote()
    envelopes = [
        json.loads(account.body(f"s3://{account.bucket}/{accounts.folder(account)}/{ENVELOPE}"))
        for account in (accounts.dev, accounts.prod)
    ]
    assert envelopes[0]["payload"] == envelopes[1]["payload"]
    assert envelopes[0]["signatures"] != envelopes[1]["signatures"]
    accounts.prod.decide(version.version, "Approved")
    passed = check(_clients(accounts.prod), expected_of(PROD, RECIPE, str(version.arn)))
    assert passed.files
    accounts.put(ENVELOPE, json.dumps(envelopes[1]).encode())
    with pytest.raises(InputError, match=f"{ENVELOPE} has no valid signature of arn:aws:kms"):
        accounts.promote()


def _clients(account: Account) -> Clients:
    clients = account.clients
    return Clients(sagemaker=clients.sagemaker, s3=clients.s3, kms=clients.kms, scaling=None)


def test_it_is_a_copy_that_says_of_what_is_made_once_and_served_by_the_targets_own_key(approved):
    version, _ = approved.promote()
    source = {k.removeprefix("source."): v for k, v in version.tags.items() if "source." in k}
    assert source["package"] == ROUTE.package(1)
    approval = "Ada  arn:aws:sts::1:assumed-role/x-approver/ada : better  I think"
    assert source["approval"] == approval
    assert source["signed_by"].startswith(f"arn:aws:kms:us-east-1:{DEV.account}:key/")
    dev = f"s3://{approved.dev.bucket}/{approved.folder(approved.dev)}/manifest-signature.json"
    assert source["signature"] == json.loads(approved.dev.body(dev))["signature"]
    assert source["mlflow_run_id"] == "r"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", source["approved_at"])
    assert "mlflow_run_id" not in version.tags
    assert version.tags["recipe"] == "complaints"
    assert version.tags["gate.device"] == "passed"
    model = f"s3://{approved.prod.bucket}/{approved.folder(approved.prod)}/model.tar.gz"
    assert (ROUTE.package(1), model, "DerivedFrom") in approved.prod.links()
    assert (model, version.arn, "DerivedFrom") in approved.prod.links()

    again, new = approved.promote()
    assert (again.arn, new) == (version.arn, False)
    assert len(approved.prod.created()) == 1

    approved.prod.decide(1, "Approved")
    request_count = len(approved.requests)
    passed = check(_clients(approved.prod), expected_of(PROD, RECIPE, str(version.arn)))
    assert passed.threshold == "0.43"
    assert len(approved.requests) == request_count


def test_of_the_source_it_asks_for_one_version_and_one_signature(approved):
    approved.dev.calls.clear()
    approved.promote()
    (described, verified) = approved.requests
    assert described == ("DescribeModelPackage", {"ModelPackageName": ROUTE.package(1)})
    assert verified[0] == "Verify"
    assert verified[1]["KeyId"] == key_alias_arn(DEV, "signing")
    assert {name for name, _ in approved.dev.calls} == {"DescribeModelPackage"}


@pytest.mark.parametrize(
    ("service", "operation", "call"),
    [
        ("kms", "Sign", 1),
        ("s3", "PutObject", 1),
        ("s3", "PutObject", 9),
        ("sagemaker", "CreateModelPackage", 1),
        ("sagemaker", "AddAssociation", 4),
    ],
)
def test_one_that_was_killed_leaves_no_half_version_and_ends_the_next_time(
    approved, service, operation, call
):
    approved.prod.kill_before(service, operation, call=call)
    with pytest.raises(Killed):
        approved.promote()
    whole = operation == "AddAssociation"
    assert len(approved.prod.registry.versions(GROUP)) == whole
    version, new = approved.promote()
    assert (version.version, new) == (1, not whole)
    assert len(approved.prod.registry.versions(GROUP)) == 1
    model = f"s3://{approved.prod.bucket}/{approved.folder(approved.prod)}/model.tar.gz"
    assert (model, version.arn, "DerivedFrom") in approved.prod.links()


def _refused(accounts: TwoAccounts, why: str) -> None:
    """Nothing is registered, signed or written."""
    with pytest.raises(InputError, match=why):
        accounts.promote()
    assert accounts.prod.objects() == set()
    assert accounts.prod.registry.versions(GROUP) == []


@pytest.mark.parametrize(
    ("change", "status", "why"),
    [
        ({}, "PendingManualApproval", "/1 is PendingManualApproval, not Approved"),
        ({}, "Rejected", "/1 is Rejected, not Approved"),
        ({"failed": "bias"}, "Approved", "the gate bias did not pass"),
        ({"unjudged": "device"}, "Approved", "the gate device did not pass"),
        ({"lock": {}}, "Approved", "was compiled for another endpoint"),
    ],
)
def test_what_is_not_approved_or_would_not_be_served_stays_there(
    accounts, tmp_path, change, status, why
):
    register(accounts.dev, evidence(tmp_path, **change), status=status)
    _refused(accounts, f"not promoted: .*{why}")


def test_a_changed_file_or_a_manifest_that_the_sources_key_did_not_sign_is_refused(approved):
    approved.put("metrics.json", b"{}")
    _refused(approved, "metrics.json is not the file that was signed")
    approved.put("manifest-sha256.json", b"{}")
    _refused(approved, f"no valid signature of {key_alias_arn(DEV, 'signing')}")


def test_a_version_that_an_earlier_key_of_the_source_signed_is_promoted_while_it_is_trusted(
    approved,
):
    replace_signing_key(approved.dev.clients.kms, key_alias(DEV, "signing"))
    distrusting = DEV.model_copy(update={"signing_keys": (2,)})
    with pytest.raises(InputError, match=r"dev-signing; it says that it is of arn:aws:kms:.*run`"):
        promotion.promote(replace(ROUTE, source=distrusting), 1)
    assert approved.prod.objects() == set()
    trusting = DEV.model_copy(update={"signing_keys": (1, 2)})
    _, new = promotion.promote(replace(ROUTE, source=trusting), 1)
    assert new


def test_a_copy_whose_key_was_replaced_is_promoted_again(approved):
    first, _ = approved.promote()
    replace_signing_key(approved.prod.clients.kms, key_alias(PROD, "signing"))
    second, new = approved.promote()
    assert (second.version, second.status, new) == (2, "PendingManualApproval", True)
    assert second.tags["signed_by"] != first.tags["signed_by"]


def test_a_manifest_that_names_a_file_elsewhere_writes_none(tmp_path):
    none: Any = dict.fromkeys(("manifest_sha256", "signature", "signed_by"), "")
    files = signed_files.SignedFiles(
        clients=Clients(sagemaker=None, s3=None, kms=None, scaling=None),
        uri="s3://bucket/models/x",
        digests={"../elsewhere": "0" * 64},
        manifest=b"",
        statement=None,
        **none,
    )
    with pytest.raises(RefusedError, match=r"the manifest names '\.\./elsewhere'"):
        files.save(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"metric.auc": "0.9999"},
        {"gate.drift": "passed"},
    ],
)
def test_metadata_that_the_signed_files_contradict_are_refused(approved, change):
    approved.change_metadata(**change)
    (key,) = change
    _refused(approved, f"the metadata `{key}` of .*/1 says '{change[key]}', but its signed")


def test_the_targets_own_bounds_are_held_against_what_the_source_signed(approved, monkeypatch):
    def bounded(settings: Settings, recipe: Recipe, arn: str) -> Expected:
        expected = expected_of(settings, recipe, arn)
        bound = Bound(
            gate="bias", metric="DI", facets=("age",), minimum=0.85, maximum=None, judged_by="value"
        )
        return replace(expected, bounds=write_bounds([bound])) if settings is PROD else expected

    monkeypatch.setattr(promotion, "expected_of", bounded)
    _refused(approved, r"not promoted: .*/1: DI age=old is 0\.84 .* requires DI of age at least")


def test_a_version_that_is_not_there_says_so(accounts):
    with pytest.raises(InputError, match=r"promoting arn:.*/7 failed in prod"):
        accounts.promote(7)


def test_nobody_but_the_promoter_promotes(monkeypatch):
    with two_accounts(monkeypatch, act_as="registrar") as accounts:
        _refused(accounts, "may not promote: only the role sashiko-prod-promoter does")


def test_two_environments_that_serve_in_other_images_are_refused_before_any_request(
    approved, monkeypatch
):
    def pinned(settings: Settings, recipe: Recipe, arn: str) -> Expected:
        expected = expected_of(settings, recipe, arn)
        return replace(expected, image="x/y:other") if settings is PROD else expected

    monkeypatch.setattr(promotion, "expected_of", pinned)
    with pytest.raises(InputError, match="prod in y:other: a version is compiled for one image"):
        approved.promote()
    assert approved.requests == []


def _sashiko(*arguments: str) -> Result:
    return CliRunner().invoke(command.app, list(arguments))


def test_the_command_prints_the_arn_and_what_comes_next(approved, monkeypatch):
    monkeypatch.setattr(command, "load_deployed", lambda _: PROD)
    monkeypatch.setattr(
        "sashiko.settings.environment.neighbour_settings", lambda settings, side: DEV
    )
    done = _sashiko("promote", "1", "--to", "prod")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{approved.prod.registry.version(GROUP, 1).arn}\n"
    assert "approved, judged, signed by arn:aws:kms:us-east-1:111122223333:key/" in done.stderr
    assert "sashiko model approve 1 --env prod" in done.stderr
    assert done.stderr.rstrip().endswith("then sashiko model deliver 1 --env prod")


def test_an_environment_that_takes_from_nowhere_says_what_to_set():
    done = _sashiko("promote", "1", "--to", "prod")
    assert isinstance(done.exception, InputError)
    assert "set `promotion.source` in config/prod.yaml" in str(done.exception)
