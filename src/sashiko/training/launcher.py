"""Starts the processes of a training on a node of a SageMaker job, or on this machine."""

import os
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # C classes
from torch.distributed.elastic.agent.server.api import WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.rendezvous import RendezvousInfo, RendezvousStoreInfo
from torch.distributed.elastic.rendezvous.static_tcp_rendezvous import StaticTCPRendezvous

from sashiko.base.files import read_json
from sashiko.errors import InputError
from sashiko.settings.recipe_train import DistributedSection
from sashiko.training.checkpoint import say

_PORT = 29400  # torchrun's own for nodes that look for each other
_START_UP = timedelta(minutes=15)  # for all nodes' containers to come up
_RESTARTS = 3
# SageMaker kills a stopped job 120 seconds after SIGTERM (StopTrainingJob, API Reference).
_SECONDS_TO_STOP = 110
_STOPS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Hosts:
    """The nodes of a training job, from SageMaker's hosts file."""

    names: tuple[str, ...]  # of all nodes, in the same order on each
    current: str  # the name of this one
    interface: str  # the network interface between nodes

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return len(self.names) > 1


def read_hosts(file: Path, *, nodes: int) -> Hosts:
    """Reads `resourceconfig.json`.

    "How Amazon SageMaker AI Provides Training Information", Developer Guide, has its keys.

    Raises:
        InputError: if it cannot be read, or has another number of nodes than the recipe.
    """
    content = read_json(file)
    try:
        hosts = Hosts(
            names=tuple(sorted(content["hosts"])),
            current=str(content["current_host"]),
            interface=str(content["network_interface_name"]),
        )
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{file}: expected hosts, current_host and network_interface_name, as SageMaker "
            f"writes them: {error}"
        ) from error
    if hosts.current not in hosts.names:
        raise InputError(f"{file}: current_host {hosts.current} is none of {hosts.names}")
    if len(hosts.names) != nodes:
        raise InputError(
            f"{file}: the job has {len(hosts.names)} instance(s), and train.distributed.nodes is "
            f"{nodes}: give the job as many (InstanceCount)"
        )
    return hosts


def is_worker() -> bool:
    """Returns whether this process was started by `launch`."""
    return "TORCHELASTIC_RUN_ID" in os.environ  # the elastic agent sets it


def launch(section: DistributedSection, *, hosts: Hosts, module: str) -> None:
    """Runs a module in this node's processes, and returns when all have ended well.

    A process that was killed (out of memory, a fault of its accelerator) ends the others. On a
    single node they then start again, up to three times, and resume from the last checkpoint. Of
    several nodes none has the others' shards on its disk: there the job ends, and the job that
    replaces it resumes from S3. `is_worker` tells the module that it is one of the processes.

    Raises:
        SystemExit: with the status of the process that failed, or of the signal that stopped them.
    """
    threads = os.environ.get("OMP_NUM_THREADS", "")
    share = max(1, int(threads) // section.processes) if threads.isdigit() else 1
    os.environ["OMP_NUM_THREADS"] = str(share)
    interface = hosts.interface if hosts.several else "lo"
    os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = interface
    for attempt in range(1 if hosts.several else 1 + _RESTARTS):
        spec = WorkerSpec(
            role="train",
            local_world_size=section.processes,
            rdzv_handler=_Rendezvous(hosts, attempt=attempt),
            entrypoint=sys.executable,
            args=("-m", module),
            max_restarts=0,
            monitor_interval=0.1,
        )
        with tempfile.TemporaryDirectory() as logs:
            try:
                result = _Agent(spec, DefaultLogsSpecs(log_dir=logs)).run()
            except SignalException as stop:
                sys.exit(128 + stop.sigval)
        if not result.is_failed():
            return
        codes = [failure.exitcode for failure in result.failures.values()]
        # By SIGTERM the agent ends the processes beside one that has failed.
        killed = [-code for code in codes if code < 0 and -code != signal.SIGTERM]
        stopped = [code for code in codes if code - 128 in _STOPS]
        if stopped or not killed:
            sys.exit(max(stopped or codes))
        say(f"a process was killed by signal {killed[0]}")
    sys.exit(128 + killed[0])


class _Agent(LocalElasticAgent):
    """Gives its processes as long to stop as SageMaker gives the job.

    torch 2.13 has an argument for it, and 2.9, in AWS's Neuron image, has none.
    """

    def _shutdown(
        self,
        death_sig: signal.Signals = signal.SIGTERM,
        timeout: int = 0,  # noqa: ARG002 - torch 2.13 passes its default
    ) -> None:
        if self._pcontext:
            self._pcontext.close(death_sig, _SECONDS_TO_STOP)


class _Rendezvous(StaticTCPRendezvous):
    """The nodes of a job, which are known from the start; the first one holds the store.

    torch's own handlers listen on every interface, and one of them unpickles what comes in. This
    store listens on the loopback address, or on that of the first node towards the others.
    """

    def __init__(self, hosts: Hosts, *, attempt: int) -> None:
        address = hosts.names[0] if hosts.several else "127.0.0.1"
        rank, count = hosts.names.index(hosts.current), len(hosts.names)
        super().__init__(address, _PORT, rank, count, f"attempt-{attempt}", _START_UP.seconds)

    def next_rendezvous(self) -> RendezvousInfo:
        address, port = self.master_addr, self.master_port
        if self.rank:
            store = TCPStore(address, port, is_master=False, timeout=_START_UP)
        else:
            listener = socket.create_server((address, port if self.world_size > 1 else 0))
            port = listener.getsockname()[1]
            store = TCPStore(
                address,
                port,
                is_master=True,
                timeout=_START_UP,
                wait_for_workers=False,
                multi_tenant=True,
                master_listen_fd=listener.detach(),
            )
        self._store = store
        place = RendezvousStoreInfo(address, port)
        return RendezvousInfo(PrefixStore(self.run_id, store), self.rank, self.world_size, place)
