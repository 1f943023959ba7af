"""Whole runs: order, gates, staging, and what SageMaker puts around a job."""

import json
import os
import re
import tarfile
from typing import Any

import pytest

from sashiko.errors import InputError
from sashiko.pipeline.runner.run_record import read_run

WRITE = "(OUT / 'out/result.json').write_text(json.dumps({'passed': PASSED, 'summary': 'DI 0.5'}))"


def test_outputs_flow_into_inputs(tiny: Any, status_of: Any) -> None:
    tiny.put("s3://b/raw/part/a.txt", "abc")
    upper = "(OUT / 'out/b.txt').write_text((IN / 'raw/part/a.txt').read_text().upper())"
    twice = "(OUT / 'out/c.txt').write_text((IN / 'up/b.txt').read_text() * 2)"

    record = tiny.run(
        tiny.job("Twice", twice, inputs={"up": tiny.uri("Upper")}),
        tiny.job("Upper", upper, inputs={"raw": "s3://b/raw"}),
    )

    assert status_of(record) == {"Twice": "succeeded", "Upper": "succeeded"}
    assert (tiny.output(record, "Twice") / "c.txt").read_text() == "ABCABC"
    assert record.step("Twice").inputs["up"] == record.step("Upper").outputs["out"]
    assert (record.status, record.exit_code) == ("succeeded", 0)
    assert read_run(tiny.home / "runs/run-1") == record
    assert not (tiny.home / "runs/run-1/work").exists()


def test_the_closed_gate_blocks_with_its_message(tiny: Any, status_of: Any) -> None:
    record = tiny.run(
        tiny.job("Judge", f"PASSED = False\n{WRITE}"),
        tiny.job("Other", f"PASSED = True\n{WRITE}"),
        tiny.gate("Gate", "Judge", "Other"),
        tiny.job("Go", after=["Gate"]),
        tiny.job("Deep", after=["Go"]),
    )

    assert status_of(record) == {
        "Judge": "succeeded",
        "Other": "succeeded",
        "Gate": "blocked",
        "Go": "not_run",
        "Deep": "not_run",
    }
    assert (record.status, record.exit_code) == ("blocked", 3)
    assert record.reason == "step Gate: DI 0.5"


def test_the_open_gate_lets_through_and_is_called_each_time(tiny: Any, status_of: Any) -> None:
    judge = tiny.job("Judge", f"PASSED = True\n{WRITE}")
    steps = [judge, tiny.gate("Gate", "Judge"), tiny.job("Go", after=["Gate"])]

    record = tiny.run(*steps)
    assert status_of(record) == dict.fromkeys(("Judge", "Gate", "Go"), "succeeded")
    assert record.step("Go").start >= record.step("Gate").end
    calls: list[Any] = []
    tiny.functions["gate"] = lambda event, _: calls.append(event) or {}
    assert status_of(tiny.run(*steps)) == {"Judge": "cached", "Gate": "succeeded", "Go": "cached"}
    ((uri,),) = (event.values() for event in calls)
    assert uri == f"{record.step('Judge').outputs['out'].uri}/result.json"


@pytest.mark.parametrize(("write", "reason"), [
    ("", "cannot read s3://.*/Judge/out/result.json: No such file"),
    ("(OUT / 'out/result.json').write_text('{}')", "KeyError: 'passed'"),
])  # fmt: skip
def test_a_gate_that_cannot_judge_fails_and_does_not_block(
    tiny: Any, write: str, reason: str
) -> None:
    record = tiny.run(
        tiny.job("Judge", write), tiny.gate("Gate", "Judge"), tiny.job("Go", after=["Gate"])
    )
    assert (record.status, record.exit_code) == ("failed", 1)
    assert (record.step("Gate").status, record.step("Go").status) == ("failed", "not_run")
    assert re.match(reason, record.step("Gate").reason)


