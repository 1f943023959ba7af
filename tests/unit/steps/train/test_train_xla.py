"""The Train step on an XLA device: what one process learns on the CPU, whatever computes.

torch/XLA is AWS's Neuron image's alone. A stand-in with the names that are used takes its place in
each test run. The library itself, which has a CPU device too, is tried where `.venv-xla` has it:

    python3.12 -m venv .venv-xla
    .venv-xla/bin/pip install torch==2.9.0 torch_xla==2.9.0
    .venv-xla/bin/pip install --no-deps --require-hashes -r requirements/job.txt
    .venv-xla/bin/pip install psutil
"""

import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sashiko.training import xla
from sashiko.training.compute import collate
from tests.project_root import REPOSITORY
from tests.unit.steps.train.faulty_processes import spread
from tests.unit.training.tiny_job import TRAIN_ROWS, Job, Train, metric_lines, save_weights
from tests.unit.training.tiny_llama import causal_hyperparameters

BASE = "llama"  # for the fixture of jobs
_WITH_XLA = REPOSITORY / ".venv-xla/bin/python"
_AGENT = {"TORCHELASTIC_RUN_ID": "none", "RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4"}
# What torch_xla does for Neuron before its device is used (torch_xla/__init__.py, 2.9.0).
_NEURON_SETUP = """
import os
from sashiko.training.xla import xla_device
print(xla_device(local_rank=5).type)
from torch_xla._internal import neuron
neuron.configure_pjrt_environment()
neuron.NeuronPlugin().configure_single_process()
names = ("NEURON_RT_VISIBLE_CORES", "NEURON_PJRT_PROCESS_INDEX", "NEURON_PJRT_WORLD_SIZE")
print([os.environ.get(name) for name in names])
"""
needs_xla = pytest.mark.skipif(
    not _WITH_XLA.exists(), reason="torch_xla is in no .venv-xla; this file says how it gets there"
)


@pytest.fixture
def trained(job: Job, run: Train) -> tuple[Path, Path]:
    """A job that one process has trained on the CPU, and the same one before its training."""
    settings = {"dropout": "0", "accumulation_steps": "3", "max_length": "64"}
    one, other = (job(n, **settings, **causal_hyperparameters()) for n in ("one", "other"))
    for root in (one, other):
        save_weights(root / "input" / "data" / "weights", [0.5, 1.5] * (TRAIN_ROWS // 2))
    run(one)
    return one, other


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """torch_xla's names, with the CPU as its device."""
    module = types.ModuleType("torch_xla")
    vars(module).update(
        device=lambda: torch.device("cpu"), sync=lambda: None, manual_seed=torch.manual_seed
    )
    monkeypatch.setitem(sys.modules, "torch_xla", module)
    monkeypatch.setenv("PJRT_DEVICE", "CPU")
    monkeypatch.setenv("NEURON_RT_VISIBLE_CORES", "")
    return module


def _assert_same_training(one: Path, other: Path) -> None:
    pairs = zip(metric_lines(one), metric_lines(other), strict=True)
    for ours, theirs in pairs:
        assert ours == pytest.approx(theirs, abs=1e-5)
    adapters = [load_file(root / "model/adapter_model.safetensors") for root in (one, other)]
    assert adapters[0].keys() == adapters[1].keys()
    for name, values in adapters[0].items():
        torch.testing.assert_close(adapters[1][name], values, atol=1e-5, rtol=0)
    assert list((other / "checkpoints").iterdir()) == []


def test_the_device_computes_batches_of_one_shape_and_the_weights_become_the_same(
    trained, run, stand_in, monkeypatch
) -> None:
    one, other = trained
    shapes = []

    def record(*rows, **options):
        batch = collate(*rows, **options)
        shapes.append(tuple(batch.inputs["input_ids"].shape))
        return batch

    monkeypatch.setattr(xla, "collate", record)
    run(other)
    assert set(shapes) == {(3, 64), (64, 64)}  # a third of a batch of eight, and of validation
    assert os.environ["NEURON_RT_VISIBLE_CORES"] == "0"
    _assert_same_training(one, other)


def test_a_process_has_a_core_of_its_own_and_is_none_of_several_to_torch_xla(stand_in, monkeypatch):
    for name, value in _AGENT.items():
        monkeypatch.setenv(name, value)
    xla.xla_device(local_rank=1)
    assert os.environ["NEURON_RT_VISIBLE_CORES"] == "1"
    assert not _AGENT.keys() & os.environ.keys()


def _start(root: Path, *command: str) -> str:
    settings = {"OMP_NUM_THREADS": "1", "PJRT_DEVICE": "CPU", "PT_XLA_DEBUG_LEVEL": "1"}
    folders = {"OPT_ML": str(root), "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"}
    environment, command = os.environ | settings | folders, (_WITH_XLA, *command)
    ended = subprocess.run(
        command, check=False, env=environment, cwd=REPOSITORY, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout + ended.stderr


@needs_xla
@pytest.mark.slow
def test_torch_xla_itself_compiles_one_graph_to_train_and_one_to_score(trained) -> None:
    one, other = trained
    output = _start(other, "-m", "sashiko.steps.train")
    inputs = [line.split()[-1] for line in output.splitlines() if "Number of Graph Inputs" in line]
    assert len([count for count in inputs if count != "0"]) == 2, output
    _assert_same_training(one, other)


@needs_xla
@pytest.mark.slow
def test_two_processes_of_torch_xla_of_which_one_is_killed_learn_the_same(trained) -> None:
    one, other = trained
    spread(other, "ddp", 2)
    faulty = "tests.unit.steps.train.faulty_processes"
    output = _start(other, "-m", faulty, "10", str(int(signal.SIGKILL)))
    assert "resuming after step 8" in output
    _assert_same_training(one, other)


@needs_xla
@pytest.mark.slow
def test_torch_xlas_own_set_up_for_neuron_leaves_the_process_its_core(tmp_path, monkeypatch):
    for name, value in _AGENT.items():
        monkeypatch.setenv(name, value)
    assert _start(tmp_path, "-c", _NEURON_SETUP).splitlines()[:2] == ["xla", "['5', '0', None]"]
