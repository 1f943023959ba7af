"""The command line as a person meets it: help, errors, exit status."""

import datetime as dt
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from sashiko.cli import app
from sashiko.commands import local_runs, run, runs
from sashiko.commands.local_runs import summary
from sashiko.commands.model_command import gate_lines
from sashiko.commands.options import parse_duration, parse_time
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check, decide, write_verdict
from sashiko.pipeline.runner.run_record import DataRecord, RunRecord, StepRecord
from sashiko.pipeline.runner.store import Store
from tests.unit.commands.in_process import sashiko
from verification.faults.kills import at_work


def test_the_list_says_of_each_command_what_the_command_says_of_itself():
    listing = " ".join(sashiko("--help", COLUMNS="400").stdout.split())
    group = typer.main.get_command(app)
    with typer.Context(group) as context:
        commands = {name: group.get_command(context, name) for name in group.list_commands(context)}
    assert len(commands) > 10
    for name, command in commands.items():
        first = " ".join(command.help.split("\n\n")[0].split())
        assert f"{name} {first}" in listing


def test_the_list_of_commands_imports_none():
    """But YAML, as config/base.yaml says which packs are on."""
    code = (
        "import sys\nfrom sashiko.cli import app\napp(standalone_mode=False)\nprint(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not loaded & {
        "pydantic",
        "numpy",
        "sashiko.commands.run",
        "sashiko.settings.environment",
    }


def test_a_word_that_is_no_command_is_answered_with_those_that_are_like_it():
    done = sashiko("rn")
    assert done.returncode == 2
    assert "Did you mean 'run', 'runs'?" in done.stderr


@pytest.mark.parametrize(("arguments", "expected"), [
    (("run", "--recipe", "nothing"), "there is no recipe recipes/nothing.yaml; known: "),
    (("run", "--as-of", "20261125T104500Z"), "--as-of: the local lake has one version"),
    (("run", "--strengths", "0,1"), "--strengths 0,1: add --sweep"),
    (("env", "stage", "--env", "prod", "--seed-data", "20261125T104500Z"), "prod keeps its data"),
    (("env", "stage", "--seed-data", "today"), "--seed-data today: expected an instant in UTC"),
    (("run", "--env", "moon"),
     "unknown environment `moon`: those in config/ are dev.yaml, local.yaml, prod.yaml"),
    (("run", "--set", "train.epochs=none"), "key `train.epochs`"),
    (("run", "--recipe", "complaints-inf2"), "inf2: a run on this machine compiles and serves"),
    (("run", "--set", "compile.target=tpu"), "no `tpu` among sashiko.targets; allowed: cpu, "),
    (("run", "--set", "compile.auto_cast=all"), "key `compile.auto_cast`: target cpu"),
    (("run", "--set", "compile={quantization: int8, batch_sizes: [1], target: gpu}"),
     "key `compile.quantization`: target gpu"),
    (("run", "--set", "compile.quantization=int8"), "takes `batch_sizes: [1]`"),
    (("run", "--set", "compile.quantization=int4"), "Input should be 'none' or 'int8'"),
    (("run", "--set", "train.epoch=1"), "unknown key `train.epoch`; allowed: accum"),
    (("data", "check", "nothing.csv"), "nothing.csv does not exist"),
    (("contract", "check", "nothing.yaml"), "nothing.yaml does not exist"),
])  # fmt: skip
def test_bad_input_ends_with_one_error_and_status_1(arguments, expected):
    done = sashiko(*arguments)
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "command", ["env doctor", "env permissions", "env preflight", "env stage", "runs follow"]
)
def test_what_needs_an_account_refuses_this_machine_in_the_same_words(command):
    refused = CliRunner().invoke(app, [*command.split(), "--env", "local"])
    assert isinstance(refused.exception, InputError)
    assert "environment `local` is this machine: it has no account" in str(refused.exception)


