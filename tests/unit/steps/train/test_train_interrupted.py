"""The Train step, killed, stopped, or on a full disk: it resumes to the same bytes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sashiko.base.files import sha256_file, sha256_tree
from sashiko.errors import InputError
from sashiko.training.checkpoint import Position
from tests.full_disk import file_size_limit
from tests.unit.training.tiny_job import Job, Train, metric_lines


def _weights(root: Path) -> str:
    return sha256_file(root / "model" / "model.safetensors")


def _assert_same_training(one: Path, other: Path) -> None:
    assert sha256_tree(one / "model") == sha256_tree(other / "model")
    assert metric_lines(one) == metric_lines(other)


def _position(root: Path) -> Position:
    from safetensors import safe_open

    with safe_open(root / "checkpoints" / "checkpoint.safetensors", framework="pt") as file:
        return Position.model_validate_json(file.metadata()["position"])


@pytest.mark.parametrize("step", [2, 6, 8, 13])
def test_a_killed_training_resumes_to_the_same_bytes(job, run, at_step, capsys, step) -> None:
    whole, killed = job("whole"), job("killed")
    run(whole)
    at_step(step)
    with pytest.raises(MemoryError):
        run(killed)
    run(killed)
    resumed = (step - 1) // 4 * 4
    assert ("resuming" in capsys.readouterr().err) == (resumed > 0)
    _assert_same_training(killed, whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("step", [5, 8])
def test_a_signal_saves_a_checkpoint_at_the_next_step_and_leaves(job, run, at_step, number, step):
    whole, stopped = job("whole"), job("stopped")
    run(whole)
    at_step(step, lambda: signal.raise_signal(number))
    with pytest.raises(SystemExit) as left:
        run(stopped)
    assert left.value.code == 128 + number
    assert not (stopped / "model").exists()
    assert _position(stopped).step == step
    run(stopped)
    _assert_same_training(stopped, whole)


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_ignored(job, run, at_step, capsys):
    whole, other, damaged = job("whole"), job("other", seed="9"), job("damaged")
    run(whole)
    at_step(6)
    with pytest.raises(MemoryError):
        run(other)
    checkpoint = other / "checkpoints" / "checkpoint.safetensors"
    (damaged / "checkpoints").mkdir()
    (damaged / "checkpoints" / checkpoint.name).write_bytes(checkpoint.read_bytes()[:-50])
    run(damaged)
    assert "ignoring a damaged checkpoint" in capsys.readouterr().err
    assert _weights(damaged) == _weights(whole)

    (damaged / "checkpoints" / checkpoint.name).write_bytes(checkpoint.read_bytes())
    run(damaged)
    assert "ignoring a checkpoint of other" in capsys.readouterr().err
    assert _weights(damaged) == _weights(whole)


def _two_at_step_six_and_ten(root, run, monkeypatch, at_step, capsys) -> tuple[Path, Path]:
    """Kills two jobs on the same rows, one further than the other; a third is to come."""
    for name, step in (("one", 6), ("two", 10)):
        monkeypatch.setenv("TRAINING_JOB_NAME", name)
        at_step(step)
        with pytest.raises(MemoryError):
            run(root)
    capsys.readouterr()
    monkeypatch.setenv("TRAINING_JOB_NAME", "three")
    folder = root / "checkpoints"
    return folder / "one.safetensors", folder / "two.safetensors"


def test_two_jobs_at_once_keep_a_checkpoint_each(job, run, monkeypatch, at_step, capsys) -> None:
    whole, shared = job("whole"), job("shared")
    run(whole)
    first, second = _two_at_step_six_and_ten(shared, run, monkeypatch, at_step, capsys)
    assert first.is_file()
    assert second.is_file()
    run(shared)
    assert "resuming after step 8" in capsys.readouterr().err
    assert sha256_tree(shared / "model") == sha256_tree(whole / "model")
    assert list((shared / "checkpoints").iterdir()) == []


def test_the_furthest_checkpoint_that_can_be_read_is_taken(job, run, monkeypatch, at_step, capsys):
    shared = job("shared")
    _, second = _two_at_step_six_and_ten(shared, run, monkeypatch, at_step, capsys)
    second.write_bytes(second.read_bytes()[:-50])
    other = second.with_name("other.safetensors")
    other.write_bytes(b"of nobody that is known here")
    run(shared)
    stderr = capsys.readouterr().err
    assert "ignoring a damaged checkpoint" in stderr
    assert "resuming after step 4" in stderr
    assert set((shared / "checkpoints").iterdir()) == {second, other}


def test_a_full_disk_leaves_one_message_and_nothing_half_written(job, run, monkeypatch) -> None:
    root = job()
    with file_size_limit(20_000):
        with pytest.raises(InputError, match=r"cannot write .*checkpoint\.safetensors"):
            run(root)
        assert list((root / "checkpoints").iterdir()) == []
        monkeypatch.setattr("sashiko.training.checkpoint.CheckpointStore.save", lambda *_: None)
        with pytest.raises(InputError, match=r"cannot write the model to .*model"):
            run(root)
        assert list((root / "model").iterdir()) == []
        assert not list(root.glob(".tmp*"))


def test_a_process_killed_outright_resumes_to_the_same_bytes(job: Job, run: Train) -> None:
    whole, killed = job("whole"), job("killed")
    code = (
        "import os, signal\n"
        "from sashiko.steps import train\n"
        "from sashiko.training.loop import Loop\n"
        "step = Loop._step\n"
        "def act(self, rows, done, optimiser):\n"
        "    if done == 10: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return step(self, rows, done, optimiser)\n"
        "Loop._step = act; train.main()\n"
    )
    environment = os.environ | {"OPT_ML": str(killed), "OMP_NUM_THREADS": "1"}
    died = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert died.returncode == -signal.SIGKILL
    assert (killed / "checkpoints" / "checkpoint.safetensors").is_file()
    (killed / "checkpoints" / ".tmp-half").touch()  # as if it had been killed while it wrote one
    run(whole)
    run(killed)
    assert sha256_tree(killed / "model") == sha256_tree(whole / "model")
    assert list((killed / "checkpoints").iterdir()) == []
