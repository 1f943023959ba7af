"""`sashiko run` and `sashiko runs` of an account, as a person meets them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sashiko.cli import app
from sashiko.commands import cloud_runs
from sashiko.errors import InputError
from sashiko.pipeline.cloud.executions import follow
from sashiko.settings.environment import load_settings
from tests.unit.account.fake_account import Refusal
from tests.unit.pipeline.cloud import test_executions as cloud

RUNNING = ("Executing", [cloud.MADE, cloud.OPEN, cloud.TRAINS])
REGISTERED = (
    "Succeeded",
    [cloud.MADE, cloud.OPEN, cloud.TRAINED, cloud.step("Register", "Succeeded", minutes=1)],
)
BLOCKED = ("Failed", [cloud.MADE, cloud.CLOSED])
Script = Callable[..., cloud.ScriptedExecution]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Lets the command line see an account with one execution, which goes through states."""

    def script(*states: Any) -> cloud.ScriptedExecution:
        execution = cloud.ScriptedExecution(*states)
        item = {
            "PipelineExecutionArn": cloud.ARN,
            "StartTime": cloud.BEGAN,
            "PipelineExecutionStatus": "Executing",
        }
        execution.aws.answers |= {
            "GetCallerIdentity": {"Account": "111122223333", "Arn": "arn:aws:iam::1:user/ada"},
            "ListPipelineExecutions": {"PipelineExecutionSummaries": [item]},
            "StopPipelineExecution": {"PipelineExecutionArn": cloud.ARN},
        }
        monkeypatch.setattr(cloud_runs, "Account", lambda _: execution.account)
        monkeypatch.setattr(cloud_runs, "start", lambda *_, **__: execution.execution)
        monkeypatch.setattr(follow, "__kwdefaults__", {"pause": execution.pauses.append})
        return execution

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    return script


