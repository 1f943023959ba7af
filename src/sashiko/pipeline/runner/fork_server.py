"""A process that has imported what steps need, and forks a process for each of them.

Imports take a run more processor time than most of its steps. The server imports packages, and what
most steps import of the engine: it reads no data, gets no variable of a single job, and runs no
step, so what a step reads stays in that step's process.

Forking is sound here because the server has one thread: it forks only while Python has no other,
and those of OpenBLAS and jemalloc, which start with an import, are ended and started again around a
fork by handlers of their own. Only on Linux: frameworks of macOS do not survive a fork.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_MODULE = "sashiko.pipeline.runner.fork_server"
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_LONGEST = 1 << 20  # bytes of a message
_PAUSE = 0.2  # seconds without a request, after which those that come together have come
# Variables of one job that no package reads while it is imported.
_READ_LATER = frozenset({
    "AWS_REGION", "MLFLOW_TRACKING_URI", "OPT_ML", "SERVING_IMAGE", "TMPDIR", "TRAINING_JOB_NAME",
})  # fmt: skip


class ForkServer:
    """The runner's end: asks for imports and processes; may be used from several threads.

    The other end is this module, run as a program. It ends with the thread that started it.
    """

    def __init__(
        self,
        *,
        guard: Sequence[str],
        environment: Mapping[str, str],
        imports: Sequence[str],
        later: Sequence[str],
    ) -> None:
        """Starts it, and has it import modules while nothing else is to do.

        `guard` are the words before a command that end it with this thread. The modules `later`
        have to wait for the first commands, which need none of them.
        """
        self._early = _early(environment)
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(*guard, sys.executable, "-m", _MODULE),
                    *(str(theirs.fileno()), ",".join(imports), ",".join(later)),
                ],
                pass_fds=[theirs.fileno()],
                # As `sashiko.training.machine` has it, which is read when torch is imported.
                env={"OMP_WAIT_POLICY": "PASSIVE", **self._early},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def import_early(self, imports: Sequence[str]) -> None:
        """Has modules imported as soon as nothing else is to do."""
        with contextlib.suppress(OSError):
            self._connection.send(json.dumps({"imports": imports}).encode())

    def start(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        folder: Path,
        log: Path,
        imports: Sequence[str],
    ) -> "Forked | None":
        """Starts a Python command, once `imports` are imported.

        None if it needs a start of its own: it is no Python of this environment, it has other
        variables that an import may read, or the server has ended.
        """
        first, second, *_ = *argv, "", ""
        is_python = first == sys.executable and (second == "-m" or second.endswith(".py"))
        if not is_python or _early(environment) != self._early:
            return None
        run = {"argv": argv, "env": dict(environment), "folder": str(folder), "log": str(log)}
        message = json.dumps({"imports": imports, "run": run}).encode()
        # Packets, as a status may follow the id before that is read.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.suppress(OSError):
            with theirs:
                socket.send_fds(self._connection, [message], [theirs.fileno()])
            if pid := int(ours.recv(32) or b"0"):
                return Forked(pid, ours)
        ours.close()
        return None

    def close(self) -> None:
        """Ends the server, and what it has forked."""
        self._process.kill()
        self._process.wait()
        self._connection.close()


@dataclass(eq=False)
class Forked:
    """A child of the server, with what the runner uses of `subprocess.Popen`."""

    pid: int
    _connection: socket.socket
    _status: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the end; returns the exit status, negative for a signal.

        Raises:
            TimeoutError: if it has not ended by then.
        """
        if self._status is None:
            self._connection.settimeout(timeout)
            # The kernel kills a child whose server is gone.
            self._status = int(self._connection.recv(32) or -signal.SIGKILL)
            self._connection.close()
        return self._status


def _early(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environment.items() if name not in _READ_LATER}