def test_a_function_that_is_not_known_here_stops_the_run_before_it_starts(tiny: Any) -> None:
    with pytest.raises(InputError, match="step `Ask`: no local function for `lost`; known: gate"):
        tiny.run(tiny.job("First"), tiny.function("Ask", "lost", {}))
    assert tiny.view.states == []


def test_a_run_that_ends_early_does_what_its_last_step_needs_and_no_more(
    tiny: Any, status_of: Any
) -> None:
    judge = tiny.job("Judge", f"PASSED = True\n{WRITE}")
    steps = [
        judge,
        tiny.gate("Gate", "Judge"),
        tiny.job("Train", after=["Gate"]),
        tiny.job("Aside", after=["Gate"]),
        tiny.job("Register", after=["Train"]),
    ]

    record = tiny.run(*steps, until="Train")

    assert status_of(record) == dict.fromkeys(("Judge", "Gate", "Train"), "succeeded")
    assert (record.status, record.until, record.exit_code) == ("partial", "Train", 0)
    whole = tiny.run(*steps)
    assert whole.step("Train").cached_from == record.id
    assert (whole.status, whole.until) == ("registered", "")


def test_a_closed_gate_blocks_a_run_that_ends_early_too(tiny: Any) -> None:
    judge = tiny.job("Judge", f"PASSED = False\n{WRITE}")
    train = tiny.job("Train", after=["Gate"])
    record = tiny.run(judge, tiny.gate("Gate", "Judge"), train, until="Train")
    assert (record.status, record.reason) == ("blocked", "step Gate: DI 0.5")


def test_a_last_step_that_is_not_there_is_refused(tiny: Any) -> None:
    with pytest.raises(InputError, match="the pipeline has no step `B`; it has: A"):
        tiny.run(tiny.job("A"), until="B")


def test_parameters_reach_arguments_and_environment(tiny: Any) -> None:
    parameters = [
        {"Name": "Word", "Type": "String"},
        {"Name": "N", "Type": "Integer", "DefaultValue": 3},
    ]
    code = "(OUT / 'out/x').write_text(' '.join([*sys.argv[1:], os.environ['WORD']]))"
    text = {"Std:Join": {"On": "", "Values": [{"Get": "Parameters.N"}]}}
    step = tiny.job(
        "A",
        code,
        arguments=["--n", text, {"Get": "Execution.PipelineName"}],
        environment={"WORD": {"Get": "Parameters.Word"}},
    )

    record = tiny.run(step, declarations=parameters, parameters={"Word": "hi"})

    assert (tiny.output(record, "A") / "x").read_text() == "--n 3 tiny hi"
    assert record.parameters == {"Word": "hi", "N": 3}


