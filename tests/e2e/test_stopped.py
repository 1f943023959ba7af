"""What stops a run half-way, what it leaves, and that the next run goes on from there."""

import signal
import sys

import pytest

from tests.e2e.project import RUN, Project, Story, finish, wait_for

pytestmark = pytest.mark.xdist_group("story")

BEFORE_TRAINING = {
    "Validate": "cached",
    "ValidateFacets": "cached",
    "Prepare": "cached",
    "PreBias": "cached",
    "Weights": "cached",
}


def test_ctrl_c_in_the_middle_of_the_training_ends_the_run(story: Story) -> None:
    assert story.stopped.returncode == 130
    run = story.runs[1]
    assert f"interrupted: run {run}" in story.stopped.stdout
    assert "the same command takes up where it left off" in story.stopped.stderr
    assert "Traceback" not in story.stopped.stderr
    record = story.project.run_record(run)
    assert (record["status"], record["reason"]) == ("interrupted", "stopped on request")
    assert story.project.statuses(run)["Train"] == "interrupted"


pytest.mark.skipif(sys.platform != "linux", reason="needs the parent-death signal")


def test_a_killed_run_is_closed_by_the_next_one(story: Story) -> None:
    assert story.killed.returncode == -signal.SIGKILL
    record = story.project.run_record(story.runs[0])
    assert (record["status"], record["reason"]) == ("interrupted", "killed")


pytest.mark.parametrize("how", ["killed", "stopped"])


def test_nothing_half_written_is_left_and_no_process(story: Story, how: str) -> None:
    assert story.left[how] == []


def test_the_next_run_takes_what_was_done_and_resumes_the_training(
    story: Story, registered: Project
) -> None:
    assert BEFORE_TRAINING.items() <= registered.statuses(story.runs[1]).items()
    assert BEFORE_TRAINING.items() <= registered.statuses(story.runs[2]).items()
    log = registered.home / "runs" / story.runs[2] / "logs/Train.log"
    assert "resuming after step" in log.read_text()
    assert not list(registered.home.glob("s3/*/checkpoints/**/*.safetensors"))


def test_a_training_that_was_killed_and_stopped_ends_with_the_same_bytes(
    story: Story, registered: Project
) -> None:
    """The training is run once more without a break; what follows is not of interest."""
    with registered.running(*RUN, "--from", "Train") as process:
        wait_for(
            lambda: (
                registered.runs()[-1] != story.runs[-1]
                and registered.statuses().get("Train") == "succeeded"
            ),
            process,
            "the end of the training",
        )
        process.send_signal(signal.SIGINT)
        assert finish(process).returncode == 130
    log = registered.home / "runs" / registered.runs()[-1] / "logs/Train.log"
    assert "resuming" not in log.read_text()
    unbroken = registered.step("Train")["outputs"]
    assert (
        unbroken["model"]["sha256"]
        == (registered.step("Train", run=story.runs[2])["outputs"]["model"]["sha256"])
    )