def test_in_a_wrong_place_the_error_says_what_to_do(tmp_path):
    done = sashiko("run", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "error: config/base.yaml does not exist: run the command in the repository's root\n"
    )

    home = tmp_path / "home"
    done = sashiko("model", "list", "--home", str(home))
    assert done.returncode == 1
    assert "sashiko run" in done.stderr
    assert not home.exists()
    done = sashiko("new", tmp_path / "made", "--defaults", "--engine", "gone-1-py3-none-any.whl")
    assert (done.returncode, done.stderr) == (1, "error: gone-1-py3-none-any.whl does not exist\n")

    (tmp_path / "config").mkdir()
    (tmp_path / "config/base.yaml").touch()
    (tmp_path / "src/acme").mkdir(parents=True)
    done = sashiko("run", cwd=tmp_path / "src/acme")
    assert done.returncode == 1
    assert done.stderr.endswith(f"run the command in the repository's root: cd {tmp_path}\n")


@pytest.mark.slow
def test_a_step_that_the_pipeline_lacks_is_refused_before_data_are_made(tmp_path):
    home = tmp_path / "home"
    done = sashiko("run", "--from", "Nope", "--home", str(home))
    assert done.returncode == 1
    assert "--from Nope: the pipeline has no such step; it has: Snapshot," in done.stderr
    assert not (home / "lake").exists()
    assert not (home / "cache/generated").exists()
    assert not (home / "s3").exists()


def test_contract_check_prints_json_or_what_dqdl_cannot_say():
    done = sashiko("contract", "check", "contracts/census.odcs.yaml", "--json")
    assert done.returncode == 0, done.stderr
    output = json.loads(done.stdout)
    assert output["table"]
    assert 'IsComplete "row_id"' in output["dqdl"]
    assert "not what they are" in output["not_in_dqdl"]["loan: type string"]

    done = sashiko("contract", "check", "contracts/census.odcs.yaml")
    assert "50 expectations, 36 of them in DQDL too" in done.stdout
    assert done.stdout.count("ColumnDataType checks") == 1
    [message] = [line for line in done.stdout.splitlines() if "not in DQDL" in line]
    assert message.startswith("  not in DQDL, 14 rules (row_id: type integer, age: type integer, ")
    assert " and 11 more): ColumnDataType checks what values can be cast to" in message


def test_logs_are_those_of_the_step_and_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("sashiko.commands.runs._find", lambda _, run: tmp_path / (run or "newest"))
    record = SimpleNamespace(step=lambda _: SimpleNamespace(cached_from=None, status="done"))
    monkeypatch.setattr("sashiko.commands.runs.read_run", lambda _: record)
    log = tmp_path / "2026" / "logs" / "Train.log"
    log.parent.mkdir(parents=True)
    log.write_text("epoch 1\n")
    done = CliRunner().invoke(runs.app, ["logs", "Train", "2026"])
    assert done.stdout == "epoch 1\n", done.output


CHECKS = (
    Check(name="DI age=old", value=0.85, low=0.75, high=0.95, threshold=0.8, comparison=">=",
          passed=True),
    Check(name="DI age=young", value=0.95, low=0.9, high=0.99, threshold=0.8, comparison=">=",
          passed=True),
    Check(name="age=none", passed=True, judged=False, reason="0 rows in the test split"),
)  # fmt: skip


def test_the_lineage_counts_the_data_checks_that_passed_and_shows_the_others():
    failed = Check(name="key is unique", value=2, threshold=0, comparison="<=", passed=False)
    lines = [*gate_lines(decide(gate="data-quality", checks=[*CHECKS[:2], failed], inputs={}))]
    assert lines[0] == "data-quality: failed, 2 checks passed"
    assert lines[1:] == ["  failed  key is unique = 2, required <= 0"]
    assert len([*gate_lines(decide(gate="bias", checks=CHECKS, inputs={}))]) == 1 + len(CHECKS)