def test_a_job_sees_its_own_opt_ml_and_little_else(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("SOMETHING", "else")
    code = "(OUT / 'out/x').write_text(json.dumps([dict(os.environ), sys.argv[1:], os.getcwd()]))"
    step = tiny.job(
        "A", code, arguments=["/opt/ml/x", "s3://b/opt/ml"], environment={"DIR": "/opt/ml/model"}
    )

    record = tiny.run(step)

    environment, arguments, folder = json.loads((tiny.output(record, "A") / "x").read_text())
    root = str(tiny.home / "runs/run-1/work/A")
    assert arguments == [f"{root}/opt/ml/x", "s3://b/opt/ml"]
    assert environment["OPT_ML"] == f"{root}/opt/ml"
    assert environment["DIR"] == f"{root}/opt/ml/model"
    assert environment["TMPDIR"].startswith(root)
    assert folder == root
    assert environment["AWS_EC2_METADATA_DISABLED"] == "true"
    assert environment["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert not {"AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "SOMETHING"} & set(environment)


def test_training_has_sagemakers_folders_and_leaves_archives(tiny: Any) -> None:
    tiny.put("s3://b/rows/x.csv", "1,2")
    code = """
config = ML / "input/config"
environment = {name: json.loads((config / f"{name}.json").read_text())
        for name in ("hyperparameters", "inputdataconfig", "resourceconfig")}
environment["rows"] = (ML / "input/data/train/x.csv").read_text()
environment["name"], environment["argv"] = os.environ["TRAINING_JOB_NAME"], sys.argv[1:]
(ML / "model/sub").mkdir()
(ML / "model/sub/weights").write_text("w")
(ML / "model/config.json").write_text("{}")
(ML / "output/data/environment.json").write_text(json.dumps(environment))
"""
    step = tiny.training(
        "Train", code, channels={"train": "s3://b/rows"}, hyperparameters={"a": "1"}
    )
    model = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    use = tiny.job("Use", "print(os.listdir(IN / 'model'), file=open(OUT / 'out/x', 'w'))",
                   inputs={"model": model})  # fmt: skip

    record = tiny.run(step, use)

    with tarfile.open(tiny.output(record, "Train", "model")) as archive:
        assert archive.getnames() == ["config.json", "sub/weights"]
        assert {member.mtime for member in archive.getmembers()} == {0}
    with tarfile.open(tiny.output(record, "Train", "output")) as archive:
        environment = json.loads(archive.extractfile("environment.json").read())
    assert environment["hyperparameters"] == {"a": "1"}
    assert environment["inputdataconfig"]["train"]["TrainingInputMode"] == "File"
    assert environment["resourceconfig"]["hosts"] == ["algo-1"]
    assert environment["rows"] == "1,2"
    assert environment["name"] == "pipelines-run-1-Train"
    assert (tiny.output(record, "Use") / "x").read_text() == "['model.tar.gz']\n"
    assert record.step("Use").inputs["model"] == record.step("Train").outputs["model"]


def test_independent_steps_run_side_by_side(tiny: Any, status_of: Any, tmp_path: Any) -> None:
    meet = """
here, other = (pathlib.Path(path) for path in sys.argv[1:])
here.touch()
deadline = time.monotonic() + 300
while not other.exists():
    assert time.monotonic() < deadline, "the other step was not started"
    time.sleep(0.01)
"""
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    record = tiny.run(tiny.job("A", meet, arguments=[a, b]), tiny.job("B", meet, arguments=[b, a]))
    assert status_of(record) == {"A": "succeeded", "B": "succeeded"}


def test_training_has_the_machine_to_itself(tiny: Any, status_of: Any, tmp_path: Any) -> None:
    code = f"""
busy = pathlib.Path({str(tmp_path / "busy")!r})
busy.touch(exist_ok=False)
time.sleep(0.4)
busy.unlink()
"""
    record = tiny.run(tiny.job("A", code), tiny.training("T", code), cores=8)
    assert status_of(record) == {"A": "succeeded", "T": "succeeded"}


def test_a_job_without_entrypoint_runs_the_images(tiny: Any) -> None:
    step = tiny.job("A", arguments=["-c", "open('x', 'w')"])
    del step["Arguments"]["AppSpecification"]["ContainerEntrypoint"]
    assert tiny.run(step).status == "succeeded"


@pytest.mark.parametrize(("change", "message"), [
    ({"Type": "Tuning"}, "step `A`: unknown Type `Tuning`"),
    ({"DependsOn": ["Lost"]}, "no step is named `Lost`"),
])  # fmt: skip
def test_nothing_runs_if_something_is_unknown(
    tiny: Any, change: dict[str, Any], message: str, tmp_path: Any
) -> None:
    touch = tiny.job("First", f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InputError, match=message):
        tiny.run(touch, {**tiny.job("A"), **change})
    assert not (tmp_path / "ran").exists()
    assert not tiny.home.exists()


def test_an_unknown_from_step_names_the_steps(tiny: Any) -> None:
    with pytest.raises(InputError, match="--from Lost: the pipeline has no such step; it has: A"):
        tiny.run(tiny.job("A"), from_step="Lost")
