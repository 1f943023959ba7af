"""Which rows each process of a training takes, and what the hosts file of a job says."""

import numpy as np
import pytest

from sashiko.base.files import write_json
from sashiko.errors import InputError
from sashiko.training.launcher import read_hosts
from sashiko.training.processes import Processes


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
