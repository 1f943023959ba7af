"""`sashiko model bedrock import`: an approved version, verified, checked and imported."""

import shutil
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.config import Config

from sashiko.account.account import Account, DeniedError
from sashiko.errors import InputError
from sashiko_packs.bedrock import commands
from sashiko_packs.bedrock.model_import import ImportedModel, ImportJobs, ImportOrder, imported_name
from tests.infra.variants import settings_of
from tests.packs.bedrock.imported import SETTINGS, World, lock_of, opened
from tests.packs.bedrock.loopback import Bedrock, RefusedError, served


@pytest.fixture
def world(tmp_path, monkeypatch):
    with opened(tmp_path, monkeypatch) as world:
        yield world


def test_an_approved_version_is_imported_once_under_its_own_name(world, tmp_path):
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

    again = world.import_()
    assert (again.exit_code, again.stdout) == (0, done.stdout)
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
    assert done.stdout.startswith("triage-llm version 1 passes the checks, 0.1 MB")
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
    assert "the same command continues with it" in done.stderr
    again = world.import_()
    assert (again.exit_code, "continuing with import job" in again.stderr) == (0, True)
    assert len(world.bedrock.jobs) == 1


def test_a_model_is_deleted_by_its_name_and_only_when_it_is_confirmed(world, tmp_path):
    world.register(tmp_path / "one")
    world.import_()
    unconfirmed = world.sashiko("delete", "1")
    name = imported_name(SETTINGS, world.recipe, 1)
    assert f"deleting {name} needs a confirmation: add --yes" in str(unconfirmed.exception)
    assert len(world.bedrock.models) == 1
    done = world.sashiko("delete", "1", "--yes")
    assert (done.exit_code, world.bedrock.models) == (0, {})
    assert " is deleted; its folder is s3://" in done.stdout
    assert len(world.uploaded()) == 5
    gone = world.sashiko("delete", "1", "--yes")
    assert f"Bedrock has no imported model {name} in dev" in str(gone.exception)


ORDER = ImportOrder(
    uri="s3://sashiko-dev-artifacts-111122223333-us-east-1/bedrock/0123456789abcdef",
    model_name="sashiko-dev-complaint-triage-llm-v3",
    role_arn="arn:aws:iam::111122223333:role/sashiko-dev-bedrock-import",
    key_arn="arn:aws:kms:us-east-1:111122223333:alias/sashiko-dev-bedrock",
    manifest_sha256="ab" * 32,
    prefix="sashiko-dev",
    tags={"project": "sashiko", "manifest-sha256": "ab" * 32},
)
THROTTLED = RefusedError(429, "ThrottlingException", "slow down")


@pytest.fixture
def bedrock(monkeypatch):
    state = Bedrock()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with served(state) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", url)
        # botocore waits between its own retries.
        monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
        yield state


def jobs(*, pauses: list[float] | None = None) -> ImportJobs:
    pauses = [] if pauses is None else pauses
    return ImportJobs(Account(settings_of("dev")), pause=pauses.append)


def run(order: ImportOrder = ORDER) -> ImportedModel:
    return jobs().run(order)


def test_a_model_is_imported_and_its_progress_is_on_stderr(bedrock, capsys):
    bedrock.polls, pauses = 3, list[float]()
    model = jobs(pauses=pauses).run(ORDER)
    assert (model.name, model.architecture, model.units) == (ORDER.model_name, "llama", 1)
    assert model.uri == f"{ORDER.uri}/"
    assert pauses == [30.0, 30.0, 30.0]
    shown = capsys.readouterr()
    assert shown.out == ""
    name = f"sashiko-dev-{'ab' * 12}-1"
    assert f"started import job {name}" in shown.err
    assert f"import job {name}: InProgress after 1.0 min" in shown.err
    assert f"import job {name}: Completed after 1.5 min" in shown.err

    (request,) = bedrock.requests("CreateModelImportJob")
    assert request["clientRequestToken"] == f"{'ab' * 32}-1"
    assert request["roleArn"] == ORDER.role_arn
    assert request["importedModelKmsKeyId"] == ORDER.key_arn
    assert request["modelDataSource"] == {"s3DataSource": {"s3Uri": f"{ORDER.uri}/"}}
    assert request["importedModelTags"] == request["jobTags"]
    assert {tag["key"] for tag in request["jobTags"]} == {"project", "manifest-sha256"}


