"""Import jobs against a service on this machine: one a manifest, whatever happens in between."""

from dataclasses import replace

import pytest
from botocore.config import Config

from sashiko.account.account import Account, DeniedError
from sashiko.errors import InputError
from sashiko_packs.bedrock.model_import import ImportedModel, ImportJobs, ImportOrder
from tests.infra.variants import settings_of
from tests.packs.bedrock.loopback import Bedrock, RefusedError, served

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


def test_the_request_has_role_key_tags_and_the_manifests_token(bedrock):
    run()
    (request,) = bedrock.requests("CreateModelImportJob")
    assert request["clientRequestToken"] == f"{'ab' * 32}-1"
    assert request["roleArn"] == ORDER.role_arn
    assert request["importedModelKmsKeyId"] == ORDER.key_arn
    assert request["modelDataSource"] == {"s3DataSource": {"s3Uri": f"{ORDER.uri}/"}}
    assert request["importedModelTags"] == request["jobTags"]
    assert {tag["key"] for tag in request["jobTags"]} == {"project", "manifest-sha256"}


def test_an_interrupted_command_goes_on_with_its_job(bedrock, capsys):
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    bedrock.polls = 2
    with pytest.raises(KeyboardInterrupt):
        ImportJobs(Account(settings_of("dev")), pause=interrupt).run(ORDER)
    assert run().name == ORDER.model_name
    assert len(bedrock.jobs) == len(bedrock.requests("CreateModelImportJob")) == 1
    assert "going on with import job" in capsys.readouterr().err


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


def test_an_imported_model_is_returned_without_another_job(bedrock):
    assert run() == run()
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
    assert "asking on: bedrock:get_model_import_job" in capsys.readouterr().err
    assert len(bedrock.jobs) == 1


def test_a_service_that_does_not_answer_for_minutes_ends_the_wait(bedrock):
    service = jobs()
    arn, name = service._start(ORDER, attempt=1)
    bedrock.refusals = [THROTTLED] * 60
    with pytest.raises(InputError, match="ThrottlingException: slow down"):
        service._follow(arn, name)
    assert bedrock.refusals == []


def test_a_denied_import_names_the_role_that_may(bedrock):
    bedrock.refusals = [RefusedError(403, "AccessDeniedException", "not you")]
    with pytest.raises(DeniedError, match="use the role sashiko-dev-endpoint-deployer"):
        run()


def test_a_refusal_of_the_service_is_reported_and_leaves_no_job(bedrock):
    with pytest.raises(InputError, match=r"ValidationException: .*s3Uri"):
        run(replace(ORDER, uri="s3://bucket/as_of=1"))
    assert bedrock.jobs == {}
