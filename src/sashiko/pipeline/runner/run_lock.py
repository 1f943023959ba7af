"""One run at a time in a home folder."""

import fcntl
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

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
    with _open_locked(home, path) as handle:
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


@contextmanager
def _open_locked(home: Path, path: Path) -> Iterator[FileIO]:
    """Opens and locks `path`; retries if `clean` removed the file after it was opened."""
    while True:
        with translate_disk_errors(f"cannot write to {home} (--home names another folder)"):
            home.mkdir(parents=True, exist_ok=True)
            handle = path.open("ab+", buffering=0)  # a write that fails is not retried on close
            handle.seek(0)
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(f"{home}: {_holder(path)}") from error
            if _stands(path, handle):
                yield handle
                return


def _stands(path: Path, handle: FileIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle.fileno()))
    except FileNotFoundError:
        return False


def interrupt_holder(home: Path, run: str | None) -> str:
    """Interrupts the run in a home folder, or only that of an id's beginning; returns its id.

    Raises:
        InputError: if no run or another one is active, or the process is another user's.
    """
    path = home / "run.lock"
    if path.is_file():
        with path.open("a+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return _interrupt(path, run)
    raise InputError(f"no run is at work in {home}")


def _interrupt(path: Path, run: str | None) -> str:
    holder = _read(path)
    if not holder:  # it has the lock and has not written its id yet
        raise InputError(f"{path.parent}: a run has just begun; run the command again")
    if run is not None and not holder["run"].startswith(run):
        raise InputError(f"run {run} is not at work in {path.parent}; run {holder['run']} is")
    try:
        os.kill(int(holder["pid"]), signal.SIGINT)
    except ProcessLookupError as error:
        raise InputError(f"run {holder['run']} has just ended") from error
    except PermissionError as error:
        raise InputError(
            f"run {holder['run']} (process {holder['pid']}) is another user's"
        ) from error
    return holder["run"]


def _holder(path: Path) -> str:
    holder = _read(path)
    if not holder:
        return "another run is at work here; wait for it to end"
    return (
        f"run {holder['run']} (process {holder['pid']}) is at work here; wait for it, or stop it "
        f"with `kill {holder['pid']}`"
    )


def _read(path: Path) -> dict[str, str]:
    try:
        value = json.loads(path.read_text())
        return {"run": str(value["run"]), "pid": str(value["pid"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
