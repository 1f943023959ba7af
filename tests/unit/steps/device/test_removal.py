"""DeviceCheck: nothing that it made outlives it."""

import os
import signal
import subprocess
import sys

import pytest

from sashiko.errors import InputError
from sashiko.steps import device_check
from tests.unit.steps.device.fake_account import FakeAccount
from tests.unit.steps.device_job import HOSTED, NAME, POLL_SECONDS, DeviceJob, run


@pytest.mark.parametrize(
    "operation", ["CreateModel", "CreateEndpointConfig", "DescribeEndpointConfig", "CreateEndpoint"]
)
def test_an_error_at_any_stage_leaves_nothing(
    job: DeviceJob, account: FakeAccount, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    account.refuse[operation] = ("AccessDeniedException", f"not authorized to {operation}")
    with pytest.raises(InputError, match=f"not authorized to {operation}"):
        run(monkeypatch, "endpoint")
    assert account.leftovers == []


def test_a_fault_while_it_is_measured_leaves_nothing(
    job: DeviceJob, account: FakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(device_check, "measure", broken)
    with pytest.raises(ZeroDivisionError):
        run(monkeypatch, "endpoint")
    assert account.leftovers == []


def test_what_an_attempt_before_left_is_deleted_first(
    job: DeviceJob, account: FakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.models[NAME], account.configs[NAME] = {}, {}
    account.endpoints[NAME] = "InService"
    run(monkeypatch, "endpoint")
    assert job.verdict.passed
    assert account.leftovers == []


def test_an_endpoint_that_cannot_be_deleted_fails_the_step_and_says_what_to_do(
    job: DeviceJob, account: FakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = account.respond

    def respond(body: bytes) -> bytes:
        account.refuse["DeleteEndpoint"] = ("AccessDeniedException", "not authorized")
        return good(body)

    account.respond = respond
    with pytest.raises(InputError, match=f"aws sagemaker delete-endpoint --endpoint-name {NAME}"):
        run(monkeypatch, "endpoint")


@pytest.mark.parametrize(
    ("when", "number"), [("creating", signal.SIGTERM), ("invoked", signal.SIGINT)]
)
def test_a_job_that_is_stopped_deletes_what_it_made(
    job: DeviceJob, account: FakeAccount, number: signal.Signals, when: str
) -> None:
    """Another process, as SageMaker stops it; an endpoint in creation is waited for first."""
    if when == "creating":
        account.polls = 40
    code = (
        "from sashiko.steps.device import batch_transform, endpoint, removal\n"
        "for module in (endpoint, removal, batch_transform):\n"
        f"    module.POLL_SECONDS = {POLL_SECONDS}\n"
        "from sashiko.steps import device_check, entry\n"
        "entry.run_step(device_check.main)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--backend", "endpoint", *HOSTED],
        env=os.environ | {"OPT_ML": str(job.root)},
        stderr=subprocess.PIPE,
        text=True,
    )
    moment = account.described if when == "creating" else account.invoked
    assert moment.wait(300)
    process.send_signal(number)
    _, message = process.communicate(timeout=300)
    assert process.returncode == 128 + number, message
    assert account.leftovers == [], message
    assert "Traceback" not in message
    assert not (job.root / "processing/output/verdict/verdict.json").exists()