def sashiko(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--env", "dev"])


def test_the_version_of_the_data_and_the_recipe_reach_the_execution(script: Script, monkeypatch):
    execution = script(RUNNING, REGISTERED)
    starts: list[tuple[Any, dict[str, Any]]] = []

    def start(*arguments: Any, **options: Any) -> Any:
        starts.append((arguments, options))
        return execution.execution

    monkeypatch.setattr(cloud_runs, "start", start)
    assert sashiko("run", "--as-of", "20261101T000000Z").exit_code == 0
    [((settings, recipe), options)] = starts
    assert (settings.environment, recipe.name) == ("dev", load_settings("dev").recipe)
    assert options["as_of"] == "20261101T000000Z"


def test_a_run_that_registers_exits_with_0_and_says_what_comes_next(script: Script) -> None:
    script(RUNNING, REGISTERED)
    done = sashiko("run")
    assert done.exit_code == 0, done.output
    assert done.stdout == (
        "registered: execution abc123def456 of sashiko-dev-loans\n"
        f"next: sashiko model list --env dev --recipe {load_settings('dev').recipe}\n"
    )
    assert f"started {cloud.ARN}" in done.stderr
    assert "Train: running" in done.stderr


def test_a_run_that_a_gate_blocks_exits_with_3_and_the_gates_words(script: Script) -> None:
    script(RUNNING, BLOCKED)
    done = sashiko("run")
    assert done.exit_code == 3
    assert "step Gate: model-quality: auc 0.61 below 0.7" in done.stdout


def test_a_run_that_fails_exits_with_1(script: Script) -> None:
    failed = cloud.step("Make", "Failed", minutes=1, FailureReason="ClientError: no such image")
    script(("Failed", [failed]))
    done = sashiko("run", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["steps"][0]["reason"] == "ClientError: no such image"


def test_ctrl_c_leaves_the_execution_going_and_says_how_to_follow_and_stop_it(script: Script):
    def interrupted() -> Any:
        raise KeyboardInterrupt

    scripted = script(RUNNING)
    scripted.aws.answers["ListPipelineExecutionSteps"] = lambda _: interrupted()
    done = sashiko("run", "--recipe", "complaints")
    assert done.exit_code == 130
    assert "execution abc123def456 continues\n" in done.stderr
    for hint in ("follow", "stop"):
        command = f"sashiko runs {hint} --env dev --recipe complaints abc123def456"
        assert command in done.stderr
    assert scripted.aws.requests("StopPipelineExecution") == []


def test_credentials_that_end_meanwhile_do_not_lose_the_execution(script: Script) -> None:
    script(RUNNING, Refusal("ExpiredTokenException"))
    done = sashiko("run")
    assert isinstance(done.exception, InputError)
    assert "log in to that account" in str(done.exception)
    recipe = load_settings("dev").recipe
    assert f"sashiko runs follow --env dev --recipe {recipe} abc123def456" in done.stderr


def test_following_again_comes_to_the_same_end(script: Script) -> None:
    script(RUNNING, BLOCKED)
    done = sashiko("runs", "follow", "abc")
    assert done.exit_code == 3
    assert "blocked" in done.stdout


def test_executions_are_listed_and_shown_as_local_runs_are(script: Script) -> None:
    script(BLOCKED)
    assert sashiko("runs", "list").stdout == (
        "abc123def456  blocked      2026-11-25 10:00   720 s  sashiko-dev-loans\n"
    )
    shown = sashiko("runs", "show").stdout
    assert "  Make             succeeded    120.0 s\n" in shown
    assert shown.endswith("step Gate: model-quality: auc 0.61 below 0.7\n")
    (record,) = json.loads(sashiko("runs", "list", "--json").stdout)
    assert record == json.loads(sashiko("runs", "show", "abc123", "--json").stdout)


def test_a_steps_log_is_that_of_its_job(script: Script) -> None:
    scripted = script(RUNNING)
    stream = {"logStreams": [{"logStreamName": "pipelines-abc-Train-1/algo-1"}]}
    pages = iter([["epoch 1", "epoch 2"], []])
    scripted.aws.answers |= {
        "DescribeLogStreams": stream,
        "GetLogEvents": lambda _: {
            "events": [{"message": line} for line in next(pages)],
            "nextForwardToken": "f/1",
        },
    }
    assert sashiko("runs", "logs", "Train").stdout == "epoch 1\nepoch 2\n"
    (first, _) = scripted.aws.requests("GetLogEvents")
    assert first["logStreamName"] == "pipelines-abc-Train-1/algo-1"


@pytest.mark.parametrize(
    ("step_", "message"),
    [("Gate", "step Gate of execution abc123def456 has no log"), ("Nothing", "has no step `Noth")],
)
def test_a_step_without_a_job_has_no_log(script: Script, step_: str, message: str) -> None:
    script(RUNNING)
    done = sashiko("runs", "logs", step_)
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)


def test_an_execution_is_stopped_only_while_it_is_at_work(script: Script) -> None:
    scripted = script(RUNNING)
    assert sashiko("runs", "stop").stdout == "stopping execution abc123def456\n"
    (request,) = scripted.aws.requests("StopPipelineExecution")
    assert request["PipelineExecutionArn"] == cloud.ARN

    scripted = script(REGISTERED)
    done = sashiko("runs", "stop")
    assert "is not running: it is registered" in str(done.exception)
    assert scripted.aws.requests("StopPipelineExecution") == []


@pytest.mark.parametrize(("arguments", "message"), [
    (("--source", "abc"), "--source abc: it goes with --from in an account"),
    (("--set", "train.epochs=2"), "--set train.epochs=2: an account runs the recipe"),
    (("--as-of", "yesterday"), "--as-of yesterday: expected an instant in UTC"),
])  # fmt: skip
def test_what_an_account_cannot_do_is_refused_before_any_call(script, arguments, message):
    scripted = script(REGISTERED)
    done = sashiko("run", *arguments)
    assert message in str(done.exception)
    assert scripted.aws.calls == []
