"""Whole runs: order, gates, staging, and what SageMaker puts around a job."""

import io
import json
import os
import re
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sashiko.base.files import read_json
from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.pipeline.runner.execute import replay
from sashiko.pipeline.runner.run_record import (
    DataRecord,
    LiveView,
    RunRecord,
    StepRecord,
    View,
    new_run_id,
    now,
    open_view,
    read_run,
    stamp,
    write_run,
)
from tests.unit.pipeline.runner.tiny import Tiny

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
        "Judge": "succeeded", "Other": "succeeded", "Gate": "blocked", "Go": "not_run",
        "Deep": "not_run",
    }  # fmt: skip
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
def test_a_gate_that_cannot_judge_fails_and_does_not_block(tiny: Any, write: str, reason: str):
    record = tiny.run(
        tiny.job("Judge", write), tiny.gate("Gate", "Judge"), tiny.job("Go", after=["Gate"])
    )
    assert (record.status, record.exit_code) == ("failed", 1)
    assert (record.step("Gate").status, record.step("Go").status) == ("failed", "not_run")
    assert re.match(reason, record.step("Gate").reason)


def test_an_unknown_function_or_step_stops_the_run_before_it_starts(tiny: Any) -> None:
    with pytest.raises(InputError, match="step `Ask`: no local function for `lost`; known: gate"):
        tiny.run(tiny.job("First"), tiny.function("Ask", "lost", {}))
    assert tiny.view.states == []
    with pytest.raises(InputError, match="the pipeline has no step `B`; it has: A"):
        tiny.run(tiny.job("A"), until="B")
    with pytest.raises(InputError, match="--from Lost: the pipeline has no such step; it has: A"):
        tiny.run(tiny.job("A"), from_step="Lost")


def test_a_run_that_ends_early_does_what_its_last_step_needs_and_no_more(tiny: Any, status_of: Any):
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


def test_a_job_sees_its_own_opt_ml_and_little_else(tiny: Any, monkeypatch: pytest.MonkeyPatch):
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


def test_one_training_waits_for_another(tiny: Any, status_of: Any, tmp_path: Any) -> None:
    code = f"""
busy = pathlib.Path({str(tmp_path / "busy")!r})
busy.touch(exist_ok=False)
time.sleep(0.4)
busy.unlink()
"""
    record = tiny.run(tiny.training("T", code), tiny.training("U", code), cores=8)
    assert status_of(record) == {"T": "succeeded", "U": "succeeded"}


def test_a_job_without_entrypoint_runs_the_images(tiny: Any) -> None:
    step = tiny.job("A", arguments=["-c", "open('x', 'w')"])
    del step["Arguments"]["AppSpecification"]["ContainerEntrypoint"]
    assert tiny.run(step).status == "succeeded"


@pytest.mark.parametrize(("change", "message"), [
    ({"Type": "Tuning"}, "step `A`: unknown Type `Tuning`"),
    ({"DependsOn": ["Lost"]}, "no step is named `Lost`"),
])  # fmt: skip
def test_nothing_runs_if_something_is_unknown(tiny, change, message, tmp_path):
    touch = tiny.job("First", f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InputError, match=message):
        tiny.run(touch, {**tiny.job("A"), **change})
    assert not (tmp_path / "ran").exists()
    assert not tiny.home.exists()


class Clock(datetime):
    """Reads a day less at each call."""

    calls = 0

    @classmethod
    def now(cls, tz: tzinfo | None = UTC) -> datetime:
        Clock.calls += 1
        return datetime(2026, 11, 25, 10, 15, tzinfo=tz) - timedelta(days=Clock.calls)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "calls", 0)
    monkeypatch.setattr("sashiko.pipeline.runner.run_record.datetime", Clock)


@pytest.mark.usefixtures("clock")
def test_steps_and_run_take_no_negative_time_and_are_reused(tiny: Any, status_of: Any) -> None:
    steps = (tiny.job("A", "time.sleep(0.2)"), tiny.job("B", after=["A"]))
    first = tiny.run(*steps)
    assert first.status == "succeeded"
    assert 0.2 <= first.step("A").seconds <= first.seconds
    assert status_of(tiny.run(*steps)) == {"A": "cached", "B": "cached"}


@pytest.mark.usefixtures("clock")
def test_a_later_run_has_a_later_id(tmp_path: Path) -> None:
    ids = []
    for _ in range(3):
        ids.append(new_run_id(tmp_path))
        folder = tmp_path / "runs" / ids[-1]
        folder.mkdir(parents=True)
        step = StepRecord(name="A", type="Processing")
        write_run(folder, RunRecord(id=ids[-1], pipeline="p", start="-", steps=(step,)))
    assert ids == sorted(ids)
    assert len({name[:15] for name in ids}) == 3


RECORD = RunRecord(
    id="run-1",
    pipeline="p",
    start="2026-01-01T00:00:00+00:00",
    parameters={"Flag": True, "N": 3, "Share": 0.5, "Text": "3"},
    steps=(
        StepRecord(
            name="A", type="Processing", outputs={"out": DataRecord(uri="s3://b/x", sha256="0")}
        ),
    ),
)


def test_an_unknown_step_names_those_there_are() -> None:
    with pytest.raises(InputError, match="run run-1 has no step `B`; it has: A"):
        RECORD.step("B")


def test_a_record_reads_back_as_written_and_none_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.json does not exist"):
        read_run(tmp_path)
    assert new_run_id(tmp_path) != new_run_id(tmp_path)

    write_run(tmp_path, RECORD)
    read = read_run(tmp_path)
    assert read == RECORD
    assert read.parameters["Flag"] is True
    assert read.parameters["Text"] == "3"


