"""Child processes that never outlive the run: each one leads its own process group."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sashiko.base.files import translate_disk_errors
from sashiko.errors import InputError
from sashiko.pipeline.runner.fork_server import Forked, ForkServer

_POLL_SECONDS = 0.1
_LINUX = sys.platform == "linux"
# A child must not outlive the runner, even one that SIGKILL ends. Linux's kernel sees to it.
_GUARD = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""
# Elsewhere a process of the command's group, but not its child, waits until a pipe has no writer.
_WATCHING_GUARD = """
import os, signal, sys
pipe = int(sys.argv[1])
if (child := os.fork()) == 0:
    if os.fork():
        os._exit(0)
    os.closerange(0, 3)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.read(pipe, 1)
    os.killpg(0, signal.SIGKILL)
os.waitpid(child, 0)
os.close(pipe)
os.execvp(sys.argv[2], sys.argv[2:])
"""


class StoppedError(Exception):
    """The run is being stopped, so nothing new is started."""


@dataclass(frozen=True)
class Exit:
    """The end of a process: its exit status, negative for a signal, and whether it timed out."""

    status: int
    timed_out: bool


def usable_cores() -> int:
    """Returns how many cores this process may use."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


class Processes:
    """The children of one run; it may be used from several threads."""

    def __init__(self, cores: int) -> None:
        """Starts with no child, on that many cores."""
        self._cores = cores
        self._free = cores  # below 0 while a job that uses all began beside others
        self._all_used = False
        self._lock = threading.Condition()
        self._running: set[subprocess.Popen[bytes] | Forked] = set()
        self._stopping = False
        self._server: ForkServer | None = None
        # This process alone holds the end that is written to.
        self._pipe = () if _LINUX else os.pipe()

    def fork_early(
        self, *, environment: Mapping[str, str], imports: Sequence[str], later: Sequence[str] = ()
    ) -> None:
        """Starts a process that imports modules once; Python commands of this environment fork it.

        The modules `later` have to wait for the first commands, which need none of them.
        It ends with `close`, or with the thread that calls this. Only on Linux.
        """
        if _LINUX and self._server is None:
            with contextlib.suppress(OSError):
                guard = self._guarded(())
                self._server = ForkServer(
                    guard=guard, environment=environment, imports=imports, later=later
                )

    @contextmanager
    def cores(self, *, all_cores: bool, imports: Sequence[str] = ()) -> Iterator[None]:
        """Waits for a free core and holds it, or holds all.

        A job that uses all of them begins while others end, and none begins beside it: a training
        imports and reads in one thread for seconds, which short jobs beside it fill. While this
        waits, the process of `fork_early` comes to import the modules.

        Raises:
            StoppedError: if the run is being stopped.
        """
        count = self._cores if all_cores else 1

        def may_begin() -> bool:
            return self._stopping or (not self._all_used if all_cores else self._free > 0)

        with self._lock:
            if not may_begin() and self._server:
                self._server.import_early(imports)
            self._lock.wait_for(may_begin)
            if self._stopping:
                raise StoppedError
            self._free -= count
            self._all_used |= all_cores
        try:
            yield
        finally:
            with self._lock:
                self._free += count
                self._all_used &= not all_cores
                self._lock.notify_all()

    def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        log: Path,
        on_line: Callable[[str], None],
        max_seconds: float | None,
        imports: Sequence[str] = (),
    ) -> Exit:
        """Runs a command to its end; `on_line` gets the last line of its log from time to time.

        `imports` are modules that a Python command comes to import (`fork_early`).

        Raises:
            StoppedError: if the run is being stopped.
            InputError: if the command or the log's folder does not exist.
        """
        with translate_disk_errors(f"cannot write {log}"):
            log.parent.mkdir(parents=True, exist_ok=True)
            output = log.open("wb")
        with output:
            if shutil.which(argv[0], path=environment.get("PATH")) is None:
                raise InputError(f"the command `{argv[0]}` is not on this machine")
            process: subprocess.Popen[bytes] | Forked | None = None
            if server := self._server:
                process = server.start(argv, environment, folder=folder, log=log, imports=imports)
            with self._lock:
                if self._stopping:
                    if process:
                        _signal(process, signal.SIGKILL)
                    raise StoppedError
                if process is None:
                    with translate_disk_errors(f"cannot start {argv[0]}"):
                        process = subprocess.Popen(
                            self._guarded(argv),
                            pass_fds=self._pipe[:1],
                            env=dict(environment),
                            cwd=folder,
                            stdin=subprocess.DEVNULL,
                            stdout=output,
                            stderr=subprocess.STDOUT,
                            start_new_session=True,
                        )
                self._running.add(process)
        deadline = time.monotonic() + max_seconds if max_seconds else float("inf")
        size, timed_out = 0, False
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired, TimeoutError):
                    return Exit(status=process.wait(timeout=_POLL_SECONDS), timed_out=timed_out)
                if log.stat().st_size != size:
                    size = log.stat().st_size
                    on_line("".join(last_lines(log, 1)))
                if time.monotonic() > deadline:
                    timed_out = True
                    _signal(process, signal.SIGKILL)
        finally:
            _signal(process, signal.SIGKILL)  # the rest of its process group
            process.wait()
            with self._lock:
                self._running.discard(process)

    def stop_launching(self) -> None:
        """Starts no more children; the running ones continue."""
        with self._lock:
            self._stopping = True
            self._lock.notify_all()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Sends a signal to every child, and starts no more."""
        self.stop_launching()
        with self._lock:
            for process in self._running:
                _signal(process, number)

    def close(self) -> None:
        """Ends the process that imports for the others; they have ended."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        pipe, self._pipe = self._pipe, ()
        for end in pipe:
            os.close(end)

    def _guarded(self, argv: Sequence[str]) -> list[str]:
        guard, number = (_WATCHING_GUARD, self._pipe[0]) if self._pipe else (_GUARD, os.getpid())
        return [sys.executable, "-I", "-S", "-c", guard, str(number), *argv]


def last_lines(log: Path, count: int) -> list[str]:
    """Returns the last lines of a log that are not blank; a carriage return ends one too."""
    with contextlib.suppress(OSError), log.open("rb") as handle:
        handle.seek(max(0, log.stat().st_size - count * 2000))
        text = handle.read().decode(errors="replace").replace("\r", "\n")
        return [line for line in text.split("\n") if line.strip()][-count:]
    return []


def _signal(process: "subprocess.Popen[bytes] | Forked", number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
