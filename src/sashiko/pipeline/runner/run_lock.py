"""One run at a time in a home folder."""

import fcntl
import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from sashiko.base.files import sweep_half_written, translate_disk_errors
from sashiko.errors import InputError


@contextmanager
def run_lock(home: Path, run_id: str) -> Iterator[None]:
    """Holds `<home>/run.lock` during the run; the system frees it when a run is killed.

    A holder removes its id when it ends. If the id is still there, the run was killed, and its
    half-written files are removed before anything is read.

    Raises:
        InputError: if another run holds it, naming its process and id, or it can't be written.
    """
    path = home / "run.lock"
    with ExitStack() as stack:
        stands = False
        while not stands:  # once more if `clean` removed the file after it was opened
            stack.close()
            with translate_disk_errors(f"cannot write to {home} (--home names another folder)"):
                home.mkdir(parents=True, exist_ok=True)
                # Unbuffered: a write that fails is not retried on close.
                handle = stack.enter_context(path.open("ab+", buffering=0))
                handle.seek(0)
            if not _lock(handle):
                raise InputError(f"{home}: {_describe(_read(path))}")
            with suppress(FileNotFoundError):
                stands = os.path.samestat(path.stat(), os.fstat(handle.fileno()))
        if handle.read():
            sweep_half_written(home)
        with translate_disk_errors(f"cannot write {path}"):
            handle.truncate(0)
            handle.write(json.dumps({"pid": os.getpid(), "run": run_id}).encode())
        try:
            yield
        finally:
            with suppress(OSError):
                handle.truncate(0)


def _lock(handle: IO[Any]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _describe(holder: Mapping[str, str]) -> str:
    if not holder:
        return "another run is at work here; wait for it to end"
    return (
        f"run {holder['run']} (process {holder['pid']}) is at work here; wait for it, or stop it "
        f"with `kill {holder['pid']}`"
    )


def interrupt_holder(home: Path, run: str | None) -> str:
    """Interrupts the run in a home folder, or only that of an id's beginning; returns its id.

    Raises:
        InputError: if no run or another one is active, or the process is another user's.
    """
    path = home / "run.lock"
    free = True
    if path.is_file():
        with path.open("a+") as handle:
            free = _lock(handle)
    if free:
        raise InputError(f"no run is at work in {home}")
    holder = _read(path)
    if not holder:  # it has the lock and has not written its id yet
        raise InputError(f"{home}: a run has just begun; run the command again")
    name, process = holder["run"], holder["pid"]
    if run is not None and not name.startswith(run):
        raise InputError(f"run {run} is not at work in {home}; run {name} is")
    try:
        os.kill(int(process), signal.SIGINT)
    except ProcessLookupError as error:
        raise InputError(f"run {name} has just ended") from error
    except PermissionError as error:
        raise InputError(f"run {name} (process {process}) is another user's") from error
    return name


def _read(path: Path) -> dict[str, str]:
    try:
        value = json.loads(path.read_text())
        return {"run": str(value["run"]), "pid": str(value["pid"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
