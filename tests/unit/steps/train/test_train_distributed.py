"""The Train step by several processes on this CPU: what one process learns, whatever happens."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from sashiko.core.files import write_json
from tests.project_root import REPOSITORY
from tests.unit.training.tiny_job import (
    BAD,
    GOOD,
    PLAIN,
    TRAIN_ROWS,
    Job,
    Train,
    metric_lines,
    save_encoder,
    save_weights,
)
from tests.unit.training.tiny_llama import causal_hyperparameters, save_llama

_FAULTY = "tests.unit.steps.train.faulty_processes"
_SETTINGS = {"dropout": "0", "accumulation_steps": "3"}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path_factory.mktemp("base")
    if request.param == "llama":
        save_llama(folder, [" ".join(PLAIN), " ".join(GOOD), " ".join(BAD)])
    else:
        save_encoder(folder)
    return folder


def _several(root: Path, strategy: str, processes: int) -> None:
    """Lets a job train by several processes of this machine, on rows of different weights."""
    file = root / "input" / "config" / "hyperparameters.json"
    section = {"strategy": strategy, "nodes": 1, "processes": processes}
    write_json(file, json.loads(file.read_text()) | {"distributed": json.dumps(section)})
    hosts = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}
    write_json(file.with_name("resourceconfig.json"), hosts)


def _start(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OPT_ML": str(root), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", *command], env=environment, cwd=REPOSITORY, check=False,
        capture_output=True, text=True,
    )  # fmt: skip


def _jobs(job: Job, run: Train, **hyperparameters: str) -> tuple[Path, Path]:
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


@pytest.mark.parametrize("encoder", ["llama"], indirect=True)
def test_a_killed_rank_of_fsdp_resumes_from_the_shards_to_what_one_process_learns(
    job: Job, run: Train
) -> None:
    one, several = _jobs(job, run, **causal_hyperparameters(), max_length="64")
    _several(several, "fsdp", 2)
    ended = _start(several, _FAULTY, "10", str(int(signal.SIGKILL)))
    assert ended.returncode == 0, ended.stderr
    assert "a process was killed by signal 9" in ended.stderr
    assert "resuming after step 8" in ended.stderr
    _assert_same_training(several, one, weights="adapter_model.safetensors")
    for file in several.glob("listeners-*.json"):
        assert set(json.loads(file.read_text())) <= {"127.0.0.1", "::1"}


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["bert"], indirect=True)
def test_ddp_that_is_stopped_goes_on_with_another_number_of_processes(job: Job, run: Train) -> None:
    one, several = _jobs(job, run, calibration="temperature")
    _several(several, "ddp", 2)
    stopped = _start(several, _FAULTY, "6", str(int(signal.SIGTERM)))
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stderr
    saved = re.search(r"stopped after step (\d+)/16", stopped.stderr)
    assert saved, stopped.stderr
    assert not (several / "model").exists()
    _several(several, "ddp", 3)
    ended = _start(several, "sashiko.steps.train")
    assert ended.returncode == 0, ended.stderr
    assert f"resuming after step {saved[1]}\n" in ended.stderr
    _assert_same_training(several, one, weights="model.safetensors")