def render(view: LiveView, console: Console) -> str:
    with console.capture() as captured:
        console.print(view)
    return captured.get()


def console(height: int = 30) -> Console:
    return Console(file=io.StringIO(), width=60, height=height, force_terminal=False)


def test_the_table_has_state_time_and_last_line() -> None:
    screen = console()
    view = LiveView(screen)
    view.step(StepRecord(name="Make", type="Processing", status="succeeded", seconds=1.25))
    start = stamp(now() - timedelta(seconds=90))
    view.step(StepRecord(name="Train", type="Training", status="running", start=start))
    view.step(StepRecord(name="Old", type="Processing", status="cached", cached_from="run-1"))
    view.line("Train", "epoch 1/2 [bold]loss[/bold] 0.4 \x1b[2J" + "x" * 100)

    make, train, old = render(view, screen).splitlines()
    assert make.split() == ["Make", "succeeded", "1.2", "s"]
    assert " 90 s" in train
    assert "epoch 1/2 [bold]loss[/bold] 0.4" in train
    assert "\x1b" not in train
    assert len(train) <= 60
    assert old.split() == ["Old", "cached", "from", "run", "run-1"]


def test_a_terminal_gets_the_table_and_on_a_low_screen_waiting_steps_give_way() -> None:
    screen = console(height=4)
    view = LiveView(screen)
    for number in range(6):
        view.step(StepRecord(name=f"Wait{number}", type="Processing"))
    view.step(StepRecord(name="Train", type="Training", status="running"))
    assert [line.split()[0] for line in render(view, screen).splitlines()] == ["Train"]

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with open_view(stream) as view:
        view.step(StepRecord(name="Train", type="Training", status="running"))
    assert "Train" in stream.getvalue()


def test_plain_text_has_a_line_per_event() -> None:
    stream = io.StringIO()
    with open_view(stream) as view:
        assert isinstance(view, View)
        view.step(StepRecord(name="A", type="Processing"))
        view.step(StepRecord(name="A", type="Processing", status="running"))
        view.line("A", "not shown")
        view.step(
            StepRecord(name="A", type="Processing", status="failed", seconds=2, reason="bad\x1b[1m")
        )
        view.note("two\nlines")
    assert stream.getvalue() == "A: running\nA: failed in 2.0 s: bad\ntwo\nlines\n"


COPY = "(OUT / 'out/x').write_text((IN / 'in/x').read_text())"


def again(tiny: Tiny, run: RunRecord, step: str, folder: Path) -> Mapping[str, Path]:
    definition = parse_definition(read_json(tiny.home / "runs" / run.id / "definition.json"))
    folder.mkdir()
    return replay(run, definition, step, store=tiny.store, folder=folder)


def content(home: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def test_a_job_gives_again_what_it_gave_of_what_is_in_the_store_and_touches_nothing(
    tiny: Any, tmp_path
):
    tiny.put("s3://b/raw/x", "1")
    run = tiny.run(tiny.job("A", COPY, inputs={"in": "s3://b/raw"}))
    before = content(tiny.home)
    outputs = again(tiny, run, "A", tmp_path / "again")
    assert set(outputs) == {"out"}
    assert (outputs["out"] / "x").read_text() == "1"
    assert outputs["out"].is_relative_to(tmp_path / "again")
    assert content(tiny.home) == before

    tiny.put("s3://b/raw/x", "2")
    assert (again(tiny, run, "A", tmp_path / "now")["out"] / "x").read_text() == "2"
    tiny.store.path("s3://b/raw/x").unlink()
    with pytest.raises(InputError, match="s3://b/raw"):
        again(tiny, run, "A", tmp_path / "gone")


def test_a_cached_step_reads_the_outputs_of_the_run_that_made_them(tiny: Any, tmp_path: Path):
    tiny.put("s3://b/raw/x", "1")
    steps = (
        tiny.job("A", COPY, inputs={"in": "s3://b/raw"}),
        tiny.job("B", COPY, inputs={"in": tiny.uri("A")}),
    )
    tiny.run(*steps)
    second = tiny.run(*steps)
    assert second.step("B").status == "cached"
    assert (again(tiny, second, "B", tmp_path / "again")["out"] / "x").read_text() == "1"


def test_parameters_and_the_executions_id_are_those_of_the_run(tiny: Any, tmp_path: Path) -> None:
    arguments = [{"Get": "Parameters.Word"}, {"Get": "Execution.PipelineExecutionId"}]
    run = tiny.run(
        tiny.job("A", "(OUT / 'out/x').write_text(' '.join(sys.argv[1:]))", arguments=arguments),
        declarations=[{"Name": "Word", "Type": "String"}],
        parameters={"Word": "hello"},
    )
    assert (again(tiny, run, "A", tmp_path / "again")["out"] / "x").read_text() == "hello run-1"


def test_a_job_that_fails_now_says_why(tiny: Any, tmp_path: Path) -> None:
    tiny.put("s3://b/raw/x", "1")
    code = "int((IN / 'in/x').read_text()) or sys.exit('error: nothing to judge')"
    run = tiny.run(tiny.job("A", code, inputs={"in": "s3://b/raw"}))
    tiny.put("s3://b/raw/x", "0")
    message = r"step A of run run-1 does not succeed again: .*nothing to judge"
    with pytest.raises(InputError, match=message):
        again(tiny, run, "A", tmp_path / "again")
