"""Kills a run somewhere, as a machine that fails or a person would."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal, get_args

import psutil

Victim = Literal[
    "runner", "step", "runner and steps", "runner, about to write", "step, about to write"
]
KINDS: tuple[Victim, ...] = get_args(Victim)
_PATIENCE_SECONDS = 900  # a bound on a hang, not on a busy machine
_POLL_SECONDS = 0.005


@dataclass(frozen=True)
class Kill:
    """When and what to kill."""

    who: Victim
    seconds: float = 0.0  # after the start; a kill of a step waits for one to be at work
    name: str = ""  # `runner` or a step, which in place of a moment
    change: int = 0  # is killed before its n-th change of a file


@dataclass(frozen=True)
class Run:
    """How a command ended, and whether it was hit before it did."""

    status: int
    out: str
    err: str
    hit: bool
    seconds: float


def draw(random: Random, who: Victim, *, seconds: float, changes: Mapping[str, int]) -> Kill:
    """Draws a moment, uniformly.

    `seconds` is how long a run takes that nobody disturbs, `changes` how many changes of files the
    `runner` and each of some steps can die at.
    """
    if not who.endswith("about to write"):
        return Kill(who, seconds=random.uniform(0.0, seconds))
    name = who.partition(",")[0]
    # The last step is the one that is never taken from the cache.
    name = name if name == "runner" else random.choice([*changes, *[list(changes)[-1]] * 2][1:])
    return Kill(who, name=name, change=random.randint(1, changes[name]))


def run(command: Sequence[str | Path], *, home: Path, folder: Path, kill: Kill | None) -> Run:
    """Runs a command that works in `home`, kills what is to be killed, and waits for its end."""
    began = time.monotonic()
    with subprocess.Popen(
        list(map(str, command)),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            hit = kill is not None and not kill.change and _strike(process, home, kill)
            out, err = process.communicate(timeout=_PATIENCE_SECONDS)
        finally:
            process.kill()
    if kill and kill.change:
        hit = process.returncode == -signal.SIGKILL or "killed by SIGKILL" in err
    return Run(process.returncode, out, err, hit, time.monotonic() - began)


def at_work(home: Path, *, patience: float = 60) -> list[int]:
    """Returns the processes that work in a home folder, a moment after a kill."""
    deadline = time.monotonic() + patience
    while (pids := sorted(_working_in(home))) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return pids


def steps_at_work(home: Path) -> list[int]:
    """Returns the heads of the steps' process groups."""
    heads = []
    for pid in _working_in(home, variable="OPT_ML="):
        with suppress(ProcessLookupError):
            heads += [pid] if os.getpgid(pid) == pid else []
    return sorted(heads)


def python(*arguments: str | Path) -> tuple[str | Path, ...]:
    """Returns a command of this Python."""
    return (sys.executable, *arguments)


def _strike(process: "subprocess.Popen[str]", home: Path, kill: Kill) -> bool:
    _until(process, lambda: False, time.monotonic() + kill.seconds)
    if kill.who == "step":
        pids: list[int] = []
        _until(process, lambda: bool(pids.extend(steps_at_work(home)) or pids), None)
        return any(_kill(pid) for pid in pids[:1])
    if process.poll() is not None:
        return False
    steps = steps_at_work(home) if kill.who == "runner and steps" else []
    hit = _kill(process.pid)
    for pid in steps:
        _kill(pid)
    return hit


def _until(
    process: "subprocess.Popen[str]", happened: Callable[[], bool], deadline: float | None
) -> None:
    while process.poll() is None and not happened():
        if deadline is not None and time.monotonic() > deadline:
            return
        time.sleep(_POLL_SECONDS)


def _kill(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def _working_in(home: Path, variable: str = "") -> Iterator[int]:
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with suppress(psutil.Error, OSError):  # it has ended, or is not ours to read
            texts = [f"{name}={value}" for name, value in process.environ().items()]
            if not variable:
                texts += process.cmdline()
            if any(f"{variable}{home}" in text for text in texts):
                yield process.pid
