"""`sashiko model import`: an approved version in one account, verified, checked and imported."""

import shutil
from types import SimpleNamespace
from typing import Any

import pytest

from sashiko.errors import InputError
from sashiko_packs.bedrock import commands
from sashiko_packs.bedrock.model_import import imported_name
from tests.infra.variants import settings_of
from tests.packs.bedrock.imported import SETTINGS, World, opened
from tests.packs.bedrock.models import lock_of


@pytest.fixture
def world(tmp_path, monkeypatch):
    with opened(tmp_path, monkeypatch) as world:
        yield world


def test_an_approved_version_is_imported_under_its_own_name(world, tmp_path):
    world.register(tmp_path / "one")
    done = world.import_()
    assert done.exit_code == 0, done.output
    (model,) = world.bedrock.models.values()
    assert done.stdout == f"{model['modelArn']}\n"
    assert model["modelName"] == "sashiko-dev-triage-llm-v1"
    assert "approved, judged, " in done.stderr
    assert "its decision threshold is 0.43" in done.stderr
    (request,) = world.bedrock.requests("CreateModelImportJob")
    uri = request["modelDataSource"]["s3DataSource"]["s3Uri"]
    folder = uri.removeprefix(f"s3://{world.account.bucket}/")
    names = {name.removeprefix(folder) for name in world.uploaded()}
    assert names == {"config.json", "generation_config.json", "model.safetensors"} | {
        "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    tags = {tag["key"]: tag["value"] for tag in request["importedModelTags"]}
    assert tags["model-package"].endswith(":model-package/sashiko-dev-triage-llm/1")
    assert tags["threshold"] == "0.43"
    assert request["clientRequestToken"] == f"{tags['manifest-sha256']}-1"


def test_a_second_time_nothing_is_uploaded_or_imported(world, tmp_path):
    world.register(tmp_path / "one")
    first = world.import_()
    again = world.import_()
    assert (again.exit_code, again.stdout) == (0, first.stdout)
    assert "model.safetensors: is there" in again.stderr
    assert len(world.bedrock.jobs) == 1


def refused(world: World, why: str) -> None:
    """Nothing is uploaded, and Bedrock is not called."""
    done = world.import_()
    assert isinstance(done.exception, InputError), done.output
    assert why in str(done.exception)
    assert (world.uploaded(), world.bedrock.calls) == (set(), [])


def test_what_is_not_approved_is_not_imported(world, tmp_path):
    world.register(tmp_path / "one", status="PendingManualApproval")
    refused(world, "arn:aws:sagemaker:us-east-1:111122223333:model-package/")


@pytest.mark.parametrize("name", ["model.tar.gz", "compile-lock.json", "metrics.json"])
def test_a_file_that_was_changed_after_it_was_signed_is_not_imported(world, tmp_path, name):
    world.register(tmp_path / "one")
    (key,) = [item for item in world.account.objects() if item.endswith(name)]
    world.account.clients.s3.put_object(Bucket=world.account.bucket, Key=key, Body=b"{}")
    refused(world, f"{name} is not the file that was signed")


def test_an_encoder_is_not_imported(world, tmp_path):
    world.register(tmp_path / "one", causal=None)
    refused(world, "version 1 of triage-llm is an encoder")


def test_faults_are_reported_before_anything_is_uploaded(world, tmp_path):
    other = {"chat_template_sha256": "0" * 64}
    world.register(tmp_path / "one", causal=lock_of(world.base).model_dump() | other)
    done = world.import_()
    assert done.exit_code == 4
    assert "fault: chat-template-digest: " in done.stderr
    assert "not imported: 1 faults; nothing was uploaded" in done.stderr
    assert (world.uploaded(), world.bedrock.calls) == (set(), [])


def test_on_this_machine_the_checks_alone_are_made(world, tmp_path, monkeypatch):
    world.register(tmp_path / "one")
    files = tmp_path / "one/model"
    registry = SimpleNamespace(
        version=lambda group, number: SimpleNamespace(group=group, version=number),
        download=lambda _, folder: shutil.copyfile(files / "model.tar.gz", folder / "model.tar.gz"),
        file=lambda _, name: (files / name).read_bytes(),
    )
    monkeypatch.setattr(commands, "open_local", lambda *_, **__: registry)
    local = SETTINGS.model_copy(update={"tier": "local"})
    monkeypatch.setattr(commands, "load_settings", lambda _: local)
    done = world.import_()
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("triage-llm version 1 has no fault, 0.1 MB")
    elsewhere = local.model_copy(update={"region": "eu-west-1"})
    monkeypatch.setattr(commands, "load_settings", lambda _: elsewhere)
    done = world.import_()
    assert (done.exit_code, done.stdout) == (4, "")
    assert "fault: region: eu-west-1 has no Custom Model Import" in done.stderr
    assert (world.uploaded(), world.bedrock.calls) == (set(), [])


def test_an_environment_without_the_stack_says_which_key_to_set(world, monkeypatch):
    monkeypatch.setattr(commands, "load_settings", lambda _: settings_of("dev"))
    refused(world, "set `bedrock: {enabled: true}` in config/dev.yaml")


def test_ctrl_c_leaves_the_job_and_says_how_to_go_on(world, tmp_path, monkeypatch):
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    world.register(tmp_path / "one")
    with monkeypatch.context() as patch:
        patch.setattr("sashiko_packs.bedrock.model_import.ImportJobs._follow", interrupt)
        done = world.import_()
    assert done.exit_code == 130
    assert "the same command goes on with it" in done.stderr
    assert world.import_().exit_code == 0
    assert len(world.bedrock.jobs) == 1


def test_a_model_is_deleted_by_its_name_and_only_when_it_is_confirmed(world, tmp_path):
    world.register(tmp_path / "one")
    world.import_()
    unconfirmed = world.sashiko("delete-import", "1")
    name = imported_name(SETTINGS, world.recipe, 1)
    assert f"deleting {name} needs a confirmation: add --yes" in str(unconfirmed.exception)
    assert len(world.bedrock.models) == 1
    done = world.sashiko("delete-import", "1", "--yes")
    assert (done.exit_code, world.bedrock.models) == (0, {})
    assert " is deleted; its folder is s3://" in done.stdout
    assert len(world.uploaded()) == 5
    gone = world.sashiko("delete-import", "1", "--yes")
    assert f"Bedrock has no imported model {name} in dev" in str(gone.exception)
