"""The Train step by several processes on this CPU: what one process learns, whatever happens."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.project_root import REPOSITORY
from tests.unit.steps.train.faulty_processes import spread
from tests.unit.training.tiny_job import TRAIN_ROWS, Job, Train, metric_lines, save_weights
from tests.unit.training.tiny_llama import causal_hyperparameters

_TRAIN = "sashiko.steps.train"
_FAULTY = "tests.unit.steps.train.faulty_processes"
_KILL = str(int(signal.SIGKILL))
_NODES = ["127.0.0.1", "127.0.0.2"]
_SETTINGS = {"dropout": "0", "accumulation_steps": "3"}


def _start(*roots: Path, command: tuple[str, ...]) -> list[tuple[int, str]]:
    """Runs a command on each node at once, and returns their statuses and errors."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", *command],
            env=os.environ | {"OPT_ML": str(root), "OMP_NUM_THREADS": "1"},
            cwd=REPOSITORY,
            stderr=subprocess.PIPE,
            text=True,
        )
        for root in roots
    ]
    outputs = [process.communicate()[1] for process in started]
    return [(process.returncode, text) for process, text in zip(started, outputs, strict=True)]


def _jobs(job: Job, run: Train, **hyperparameters: Any) -> tuple[Path, Path]:
    """Returns a job that one process has trained, and the same one before its training."""
    one, several = (job(name, **_SETTINGS, **hyperparameters) for name in ("one", "several"))
    for root in (one, several):
        save_weights(root / "input" / "data" / "weights", [0.5, 1.5] * (TRAIN_ROWS // 2))
    run(one)
    return one, several


def _assert_same_training(several: Path, one: Path, *, weights: str) -> None:
    lines, expected = metric_lines(several), metric_lines(one)
    assert [line["step"] for line in lines] == [line["step"] for line in expected]
    for key in ("train_loss", "validation_loss"):
        values = [line[key] for line in lines if line[key] is not None]
        others = [line[key] for line in expected if line[key] is not None]
        assert values == pytest.approx(others, abs=1e-4)
    ours, theirs = (load_file(root / "model" / weights) for root in (several, one))
    assert ours.keys() == theirs.keys()
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in theirs) < 1e-4
    assert list((several / "checkpoints").iterdir()) == []


def _shards(folder: Path) -> list[str]:
    """The names of the newest checkpoint's shards in a folder."""
    newest = max(folder.glob("*/step-*"))
    return sorted(path.name.partition("-model")[0] for path in newest.glob("shard-*"))


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["llama"], indirect=True)
def test_a_killed_rank_of_fsdp_resumes_from_the_shards_to_what_one_process_learns(job, run) -> None:
    one, several = _jobs(job, run, **causal_hyperparameters(), max_length="64")
    spread(several, "fsdp", 2)
    ((status, output),) = _start(several, command=(_FAULTY, "10", _KILL))
    assert status == 0, output
    assert "a process was killed by signal 9" in output
    assert "resuming after step 8" in output
    _assert_same_training(several, one, weights="adapter_model.safetensors")
    for file in several.glob("listeners-*.json"):
        assert set(json.loads(file.read_text())) <= {"127.0.0.1", "::1"}


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["bert"], indirect=True)
@pytest.mark.parametrize("label", [{"calibration": "temperature"}, {"is_number": True}], ids=str)
def test_ddp_that_is_stopped_goes_on_as_fsdp_by_another_number_of_processes(
    job, run, label: dict[str, Any]
) -> None:
    one, several = _jobs(job, run, **label)
    spread(several, "ddp", 2)
    ((status, output),) = _start(several, command=(_FAULTY, "6", str(int(signal.SIGTERM))))
    assert status == 128 + signal.SIGTERM, output
    saved = re.search(r"stopped after step (\d+)/16", output)
    assert saved, output
    assert not (several / "model").exists()
    spread(several, "fsdp", 3)
    ((status, output),) = _start(several, command=(_TRAIN,))
    assert status == 0, output
    assert f"resuming after step {saved[1]}\n" in output
    _assert_same_training(several, one, weights="model.safetensors")
    if label.get("is_number"):
        half, other = (json.loads((root / "model/number.json").read_text())["half_width"]
                       for root in (several, one))  # fmt: skip
        assert half == pytest.approx(other, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["bert"], indirect=True)
def test_a_job_that_lost_a_node_is_replaced_by_one_that_gets_the_shards_of_both(job, run) -> None:
    one, first = _jobs(job, run)
    second = job("second", **_SETTINGS)
    save_weights(second / "input" / "data" / "weights", [0.5, 1.5] * (TRAIN_ROWS // 2))
    for root, name in zip((first, second), _NODES, strict=True):
        spread(root, "fsdp", 1, nodes=_NODES, current=name, interface="lo")
    lost = _start(first, second, command=(_FAULTY, "10", _KILL))
    assert all(status for status, _ in lost), lost
    checkpoints = [root / "checkpoints" for root in (first, second)]
    assert [_shards(folder) for folder in checkpoints] == [["shard-00001"], ["shard-00002"]]
    # SageMaker copies what each node has written to one prefix, and all of it to the next job.
    for source, target in (checkpoints, reversed(checkpoints)):
        shutil.copytree(source, target, dirs_exist_ok=True)
    ended = _start(first, second, command=(_TRAIN,))
    assert [status for status, _ in ended] == [0, 0], ended
    assert "resuming after step 8\n" in ended[0][1]
    _assert_same_training(first, one, weights="model.safetensors")
    assert not (second / "model").exists()
    assert list((second / "checkpoints").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["bert"], indirect=True)
def test_bad_input_ends_all_processes_with_its_message_and_starts_none_again(job: Job) -> None:
    root = job(frozen_layers="3")
    spread(root, "ddp", 2)
    ((status, output),) = _start(root, command=(_TRAIN,))
    message = "train.frozen_layers is 3, model type `bert` has 2 layers: set it to at most 2"
    assert status == 1, output
    assert (root / "output" / "failure").read_text() == f"{message}\n"
    assert output.count(f"error: {message}") <= 2