def test_without_templates_the_doctor_checks_the_rest_and_says_what_it_skips(tmp_path, monkeypatch):
    environments: list[object] = []
    for name in ("services.check_tools", "plan.examine_plan"):
        monkeypatch.setattr(f"sashiko.doctor.{name}", lambda *_, **__: iter(()))
    examine = lambda *given: iter(environments.append(given[2]) or ())  # noqa: E731 - a line is enough
    monkeypatch.setattr("sashiko.doctor.deploy.examine", examine)
    done = sashiko("env", "doctor", "--templates", tmp_path)
    assert (done.returncode, environments) == (0, [None])
    assert "Skipped: Lake Formation, endpoint services\n" in done.stdout
    assert "fix: make synth ENV=dev" in done.stdout


@pytest.mark.parametrize("step", ["Track", "DeviceCheck"])
def test_what_was_not_judged_and_what_spans_its_bound_stands_beside_the_outcome(tmp_path, step):
    store = Store(tmp_path)
    verdict = decide(gate="bias", checks=CHECKS, inputs={})
    write_verdict(verdict, store.path(f"s3://b/{step}") / "bias")
    outputs = {"verdicts": DataRecord(uri=f"s3://b/{step}", sha256="0" * 64)}
    record = RunRecord(
        id="run", pipeline="loans", status="blocked", start="2026-01-01T00:00:00+00:00",
        reason="the device gate closed",
        steps=(StepRecord(name=step, type="Processing", status="succeeded", outputs=outputs),),
    )  # fmt: skip
    lines = summary(record, store, None).splitlines()
    assert lines[1:] == [
        "the device gate closed",
        "passed, but its interval spans the bound: bias: DI age=old = 0.85 "
        "[0.75, 0.95], required >= 0.8",
        "not judged: bias: age=none: 0 rows in the test split",
    ]


def test_sigterm_ends_a_run_that_prepares_and_its_children(tmp_path, monkeypatch, capsys):
    def prepare(*_: Any, home: Path, **__: Any) -> None:
        """Does as the build of a definition does: it waits for a child."""
        subprocess.run(["sleep", "600"], env={"HOME": str(home)}, check=False)

    wait = subprocess.Popen.communicate

    def stopped_while_it_waits(child: Any, *arguments: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return wait(child, *arguments, **named)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(subprocess.Popen, "communicate", stopped_while_it_waits)
    monkeypatch.setattr("sashiko.commands.local_runs.run_locally", prepare)
    with pytest.raises(typer.Exit) as ended:
        run.run(home=tmp_path)
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert at_work(tmp_path) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_while_the_report_is_written_does_not_undo_the_run(tmp_path, monkeypatch, capsys):
    def interrupted(*_: Path, **__: bool) -> Path:
        raise KeyboardInterrupt

    record = RunRecord(id="run", pipeline="loans", status="failed", start="", steps=())
    monkeypatch.setattr(local_runs, "run_pipeline", lambda *_, **__: record)
    monkeypatch.setattr("sashiko.run_report.write_report", interrupted)
    options: Any = {"from_step": None, "command": "sashiko run"}
    assert local_runs.run_locally(None, None, home=tmp_path, **options) == (
        record,
        "failed: run run",
    )
    assert "`sashiko runs report` writes it" in capsys.readouterr().err


NOON = dt.datetime(2026, 3, 9, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(("text", "time"), [
    ("2026-03-09T12:00", NOON),
    ("2026-03-09T13:00+01:00", NOON),
    ("20260309T120000Z", NOON),
    ("2026-03-09", NOON.replace(hour=0)),
])  # fmt: skip
def test_a_time_is_in_utc_unless_it_names_a_zone(text: str, time: dt.datetime) -> None:
    assert parse_time(text, option="--now") == time


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01"])
def test_another_text_is_refused_with_the_option_and_an_example(text: str) -> None:
    with pytest.raises(InputError, match=f"--now {text}: .* such as 2026-03-09"):
        parse_time(text, option="--now")


def test_a_duration_is_in_days_or_hours() -> None:
    assert parse_duration("7d", option="--window") == dt.timedelta(days=7)
    assert parse_duration("36h", option="--window") == dt.timedelta(hours=36)


@pytest.mark.parametrize("text", ["", "7", "0d", "-1d", "1w", "99999d"])
def test_another_duration_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"--window {text}: expected days or hours"):
        parse_duration(text, option="--window")
