"""DeviceCheck: what it measures, and what it blocks."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_tree
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import describe
from sashiko.steps.device import endpoint, measurement, removal
from tests.e2e.serving.tiny_artifact import NUMBER, WORDS, build_artifact
from tests.unit.steps.device.fake_account import FakeAccount, listening
from tests.unit.steps.device_job import HOSTED, NAME, POLL_SECONDS, DeviceJob, answering, run

AGREEMENT, DIFFERENCE = "agreement of labels", "largest difference of a score"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeviceJob:
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    return DeviceJob(tmp_path)


@pytest.fixture
def account(job: DeviceJob, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAccount]:
    """The account of a test, which leaves nothing in it."""
    with answering(job.archive) as respond, listening(FakeAccount(respond)) as account:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": account.url}.items():
            monkeypatch.setenv(name, value)
        for module in (endpoint, removal):
            monkeypatch.setattr(module, "POLL_SECONDS", POLL_SECONDS)
        yield account
        assert account.leftovers == [] or "DeleteEndpoint" in account.refuse


def test_here_the_artifacts_own_handler_answers(job, monkeypatch) -> None:
    run(monkeypatch, "local")
    assert job.verdict.passed
    assert (job.verdict.gate, job.check(AGREEMENT).value) == ("device", 1.0)
    assert job.check(DIFFERENCE).value < 1e-6
    assert job.verdict.inputs["artifact"] == sha256_tree(job.input("artifact"))
    assert job.handed_on == {"device": True}


def test_here_latency_is_not_judged_so_that_a_verdict_is_the_same_bytes(job, monkeypatch) -> None:
    job.section(maximum_p99_ms=1e-6)
    path = job.root / "processing/output/verdict/verdict.json"
    run(monkeypatch, "local")
    first = path.read_bytes()
    run(monkeypatch, "local")
    assert path.read_bytes() == first
    assert job.verdict.passed
    latency = job.check("latency")
    assert "not the device" in latency.reason
    assert not latency.judged
    assert job.verdict.summary.startswith("device: 3 checks passed; not judged: latency (")


def test_an_artifact_that_scores_differently_is_blocked(job, monkeypatch) -> None:
    job.archive.write_bytes(job.tampered(bad=2.0, awful=-3.0, fine=-1.0, good=-2.0).read_bytes())
    run(monkeypatch, "local")
    assert not job.verdict.passed
    assert job.check(AGREEMENT).value == pytest.approx(0.75, abs=0.15)
    assert not job.check(AGREEMENT).passed
    assert job.check(DIFFERENCE).value > 0.8
    assert "Try: compile without casting" in job.verdict.summary
    assert job.handed_on["device"] is False


def test_a_small_difference_without_another_label_is_blocked_too(job, monkeypatch) -> None:
    changed = job.tampered(bad=2.0, awful=3.0, fine=-1.0, good=-1.7)
    job.archive.write_bytes(changed.read_bytes())
    run(monkeypatch, "local")
    assert (job.check(AGREEMENT).passed, job.check(DIFFERENCE).passed) == (True, False)
    job.section(maximum_difference=0.1)
    run(monkeypatch, "local")
    assert job.verdict.passed


def test_of_three_classes_the_winning_one_and_every_score_is_compared(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    job = DeviceJob(tmp_path, labels=("Rückgabe", 'a, "b"', "it's"))
    run(monkeypatch, "local")
    assert job.verdict.passed
    assert (job.check(AGREEMENT).value, job.check(DIFFERENCE).value < 1e-6) == (1.0, True)

    path = job.input("predictions") / "predictions.parquet"
    rows = pq.read_table(path).to_pylist()
    expected_of = {row["key"]: row["scores"] for row in rows}
    for row in rows:  # the probability of the two together stays, and so does the winner's place
        first, second, third = row["scores"]
        row["scores"] = [first, second + third / 2, third / 2]
    pq.write_table(pa.Table.from_pylist(rows), path)
    run(monkeypatch, "local")
    assert (job.check(AGREEMENT).passed, job.check(DIFFERENCE).passed) == (True, False)

    for row in rows:  # by another threshold than the device's
        row |= {"scores": expected_of[row["key"]], "answered": not row["answered"]}
    pq.write_table(pa.Table.from_pylist(rows), path)
    run(monkeypatch, "local")
    assert (job.check(AGREEMENT).passed, job.check(DIFFERENCE).passed) == (False, True)

    job.judge()
    job.archive.write_bytes(job.tampered(bad=-5.0, awful=3.0, fine=-1.0, good=-2.0).read_bytes())
    run(monkeypatch, "local")
    assert not job.check(AGREEMENT).passed


def test_of_a_number_the_outcome_and_the_value_in_standard_deviations_are_compared(
    job, tmp_path, monkeypatch
) -> None:
    job.archive.write_bytes(build_artifact(tmp_path / "number", number=NUMBER).read_bytes())
    table = pq.read_table(job.input("test") / "data.parquet")
    sums = [sum(WORDS.get(word, 0) for word in text.split()) for text in table["text"].to_pylist()]
    values = 3 + 1.5 * np.array(sums)

    def judge(moved: float) -> None:
        columns = {"key": table["key"], "split": ["test"] * len(sums), "score": values + moved}
        predicted = pa.table(columns | {"predicted": (values + moved > 0).astype(int)})
        pq.write_table(predicted, job.input("predictions") / "predictions.parquet")
        run(monkeypatch, "local")

    judge(0.0)
    assert job.verdict.passed
    assert (job.check(AGREEMENT).value, job.check(DIFFERENCE).value < 1e-6) == (1.0, True)
    judge(-0.06)  # "good" has the bound itself as its value
    assert (job.check(AGREEMENT).passed, job.check(DIFFERENCE).passed) == (True, False)
    assert job.check(DIFFERENCE).value == pytest.approx(0.06 / 1.5, abs=1e-6)
    judge(0.015)
    assert (job.check(AGREEMENT).passed, job.check(DIFFERENCE).passed) == (False, True)


@pytest.mark.parametrize(("answer", "number"), [
    ({"score": 0.5}, None), ({"label": "yes"}, None), ({"label": "yes", "score": 0.5}, NUMBER),
])  # fmt: skip
def test_an_answer_without_its_label_its_score_or_its_value_is_a_failure(answer, number) -> None:
    content = {"target": "cpu", "labels": ["no", "yes"], "buckets": [], "number": number}
    config = measurement.ServingConfig.model_validate(content)
    sample = measurement.Sample(
        texts=("a",), classes=config.labels, scores=np.array([[0.5]]), labels=("yes",),
        number=config.number,
    )  # fmt: skip
    with pytest.raises(measurement.DeviceFailedError, match="an answer is not a"):
        measurement.compare(sample, [[measurement.Answer(**answer)]])


def test_rows_that_evaluate_did_not_score_are_an_error(job, monkeypatch) -> None:
    job.judge(rows=60)
    with pytest.raises(InputError, match="no score of the test row with key test-00"):
        run(monkeypatch, "local")


def test_off_lets_the_run_go_on_and_never_says_passed(job, monkeypatch) -> None:
    run(monkeypatch, "off")
    assert (job.verdict.judged, job.verdict.inputs) == (False, {})
    assert job.verdict.summary.startswith("device: not judged: `device_check: off`")
    assert "device" in job.handed_on


def test_an_endpoint_is_made_as_the_serving_stack_makes_it_invoked_and_deleted(
    job: DeviceJob, account: FakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, "endpoint")
    assert job.verdict.passed
    model = account.request_of("CreateModel")
    assert model["EnableNetworkIsolation"] is True
    assert model["VpcConfig"] == {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
    assert model["PrimaryContainer"]["Environment"] == {
        "NEURON_RT_NUM_CORES": "1",
        "SASHIKO_THRESHOLD": "0.9",
    }
    config = account.request_of("CreateEndpointConfig")
    [variant] = config["ProductionVariants"]
    assert variant["InferenceAmiVersion"] == "al2-ami-sagemaker-inference-neuron-2"
    assert variant["ContainerStartupHealthCheckTimeoutInSeconds"] == 600
    assert config["KmsKeyId"].startswith("arn:aws:kms:")
    assert "DataCaptureConfig" not in config
    for request in (model, config, account.request_of("CreateEndpoint")):
        assert {item["Key"] for item in request["Tags"]} == {"project", "environment"}
        assert NAME in request.values()
    assert job.check("p99 latency, ms").value > 0
    # 40 rows in requests of one more than the largest compiled batch, and twice each alone.
    assert account.names.count("InvokeEndpoint") == 8 + 40 + 40


def test_a_slow_endpoint_is_blocked(job, account, monkeypatch) -> None:
    job.section(maximum_p50_ms=1e-6)
    run(monkeypatch, "endpoint")
    assert [check.name for check in job.verdict.checks if not check.passed] == ["p50 latency, ms"]
    assert "p50 latency, ms" in job.verdict.summary


def test_a_model_that_others_would_serve_fails_on_the_endpoint(job, account, monkeypatch) -> None:
    with answering(job.tampered(bad=-2.0, awful=-3.0, fine=1.0, good=2.0)) as account.respond:
        run(monkeypatch, "endpoint")
    assert not job.verdict.passed


@pytest.mark.parametrize("answer", [b"[]", b"<html>", b'[{"label": "yes", "score": null}]'])
def test_what_is_no_answer_is_blocked(job, account, monkeypatch, answer) -> None:
    account.respond = lambda _: answer
    run(monkeypatch, "endpoint")
    assert not job.check("answers on the device").passed


def test_scores_that_are_no_numbers_are_blocked(job, account, monkeypatch) -> None:
    good = account.respond

    def respond(body: bytes) -> bytes:
        return json.dumps(
            [row | {"score": float("nan")} for row in json.loads(good(body))]
        ).encode()

    account.respond = respond
    run(monkeypatch, "endpoint")
    failed = job.check(DIFFERENCE)
    assert (failed.value, failed.passed) == (None, False)


def test_a_container_that_does_not_start_closes_the_gate_with_what_to_look_at(
    job: DeviceJob, account: FakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.failure = "The primary container did not pass the ping health check."
    run(monkeypatch, "endpoint")
    assert "did not pass the ping health check" in job.verdict.summary
    assert "more workers than NeuronCores" in describe(job.check("answers on the device"))


def test_an_instance_that_aws_has_not_got_is_no_fault_of_the_model(job, account, monkeypatch):
    account.failure = "Unable to provision requested ML compute capacity"
    with pytest.raises(InputError, match="SageMaker had no instance"):
        run(monkeypatch, "endpoint")


def test_a_batch_job_judges_answers_and_says_what_it_cannot_judge(job, account, monkeypatch):
    run(monkeypatch, "transform")
    assert job.verdict.passed
    assert (job.check(AGREEMENT).value, job.check(DIFFERENCE).passed) == (1.0, True)
    message = job.check("latency").reason
    assert "Neuron driver cannot be pinned" in message
    assert "al2-ami" not in job.check("checked on").reason
    job_request = account.request_of("CreateTransformJob")
    assert job_request["TransformResources"]["InstanceType"] == "ml.inf2.xlarge"
    assert job_request["TransformOutput"]["KmsKeyId"].startswith("arn:aws:kms:")


def test_a_batch_job_that_fails_closes_the_gate(job, account, monkeypatch) -> None:
    account.failure = "AlgorithmError: see job logs"
    run(monkeypatch, "transform")
    assert not job.verdict.passed


def test_a_batch_job_that_still_runs_is_stopped(job, account, monkeypatch) -> None:
    account.polls = -1

    def stopped(*_: object) -> None:
        raise SystemExit(143)

    monkeypatch.setattr(endpoint, "pause", stopped)
    with pytest.raises(SystemExit):
        run(monkeypatch, "transform")
    assert list(account.jobs.values()) == ["Stopped"]


@pytest.mark.parametrize(
    "operation", ["CreateModel", "CreateEndpointConfig", "DescribeEndpointConfig", "CreateEndpoint"]
)
def test_an_error_at_any_stage_leaves_nothing(job, account, monkeypatch, operation) -> None:
    account.refuse[operation] = ("AccessDeniedException", f"not authorized to {operation}")
    with pytest.raises(InputError, match=f"not authorized to {operation}"):
        run(monkeypatch, "endpoint")


def test_a_fault_while_it_is_measured_leaves_nothing(job, account, monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(measurement, "measure", broken)
    with pytest.raises(ZeroDivisionError):
        run(monkeypatch, "endpoint")


def test_what_an_attempt_before_left_is_deleted_first(job, account, monkeypatch) -> None:
    account.models[NAME], account.configs[NAME] = {}, {}
    account.endpoints[NAME] = "InService"
    run(monkeypatch, "endpoint")
    assert job.verdict.passed


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
def test_a_job_that_is_stopped_deletes_what_it_made(job, account, number, when) -> None:
    """Another process, as SageMaker stops it; an endpoint in creation is waited for first."""
    if when == "creating":
        account.polls = 40
    code = (
        "from sashiko.steps.device import endpoint, removal\n"
        "for module in (endpoint, removal):\n"
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
