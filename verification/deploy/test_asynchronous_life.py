"""The life of an endpoint that sleeps: woken by a request, updated, judged, back to sleep, gone.

The answers are those of a real artifact's own handler.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sashiko.account.account import Account
from sashiko.account.asynchronous import ask, delete_requests
from sashiko.account.names import bucket_name
from sashiko.errors import InputError
from sashiko.serving.container.pack import pack
from sashiko.settings.serving import AsynchronousSection
from tests.e2e.serving.tiny_artifact import build_artifact
from verification.deploy.assembly import bootstrap
from verification.deploy.inventory import inventory
from verification.deploy.process import REGION, Emulator, running
from verification.deploy.stacks import ACCOUNT, Stacks
from verification.deploy.test_serving_life import (
    BEFORE,
    NAME,
    NO_PROMPT,
    STACK,
    audit,
    config,
    count,
    deploy,
    destroy,
    recipe,
    register,
    served_arn,
    serving_settings,
    synthesize,
)

NEEDED = 3  # answers that an update is judged by
ASLEEP = {
    "mode": "asynchronous",
    "min_instances": 0,
    "max_instances": 3,
    "p99_latency_ms": 20_000,
    "asynchronous": AsynchronousSection(backlog_per_instance=5, judged_requests=NEEDED),
}
FAULTY = "def transform_fn(model, body, content_type, accept):\n    raise RuntimeError('no')\n"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with (
        running(ACCOUNT, tmp_path_factory.mktemp("home")) as emulator,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in emulator.environment().items():
            patch.setenv(name, value)
        bootstrap(emulator, tmp_path_factory.mktemp("bootstrap"), "iam_only")
        none = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{NAME}/1"
        folder = synthesize(tmp_path_factory.mktemp("before"), none, **ASLEEP)
        emulator.cdk("deploy", *BEFORE, "--exclusively", NO_PROMPT, folder=folder)
        yield emulator


def artifact(folder: Path, name: str) -> bytes:
    """An artifact of its own, whose handler answers, or fails at each request."""
    folder.mkdir()
    archive = build_artifact(folder)
    with (folder / "artifact/code/inference.py").open("a") as file:
        file.write(f"\n\n# {name}\n{FAULTY if name == 'faulty' else ''}")
    pack(folder / "artifact", archive)
    return archive.read_bytes()


def wait_until(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def is_asleep(account: Emulator) -> bool:
    """No instance, scaling may go to none, and no update has left anything."""
    scaling = account.client("application-autoscaling")
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    actions = scaling.describe_scheduled_actions(ServiceNamespace="sagemaker")
    at_rest = target["MinCapacity"] == 0 and not actions["ScheduledActions"]
    return at_rest and count(account) == 0


def invoke(*keys: str) -> Any:
    body = json.dumps({"inputs": ["good"] * len(keys), "ids": keys}).encode()
    return json.loads(ask(serving_settings(**ASLEEP), recipe(), body, within=60))


def objects(account: Emulator) -> list[str]:
    bucket = bucket_name(serving_settings(), "capture")
    listed = account.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"{NAME}/")
    return [item["Key"] for item in listed.get("Contents", ())]


def refused(account: Emulator, folder: Path, arn: str, **change: Any) -> str:
    """Deploys a version that does not pass; what served before serves, and sleeps again."""
    before = served_arn(account)
    output = account.cdk(
        "deploy", "Serving", "--exclusively", NO_PROMPT, status=1,
        folder=synthesize(folder, arn, **{**ASLEEP, **change}),
    )  # fmt: skip
    assert Stacks(account).status(STACK) == "UPDATE_ROLLBACK_COMPLETE"
    assert served_arn(account) == before
    wait_until(lambda: is_asleep(account))
    return output


def test_life(account: Emulator, tmp_path_factory: pytest.TempPathFactory) -> None:
    """In order: from zero, wake, back to zero, updates, a bad one, deletion, destroy."""
    new = tmp_path_factory.mktemp
    versions = {
        name: register(
            account, new(name) / "files", execution=name,
            artifact=artifact(new(f"{name}-artifact") / "a", name),
        )
        for name in ("first", "second", "faulty")
    }  # fmt: skip
    before = inventory(account)
    first = synthesize(new("one"), versions["first"], **ASLEEP)
    deploy(account, first)
    check_configuration(account)
    wait_until(lambda: is_asleep(account))  # InitialInstanceCount is one at least
    assert audit(first) == []

    (answer,) = invoke("a-1")
    assert (answer["id"], 0 <= answer["score"] <= 1) == ("a-1", True)
    wait_until(lambda: is_asleep(account))

    with pytest.raises(InputError, match="failed: 400"):
        ask(serving_settings(**ASLEEP), recipe(), b'{"inputs": 1}', within=60)
    # One answered request is not enough to judge an update by.
    output = refused(account, new("too-few"), versions["second"])
    assert f"1 requests are kept that were answered, and an update is judged by {NEEDED}" in output

    invoke("a-2", "b-2")
    invoke("a-3")
    deploy(account, synthesize(new("two"), versions["second"], **ASLEEP))
    assert served_arn(account) == versions["second"]
    wait_until(lambda: is_asleep(account))

    output = refused(account, new("faulty-deploy"), versions["faulty"])
    assert f"{NEEDED} of {NEEDED} requests failed that were answered before" in output
    output = refused(account, new("slow"), versions["first"], p99_latency_ms=0)
    assert "`serving.p99_latency_ms` allows 0" in output

    check_deletion(account)
    check_nothing_wakes_without_its_alarm(account)
    destroy(account, first)
    assert inventory(account) == before


def check_configuration(account: Emulator) -> None:
    queue = config(account)["AsyncInferenceConfig"]["OutputConfig"]
    place = f"s3://sashiko-dev-capture-{ACCOUNT}-{REGION}/{NAME}/version=1"
    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:sashiko-dev-answers"
    assert queue["S3OutputPath"] == f"{place}/output"
    assert queue["S3FailurePath"] == f"{place}/failure"
    assert queue["KmsKeyId"].endswith(":alias/sashiko-dev-capture")
    assert queue["NotificationConfig"] == {"SuccessTopic": topic, "ErrorTopic": topic}
    assert "DataCaptureConfig" not in config(account)


def check_deletion(account: Emulator) -> None:
    """A request with a row of the key goes with its answer; others stay."""
    settings = serving_settings(**ASLEEP)
    kept = objects(account)
    assert sum("/input/" in key for key in kept) == 4
    doomed = delete_requests(Account(settings), settings, recipe(), ["b-2"], role="break-glass")
    assert doomed == 1
    gone = set(kept) - set(objects(account))
    assert sorted(key.split("/")[-2] for key in gone) == ["input", "output"]
    assert delete_requests(Account(settings), settings, recipe(), ["z"], role="break-glass") == 0


def check_nothing_wakes_without_its_alarm(account: Emulator) -> None:
    account.client("cloudwatch").delete_alarms(AlarmNames=["sashiko-dev-endpoint-wake"])
    (key, *_) = [key for key in objects(account) if "/input/" in key]
    bucket = bucket_name(serving_settings(), "capture")
    account.client("sagemaker-runtime").invoke_endpoint_async(
        EndpointName=NAME, InputLocation=f"s3://{bucket}/{key}", InferenceId="nobody"
    )
    time.sleep(3)
    assert count(account) == 0
