"""Files damaged between two runs, out of memory, a clock set back."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from verification.faults.conftest import FULL, Ledger, Short, Undisturbed
from verification.faults.picture import check_store

_NO_MEMORY = """
limit = pathlib.Path({file!r})
if limit.exists():
    limit.unlink()
    {fault}
"""
_FAULTS = {
    "limit": "import resource; resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9)); "
    "print(len(bytes(10**10)))",
    "kernel": "os.kill(os.getpid(), signal.SIGKILL)",
}


def flip(file: Path) -> None:
    """Changes one bit of a file, and its time with it."""
    content = file.read_bytes()
    file.write_bytes(bytes([*content[:-9], content[-9] ^ 1, *content[-8:]]))


def flip_unseen(file: Path) -> None:
    """Changes one bit of a file and nothing else, as a disk may."""
    before = file.stat()
    flip(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(file: Path) -> None:
    """Leaves half of a file."""
    with file.open("r+b") as handle:
        handle.truncate(file.stat().st_size // 2)


@dataclass(frozen=True)
class Damage:
    """What is done to which files of a home, and what the next run says of it."""

    kind: str
    what: str
    damage: Callable[[Path], None]
    message: str


_CHANGED = "was changed: running again"
DAMAGES = (
    Damage("corrupted cache entry", "cache/steps/*.json", flip, "damaged: running again"),
    Damage("truncated cache entry", "cache/steps/*.json", cut, "damaged: running again"),
    Damage("truncated model file", "s3/b/models/*/output/model.tar.gz", cut, _CHANGED),
    Damage("flipped bit in an input", "s3/b/runs/*/Upper/out/part-1.txt", flip, _CHANGED),
    Damage("flipped bit in an input", "s3/b/runs/*/Upper/out/part-1.txt", flip_unseen, _CHANGED),
    Damage("lost input", "s3/b/runs/*/Upper/out/part-1.txt", Path.unlink, _CHANGED),
)


@pytest.mark.parametrize(
    "damage", DAMAGES if FULL else DAMAGES[::2], ids=lambda damage: damage.kind
)
def test_a_damaged_result_is_reported_and_made_again(
    tmp_path: Path, unregistered: Undisturbed, ledger: Ledger, damage: Damage
) -> None:
    short = Short(tmp_path / "home", unregistered.empty, registers=False)
    assert short.run().status == 0
    damaged = sorted(short.home.glob(damage.what))
    for file in damaged:
        damage.damage(file)
    rerun = short.run()
    assert damage.message in rerun.err
    assert "Traceback" not in rerun.err
    for file in damaged:  # what an earlier run wrote stays as it is: nothing refers to it now
        if "s3" in file.parts:
            shutil.rmtree(file.parent)
    short.comes_through(unregistered, ledger, damage.kind, last=rerun)


def test_a_registered_model_that_is_truncated_is_stored_again(
    tmp_path: Path, undisturbed: Undisturbed, ledger: Ledger
) -> None:
    """What refuses it until then, and says so, is `MlflowRegistry.download`."""
    short = Short(tmp_path / "home", undisturbed.empty)
    assert short.run().status == 0
    [artifact] = short.home.glob("mlartifacts/*/artifacts/model/model.tar.gz")
    cut(artifact)
    short.comes_through(undisturbed, ledger, "truncated model file")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory differ")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("limit", "there is not enough memory (MemoryError): close what else is at work"),
        ("kernel", "killed by SIGKILL; the machine may have run out of memory"),
    ],
)
def test_a_step_that_runs_out_of_memory(
    tmp_path: Path, unregistered: Undisturbed, ledger: Ledger, fault: str, words: str
) -> None:
    memory = tmp_path / "memory"
    memory.touch()
    code = _NO_MEMORY.format(file=str(memory), fault=_FAULTS[fault])
    short = Short(tmp_path / "home", unregistered.empty, registers=False, code=code)
    failed = short.run()
    assert failed.status == 1
    assert f"step Count failed: {words}" in failed.err
    check_store(short.home, unregistered.picture)
    short.comes_through(unregistered, ledger, "step killed for memory")


def test_a_clock_that_jumps_back_between_and_during_runs(
    tmp_path: Path, unregistered: Undisturbed, ledger: Ledger
) -> None:
    short = Short(tmp_path / "home", unregistered.empty, registers=False)
    first = short.run()
    back = short.run(clock="back")
    assert "Train: cached" in back.err
    assert back.out > first.out  # so that it is still the newest
    short.comes_through(unregistered, ledger, "clock that jumps back", last=back)
