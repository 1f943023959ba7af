"""Checkpoints of a training by several processes; here one process is a group of its own."""

import json
from pathlib import Path

import pytest
import torch
from torch import distributed

from sashiko.training.checkpoint import Position
from sashiko.training.processes import ShardedStore


@pytest.fixture(autouse=True)
def group():
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def _store(folder: Path, *, fingerprint: str = "a") -> ShardedStore:
    return ShardedStore(folder, fingerprint=fingerprint, job="job", rank=0, local_rank=0)


def _training() -> tuple[torch.nn.Linear, torch.optim.Optimizer]:
    model = torch.nn.Linear(4, 2)
    return model, torch.optim.AdamW(model.parameters())


def _save(folder: Path, *steps: int) -> None:
    """Saves checkpoints whose weights are the number of their step."""
    model, optimiser = _training()
    for step in steps:
        model.weight.data.fill_(step)
        _store(folder).save(Position(step=step), model, optimiser)


def _resumed(folder: Path, *, fingerprint: str = "a") -> tuple[int, float]:
    """Returns the step of a new process, and the value of its weights."""
    model, optimiser = _training()
    model.weight.data.fill_(0)
    position = _store(folder, fingerprint=fingerprint).load(model, optimiser)
    return position.step, float(model.weight.detach().unique())


def test_the_newest_checkpoint_is_resumed_and_two_are_kept(tmp_path):
    _save(tmp_path, 4, 8, 12)
    kept = [path.name for path in sorted(tmp_path.glob("job/*"))]
    assert kept == ["step-00000008", "step-00000012"]
    assert _resumed(tmp_path) == (12, 12.0)


def _flip_a_bit(folder: Path) -> None:
    (shard,) = folder.glob("*.safetensors")
    content = bytearray(shard.read_bytes())
    content[-6] ^= 1
    shard.write_bytes(content)


def _lose_a_shard(folder: Path) -> None:
    next(folder.glob("*.safetensors")).unlink()


def _add_a_shard(folder: Path) -> None:
    (shard,) = folder.glob("*.safetensors")
    (folder / "shard-00002-model-00001-of-00001.safetensors").write_bytes(shard.read_bytes())


def _cut_the_manifest(folder: Path) -> None:
    file = folder / "checkpoint.json"
    file.write_text(file.read_text()[:40])


def _change_the_fingerprint(folder: Path) -> None:
    file = folder / "checkpoint.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"fingerprint": "b"}))


@pytest.mark.parametrize(
    "damage", [_flip_a_bit, _lose_a_shard, _add_a_shard, _cut_the_manifest, _change_the_fingerprint]
)
def test_a_checkpoint_that_is_not_the_one_that_was_written_is_passed_over(tmp_path, damage):
    _save(tmp_path, 4, 8)
    damage(tmp_path / "job/step-00000008")
    assert _resumed(tmp_path) == (4, 4.0)


def test_a_checkpoint_of_other_settings_is_not_resumed(tmp_path):
    _save(tmp_path, 4)
    assert _resumed(tmp_path, fingerprint="b") == (0, 0.0)