@dataclass
class _Server:
    """The server's end."""

    connection: socket.socket
    pending: list[str]  # modules to import while nothing else is to do
    later: list[str]  # more of them, once the first commands have started
    done: set[str] = field(default_factory=set)  # modules that were imported, or cannot be
    # Commands, with who waits for each: one whose modules are there need not wait for another's.
    requests: list[tuple[Mapping[str, Any], socket.socket]] = field(default_factory=list)
    # Handle of a child's process -> its id, and who waits for it.
    children: dict[int, tuple[int, socket.socket]] = field(default_factory=dict)
    started: bool = False  # whether a command has been

    def serve(self) -> Mapping[str, Any] | None:
        """Returns None when the runner is gone; in a child, what that has to run."""
        while True:
            patience = 0 if self.pending else _PAUSE if self.later and self.started else None
            patience = _PAUSE if self.requests else patience
            watched: list[Any] = [self.connection, *self.children]
            ready, *_ = select.select(watched, [], [], patience)
            for handle in self.children.keys() & set(ready):
                pid, waiting = self.children.pop(handle)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                os.close(handle)
                with waiting, contextlib.suppress(OSError):
                    waiting.send(str(status).encode())
            if self.connection in ready:
                message, handles, *_ = socket.recv_fds(self.connection, _LONGEST, 1)
                if not message:
                    return None
                request = json.loads(message)
                if handles:
                    self.requests.append((request, socket.socket(fileno=handles[0])))
                else:
                    self.later = [*request["imports"], *self.later]
            elif not ready and self.requests:
                for name in self.requests[0][0]["imports"]:
                    self._import(name)
            elif self.pending:
                self._import(self.pending.pop(0))
            elif not ready:
                self.pending, self.later = self.later, []
            if run := self._start_commands():
                return run

    def _start_commands(self) -> Mapping[str, Any] | None:
        """Forks for each command whose modules are there; returns it in its process."""
        for request, waiting in tuple(self.requests):
            if self.done.issuperset(request["imports"]):
                self.requests.remove((request, waiting))
                if self._fork(waiting):
                    run: Mapping[str, Any] = request["run"]
                    return run
        return None

    def _import(self, name: str) -> None:
        if name not in self.done:
            self.done.add(name)
            with contextlib.suppress(Exception):  # a step that needs it says itself what is wrong
                importlib.import_module(name)

    def _fork(self, waiting: socket.socket) -> bool:
        """Forks, and tells who waits the child's id, or 0; returns whether this is the child."""
        server, pid = os.getpid(), 0
        with contextlib.suppress(OSError):
            gc.freeze()  # a child that looks through what is shared would copy it
            if threading.active_count() == 1 and (pid := os.fork()) == 0:
                ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
                if os.getppid() != server:
                    os._exit(1)
                for other in (
                    self.connection,
                    waiting,
                    *(end for _, end in self.children.values()),
                    *(end for _, end in self.requests),
                ):
                    other.close()
                return True
        if pid:
            self.started = True
            os.setpgid(pid, pid)  # before the runner may signal the group
            self.children[os.pidfd_open(pid)] = pid, waiting
        with contextlib.suppress(OSError):
            waiting.send(str(pid).encode())
        return False


def _become(argv: Sequence[str], *, env: Mapping[str, str], folder: str, log: str) -> None:
    """Makes this process, a child, that of a command, and runs it."""
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    output = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    tempfile.tempdir = None  # a package may have asked for that of the server
    _, first, *rest = argv
    status: Any = 0
    try:
        if first == "-m":
            sys.argv, sys.path[0] = rest, folder
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[0] = [first, *rest], str(Path(first).parent)
            runpy.run_path(first, run_name="__main__")
    except SystemExit as error:
        status = 0 if error.code is None else error.code
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        status = 1
    _exit(status)


def _exit(status: Any) -> None:
    """Ends this process as Python does, but leaves its memory to the kernel.

    So does a fork of `multiprocessing`. To take the modules apart, one by one, copies the memory
    that is shared with the server: more than a second where MLflow and torch are imported.
    """
    if not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as at the end of Python
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed
            stream.flush()
    os._exit(status & 0xFF)


if __name__ == "__main__":
    # A child runs its command here, and not below `serve`, whose sockets are the server's.
    imports, later = (names.split(",") if names else [] for names in sys.argv[2:])
    if (
        work := _Server(socket.socket(fileno=int(sys.argv[1])), imports, later).serve()
    ) is not None:
        _become(**work)
