"""The Train step by several processes, one of which is killed or stopped at a step.

    python -m tests.unit.steps.train.faulty_processes <step> <signal>

The second process kills itself, or stops the launcher as SageMaker stops a job. It happens once.
Each process notes on which addresses it listens, and its launcher.
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from sashiko.base.files import read_json, write_json
from sashiko.base.job_folders import hosts_file, hyperparameters_file, opt_ml
from sashiko.settings.recipe_train import Hyperparameters
from sashiko.steps import train
from sashiko.steps.entry import run_step
from sashiko.training.launcher import is_worker, launch, read_hosts
from sashiko.training.loop import Loop

_STEP = Loop._step


def spread(
    root: Path,
    strategy: str,
    processes: int,
    *,
    nodes: Sequence[str] = ("algo-1",),
    current: str = "algo-1",
    interface: str = "eth0",
) -> None:
    """Lets a job train by so many processes of each node."""
    file = root / "input" / "config" / "hyperparameters.json"
    section = {"strategy": strategy, "nodes": len(nodes), "processes": processes}
    write_json(file, json.loads(file.read_text()) | {"distributed": json.dumps(section)})
    hosts = {"current_host": current, "hosts": list(nodes), "network_interface_name": interface}
    write_json(file.with_name("resourceconfig.json"), hosts)


def _note_listeners(rank: int) -> None:
    """Writes the addresses on which this process and its launcher wait for connections."""
    addresses = {
        connection.laddr.ip
        for process in (psutil.Process(), psutil.Process().parent())
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    (opt_ml() / f"listeners-{rank}.json").write_text(json.dumps(sorted(addresses)))


def _add_fault(step: int, number: int) -> None:
    done = opt_ml() / "faulted"

    def act(self, rows, before, optimiser):
        loss = _STEP(self, rows, before, optimiser)
        if before == 0:
            _note_listeners(self.processes.rank)
        if self.processes.rank == 1 and before + 1 == step and not done.exists():
            done.touch()
            os.kill(os.getpid() if number == signal.SIGKILL else os.getppid(), number)
        return loss

    Loop._step = act


def main() -> None:
    step, number = sys.argv[1:3] if not is_worker() else os.environ["FAULT"].split()
    if is_worker():
        sys.argv = ["train"]
        _add_fault(int(step), int(number))
        train.main()
        return
    os.environ["FAULT"] = f"{step} {number}"
    settings = Hyperparameters.model_validate(read_json(Path(hyperparameters_file())))
    hosts = read_hosts(hosts_file(), nodes=settings.distributed.nodes)
    launch(settings.distributed, hosts=hosts, module="tests.unit.steps.train.faulty_processes")


if __name__ == "__main__":
    run_step(main)
