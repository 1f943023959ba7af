"""Reading an account's registry: the newest approved version, whole."""

import pytest

from sashiko.errors import InputError
from tests.unit.registry.model_packages.account import BUCKET, GROUP
from tests.unit.registry.model_packages.test_registrar import register


def test_nobody_is_champion_before_a_person_approves(account, model):
    assert account.registry.champion(GROUP) is None
    register(account, model)
    assert account.registry.champion(GROUP) is None


def test_the_newest_approved_version_is_the_champion(account, model):
    for number in (1, 2, 3):
        register(account, model, execution_id=f"run-{number}", threshold=number / 10)
    account.decide(1, "Approved")
    account.decide(2, "Approved")
    account.decide(3, "Rejected")
    champion = account.registry.champion(GROUP)
    assert champion is not None
    assert (champion.version, champion.threshold, champion.status) == (2, 0.2, "Approved")
    account.decide(2, "Rejected")
    assert account.registry.champion(GROUP).version == 1  # type: ignore[union-attr]
    listed = [(item.version, item.aliases) for item in account.registry.versions(GROUP)]
    assert listed == [(3, ("candidate",)), (2, ()), (1, ("champion",))]


def test_the_artifact_is_downloaded_as_it_was_registered(account, model, tmp_path):
    version, _ = register(account, model)
    assert account.registry.download(version, tmp_path).read_bytes() == b"weights"


def test_an_artifact_that_was_changed_in_the_bucket_is_refused(account, model, tmp_path):
    version, _ = register(account, model)
    [key] = [key for key in account.objects() if key.endswith("model.tar.gz")]
    account.clients.s3.put_object(Bucket=BUCKET, Key=key, Body=b"other weights")
    with pytest.raises(InputError, match=r"not the file that was registered.* reject that version"):
        account.registry.download(version, tmp_path)
    account.clients.s3.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(InputError, match=f"cannot read s3://{BUCKET}/{key}"):
        account.registry.download(version, tmp_path)


def test_an_approved_package_that_register_did_not_make_is_no_champion(account):
    account.clients.sagemaker.create_model_package(
        ModelPackageGroupName=GROUP, ModelApprovalStatus="Approved"
    )
    with pytest.raises(InputError, match=r"/1 is approved and has no metadata `artifact_sha256`"):
        account.registry.champion(GROUP)


def test_an_unknown_version_lists_the_known_ones(account, model):
    register(account, model)
    with pytest.raises(InputError, match="no version 9; registered: 1"):
        account.registry.version(GROUP, 9)