@pytest.fixture
def impatient(monkeypatch):
    """botocore gives up on an answer after 0.2 seconds, not after 60."""
    monkeypatch.setitem(Config.OPTION_DEFAULTS, "read_timeout", 0.2)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", ["lost", "silent"])
def test_an_answer_that_is_lost_or_never_comes_starts_no_second_job(bedrock, fault):
    setattr(bedrock, fault, ["CreateModelImportJob"])
    run()
    tokens = [item["clientRequestToken"] for item in bedrock.requests("CreateModelImportJob")]
    assert tokens == [f"{'ab' * 32}-1"] * 2
    assert len(bedrock.jobs) == 1


@pytest.mark.usefixtures("impatient")
def test_a_command_without_an_answer_is_repeated_and_finds_its_job(bedrock):
    bedrock.silent = ["CreateModelImportJob"] * 3
    with pytest.raises(InputError, match=r"Read timeout on endpoint URL"):
        run()
    assert run().name == ORDER.model_name
    assert len(bedrock.jobs) == 1


def test_another_manifest_is_another_job(bedrock):
    run()
    run(replace(ORDER, manifest_sha256="cd" * 32, model_name="sashiko-dev-complaint-triage-llm-v4"))
    assert len(bedrock.models) == 2


def test_a_failure_is_reported_in_bedrocks_words_and_the_next_command_tries_again(bedrock, capsys):
    bedrock.failure = "The architecture is not supported"
    with pytest.raises(InputError, match=r"import job arn:.* failed: The architecture is not supp"):
        run()
    bedrock.failure = ""
    assert run().name == ORDER.model_name
    assert "failed before (The architecture is not supported)" in capsys.readouterr().err
    tokens = [item["clientRequestToken"] for item in bedrock.requests("CreateModelImportJob")]
    assert tokens == [f"{'ab' * 32}-1", f"{'ab' * 32}-2"]


def test_a_deleted_model_is_imported_again_with_a_new_token(bedrock):
    first = run()
    jobs().delete(first)
    assert bedrock.models == {}
    run()
    jobs().delete(run())
    run()
    tokens = [item["clientRequestToken"] for item in bedrock.requests("CreateModelImportJob")]
    assert tokens == [f"{'ab' * 32}-{attempt}" for attempt in (1, 2, 3)]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("fault", "answers"),
    # All of botocore's own three attempts, and one more.
    [("silent", ["GetModelImportJob"] * 3), ("refusals", [THROTTLED] * 4)],
)
def test_read_timeouts_and_throttling_are_waited_out(bedrock, capsys, fault, answers):
    service = jobs()
    arn, name = service._start(ORDER, attempt=1)
    setattr(bedrock, fault, answers)
    assert service._follow(arn, name).name == ORDER.model_name
    assert "trying again: bedrock:get_model_import_job" in capsys.readouterr().err
    assert len(bedrock.jobs) == 1


def test_a_service_that_does_not_answer_for_minutes_ends_the_wait(bedrock):
    service = jobs()
    arn, name = service._start(ORDER, attempt=1)
    bedrock.refusals = [THROTTLED] * 60
    with pytest.raises(InputError, match="ThrottlingException: slow down"):
        service._follow(arn, name)
    assert bedrock.refusals == []


def test_a_denied_or_refused_import_says_so_and_leaves_no_job(bedrock):
    bedrock.refusals = [RefusedError(403, "AccessDeniedException", "not you")]
    with pytest.raises(DeniedError, match="use the role sashiko-dev-endpoint-deployer"):
        run()
    with pytest.raises(InputError, match=r"ValidationException: .*s3Uri"):
        run(replace(ORDER, uri="s3://bucket/as_of=1"))
    assert bedrock.jobs == {}
