"""`sashiko run` and `sashiko runs` of an account, as a person meets them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sashiko.aws.operations.runs import following
from sashiko.cli import app
from sashiko.commands import cloud_runs
from sashiko.errors import InputError
from sashiko.settings.environment import load_settings
from tests.unit.aws.operations.recorded_answers import Refusal
from tests.unit.aws.operations.runs.test_executions import (
    ARN,
    BEGAN,
    CLOSED,
    MADE,
    OPEN,
    TRAINED,
    TRAINS,
    Story,
    step,
)

RUNNING = ("Executing", [MADE, OPEN, TRAINS])
REGISTERED = ("Succeeded", [MADE, OPEN, TRAINED, step("Register", "Succeeded", minutes=1)])
BLOCKED = ("Failed", [MADE, CLOSED])
Tell = Callable[..., Story]


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Lets the command line see an account with one execution, which goes through states."""

    def told(*states: Any) -> Story:
        story = Story(*states)
        item = {
            "PipelineExecutionArn": ARN,
            "StartTime": BEGAN,
            "PipelineExecutionStatus": "Executing",
        }
        story.aws.answers |= {
            "GetCallerIdentity": {"Account": "111122223333", "Arn": "arn:aws:iam::1:user/ada"},
            "ListPipelineExecutions": {"PipelineExecutionSummaries": [item]},
            "StopPipelineExecution": {"PipelineExecutionArn": ARN},
        }
        monkeypatch.setattr(cloud_runs, "Account", lambda _: story.account)
        monkeypatch.setattr(cloud_runs, "start", lambda *_, **__: story.execution)
        monkeypatch.setattr(following.follow, "__kwdefaults__", {"pause": story.pauses.append})
        return story

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    return told


def sashiko(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--env", "dev"])


def test_a_run_that_registers_exits_with_0_and_says_what_comes_next(tell: Tell) -> None:
    tell(RUNNING, REGISTERED)
    done = sashiko("run")
    assert done.exit_code == 0, done.output
    assert done.stdout == (
        "registered: execution abc123def456 of sashiko-dev-loans\n"
        f"next: sashiko model list --env dev --recipe {load_settings('dev').recipe}\n"
    )
    assert f"started {ARN}" in done.stderr
    assert "Train: running" in done.stderr


def test_a_run_that_a_gate_blocks_exits_with_3_and_the_gates_words(tell: Tell) -> None:
    tell(RUNNING, BLOCKED)
    done = sashiko("run")
    assert done.exit_code == 3
    assert "step Gate: model-quality: auc 0.61 below 0.7" in done.stdout


def test_a_run_that_fails_exits_with_1(tell: Tell) -> None:
    failed = step("Make", "Failed", minutes=1, FailureReason="ClientError: no such image")
    tell(("Failed", [failed]))
    done = sashiko("run", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["steps"][0]["reason"] == "ClientError: no such image"


def test_ctrl_c_leaves_the_execution_going_and_says_how_to_follow_and_stop_it(tell: Tell) -> None:
    def interrupted() -> Any:
        raise KeyboardInterrupt

    story = tell(RUNNING)
    story.aws.answers["ListPipelineExecutionSteps"] = lambda _: interrupted()
    done = sashiko("run", "--recipe", "complaints")
    assert done.exit_code == 130
    assert "execution abc123def456 goes on\n" in done.stderr
    for hint in ("follow", "stop"):
        command = f"sashiko runs {hint} --env dev --recipe complaints abc123def456"
        assert command in done.stderr
    assert story.aws.asked("StopPipelineExecution") == []


def test_credentials_that_end_meanwhile_do_not_lose_the_execution(tell: Tell) -> None:
    tell(RUNNING, Refusal("ExpiredTokenException"))
    done = sashiko("run")
    assert isinstance(done.exception, InputError)
    assert "log in to that account" in str(done.exception)
    recipe = load_settings("dev").recipe
    assert f"sashiko runs follow --env dev --recipe {recipe} abc123def456" in done.stderr


def test_following_again_comes_to_the_same_end(tell: Tell) -> None:
    tell(RUNNING, BLOCKED)
    done = sashiko("runs", "follow", "abc")
    assert done.exit_code == 3
    assert "blocked" in done.stdout


def test_executions_are_listed_and_shown_as_local_runs_are(tell: Tell) -> None:
    tell(BLOCKED)
    assert sashiko("runs", "list").stdout == (
        "abc123def456  blocked      2026-11-25 10:00   720 s  sashiko-dev-loans\n"
    )
    shown = sashiko("runs", "show").stdout
    assert "  Make             succeeded    120.0 s\n" in shown
    assert shown.endswith("step Gate: model-quality: auc 0.61 below 0.7\n")
    (listed,) = json.loads(sashiko("runs", "list", "--json").stdout)
    assert listed == json.loads(sashiko("runs", "show", "abc123", "--json").stdout)


def test_a_steps_log_is_that_of_its_job(tell: Tell) -> None:
    story = tell(RUNNING)
    stream = {"logStreams": [{"logStreamName": "pipelines-abc-Train-1/algo-1"}]}
    pages = iter([["epoch 1", "epoch 2"], []])
    story.aws.answers |= {
        "DescribeLogStreams": stream,
        "GetLogEvents": lambda _: {
            "events": [{"message": line} for line in next(pages)],
            "nextForwardToken": "f/1",
        },
    }
    assert sashiko("runs", "logs", "Train").stdout == "epoch 1\nepoch 2\n"
    (first, _) = story.aws.asked("GetLogEvents")
    assert first["logStreamName"] == "pipelines-abc-Train-1/algo-1"


@pytest.mark.parametrize(
    ("step_", "told"),
    [("Gate", "step Gate of execution abc123def456 has no log"), ("Nothing", "has no step `Noth")],
)
def test_a_step_without_a_job_has_no_log(tell: Tell, step_: str, told: str) -> None:
    tell(RUNNING)
    done = sashiko("runs", "logs", step_)
    assert isinstance(done.exception, InputError)
    assert told in str(done.exception)


def test_an_execution_is_stopped_only_while_it_is_at_work(tell: Tell) -> None:
    story = tell(RUNNING)
    assert sashiko("runs", "stop").stdout == "asked execution abc123def456 to stop\n"
    (request,) = story.aws.asked("StopPipelineExecution")
    assert request["PipelineExecutionArn"] == ARN

    story = tell(REGISTERED)
    done = sashiko("runs", "stop")
    assert "is not at work: it is registered" in str(done.exception)
    assert story.aws.asked("StopPipelineExecution") == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--from", "Train"), "--from Train: a selective execution leaves out the gates"),
        (("--set", "train.epochs=2"), "--set train.epochs=2: an account runs the recipe"),
        (("--as-of", "yesterday"), "--as-of yesterday: expected an instant in UTC"),
    ],
)
def test_what_an_account_cannot_do_is_refused_before_any_call(
    tell: Tell, arguments: tuple[str, ...], told: str
) -> None:
    story = tell(REGISTERED)
    done = sashiko("run", *arguments)
    assert told in str(done.exception)
    assert story.aws.calls == []
