"""A disk that is full, or may only be read: one message, nothing lost, the next run works."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from verification.faults.conftest import FULL, Ledger, Short, Undisturbed
from verification.faults.picture import check_store

_DISK_BYTES = 24_000_000


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[None]:
    """Mounts something at a folder; where that is not allowed, the test is left out."""
    process = subprocess.run(["mount", *options, str(place)], capture_output=True, check=False)
    if process.returncode:
        pytest.skip(f"mounting needs root: {process.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    """Lets a folder only be read, by root too."""
    with mounted(place, "--bind", str(place)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        yield


def one_message(text: str, *words: str) -> None:
    """Asserts that the message has all of the words and is not an internal fault."""
    assert "Traceback" not in text
    for word in words:
        assert word in text, text


@pytest.mark.parametrize("share", [n / 12 for n in range(12)] if FULL else [0.3])
def test_a_full_disk(
    tmp_path: Path, unregistered: Undisturbed, ledger: Ledger, share: float
) -> None:
    """The disk has room for a share of what the run writes."""
    home = tmp_path / "home"
    home.mkdir()
    with mounted(home, "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "none"):
        short = Short(home, unregistered.empty, registers=False)
        ballast = home / "s3/ballast"
        fill(ballast, leave=int(share * unregistered.bytes))
        failed = short.run()
        assert failed.status == 1, failed.err
        one_message(failed.err, "No space left on device; free some space and run again")
        ballast.unlink()
        check_store(home, unregistered.picture)
        short.comes_through(unregistered, ledger, "disk full")


def test_a_full_disk_while_a_version_is_registered(
    tmp_path: Path, undisturbed: Undisturbed, ledger: Ledger
) -> None:
    """All is cached but the registration, which stores the artifact and writes to its database."""
    home = tmp_path / "home"
    home.mkdir()
    with mounted(home, "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "none"):
        assert Short(home, undisturbed.empty, registers=False).run().status == 0
        short = Short(home, undisturbed.empty)
        ballast = home / "s3/ballast"
        fill(ballast, leave=700_000)
        failed = short.run()
        assert failed.status == 1, failed.err
        one_message(failed.err, "free some space and run again")
        ballast.unlink()
        check_store(home, undisturbed.picture)
        short.comes_through(undisturbed, ledger, "disk full")


@pytest.mark.parametrize("part", ["", "s3"], ids=["home", "store"])
def test_a_store_that_may_only_be_read(
    tmp_path: Path, unregistered: Undisturbed, ledger: Ledger, part: str
) -> None:
    short = Short(tmp_path / "home", unregistered.empty, registers=False)
    with read_only(short.home / part):
        failed = short.run()
        assert failed.status == 1, failed.err
        words = "Read-only file system; mount it for writing, or name a folder on another disk"
        one_message(failed.err, "cannot write", words)
        check_store(short.home, unregistered.picture)
    short.comes_through(unregistered, ledger, "read-only store")


def fill(ballast: Path, *, leave: int) -> None:
    """Fills the disk that a file lies on, but for some bytes."""
    ballast.parent.mkdir(parents=True, exist_ok=True)
    with ballast.open("wb", buffering=0) as handle, suppress(OSError):
        while handle.write(bytes(4096)):
            pass
    with ballast.open("r+b") as handle:
        handle.truncate(max(0, ballast.stat().st_size - leave))
