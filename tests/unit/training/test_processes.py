"""Which rows each process of a training takes, and what the hosts file of a job says."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed

from sashiko.base.files import write_json
from sashiko.errors import InputError
from sashiko.training.checkpoint import Position
from sashiko.training.launcher import read_hosts
from sashiko.training.processes import Processes, ShardedStore


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [1, 4])
def test_each_row_of_a_batch_counts_once_and_all_take_equally_many_parts(world_size, count):
    for size in range(1, 20):
        rows = np.arange(100, 100 + size)
        shares = [
            list(Processes(rank=rank, world_size=world_size).parts(rows, count=count))
            for rank in range(world_size)
        ]
        counted = [row for share in shares for part, counts in share if counts for row in part]
        assert sorted(counted) == list(rows)
        assert len({len(share) for share in shares}) == 1
        assert all(len(part) for share in shares for part, _ in share)
        assert {counts for share in shares for _, counts in share} <= {0, world_size}


HOSTS = {"current_host": "algo-2", "hosts": ["algo-2", "algo-1"], "network_interface_name": "eth0"}


def test_nodes_have_one_order_whatever_the_order_of_their_file(tmp_path):
    write_json(tmp_path / "hosts.json", HOSTS)
    hosts = read_hosts(tmp_path / "hosts.json", nodes=2)
    assert (hosts.names, hosts.current) == (("algo-1", "algo-2"), "algo-2")


@pytest.mark.parametrize(
    ("change", "nodes", "message"),
    [
        ({}, 4, r"the job has 2 instance\(s\), and train.distributed.nodes is 4"),
        ({"current_host": "algo-9"}, 2, "current_host algo-9 is none of"),
        ({"hosts": None}, 2, "expected hosts, current_host and network_interface_name"),
    ],
)
def test_a_hosts_file_of_another_job_is_refused(tmp_path, change, nodes, message):
    write_json(tmp_path / "hosts.json", HOSTS | change)
    with pytest.raises(InputError, match=message):
        read_hosts(tmp_path / "hosts.json", nodes=nodes)


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
