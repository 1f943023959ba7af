"""Probes against the emulator, and each record sent to it again, request for request."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sashiko.account.account import Account
from sashiko_packs.operations.proofs.execution import Execution, Place, leftovers, remove
from sashiko_packs.operations.proofs.probe import Call, all_probes
from sashiko_packs.operations.proofs.record import ErrorRecord, counted, read_records
from tests.infra.variants import settings_of
from verification.deploy.process import ROOT, Emulator, running
from verification.deploy.replay import replay
from verification.deploy.stacks import ACCOUNT

PROBES = {probe.id: probe for probe in all_probes()}
# What the emulator can answer to its end; it lets roles do everything, so that some differ.
SERVED = (
    "alias-moves", "definition-accepted",
    "kms-request-alias", "kms-via-s3", "package-with-card", "quality-rules", "trust-lambda",
)  # fmt: skip


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(ACCOUNT, tmp_path_factory.mktemp("home")) as instance:
        yield instance


def definition(_: str) -> str:
    return (ROOT / "tests/golden/complaints.definition.dev.json").read_text()


@pytest.fixture
def place(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Ends with a sweep, as a replay removes nothing."""
    for name, value in emulator.environment().items():
        monkeypatch.setenv(name, value)
    settings = settings_of("dev")
    place = Place(
        settings=settings,
        account=Account(settings),
        state=tmp_path / "state",
        definition=definition,
        recipes=("complaints",),
        sleep=lambda _: None,
    )
    yield place
    sweep(place)
    assert not leftovers_but_keys(place)


def sweep(place: Place) -> None:
    for calls in leftovers_but_keys(place).values():
        assert not any(remove(call, place.account, sleep=place.sleep) for call in calls)


def leftovers_but_keys(place: Place) -> dict[str, tuple[Call, ...]]:
    """Without keys, which wait for a week: moto's server ends with 500 if one is deleted twice."""
    return {name: calls for name, calls in leftovers(place) if ":kms:" not in name}


@pytest.mark.parametrize("name", SERVED)
def test_a_probe_runs_to_its_end_leaves_nothing_and_is_replayed(
    name: str, place: Place, emulator: Emulator, tmp_path: Path
) -> None:
    Execution(PROBES[name], place).record(usd=0).write(tmp_path)
    record = read_records(tmp_path)[name]
    assert not leftovers_but_keys(place)
    assert len(record.calls) == len(PROBES[name].steps)
    assert (record.endpoint_override, counted(record, PROBES[name])) == (True, None)
    assert list(replay(record, emulator.client, definition)) == []


def test_another_answer_than_awss_is_seen(place: Place, emulator: Emulator) -> None:
    record = Execution(PROBES["definition-accepted"], place).record(usd=0)
    *others, created = record.calls
    refused = {"response": None, "error": ErrorRecord(code="ValidationException")}
    other = record.model_copy(update={"calls": (*others, created.model_copy(update=refused))})
    assert list(replay(other, emulator.client, definition)) == [
        "2: sagemaker:CreatePipeline: AWS: ValidationException; here: success"
    ]
    wrong = json.dumps({"Version": "2020-12-01", "Steps": [{"Name": "x", "Type": "Nothing"}]})
    *_, line = replay(record, emulator.client, lambda _: wrong)
    assert "AWS: success; here: refused by the validator" in line


def test_each_record_is_answered_as_aws_did(place: Place, emulator: Emulator) -> None:
    for name, record in read_records(ROOT / "verification/records").items():
        assert list(replay(record, emulator.client, definition)) == [], name
        sweep(place)
