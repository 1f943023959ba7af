"""A throwaway copy of the repository, small enough to run whole in a test."""

import csv
import json
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from sashiko.account.names import bucket_name
from sashiko.settings.environment import load_settings
from tests.unit.commands.in_process import sashiko

ROOT = Path.cwd()  # tests/conftest.py: with the samples
GROUP = "tiny-triage"
RUN = ("run", "--recipe", "tiny")
STRICT = "bias.gates=[{metric: DI, facet: customer_gender, minimum: 5, reason: a strict rule}]"
EXACT = "device.maximum_difference=1.0e-12"  # less than `tests.e2e.uneven` moves a score
PATIENCE_SECONDS = 400  # a bound on a hang, not on a busy machine
Attempt = subprocess.CompletedProcess[str]
_COMMAND = (sys.executable, "-c", "from sashiko.cli import main; main()")


@dataclass(frozen=True)
class Project:
    """A copy of the repository's files; the package is the installed one."""

    root: Path  # where commands run; the local state is `<root>/.sashiko`

    @property
    def home(self) -> Path:
        return self.root / ".sashiko"

    def sashiko(self, *arguments: str | Path, preexec: Callable[[], None] | None = None) -> Attempt:
        """Runs a command to its end, `preexec` before it."""
        # Python 3.11 takes a short write of a module's bytecode for a whole one, so a process that
        # cannot write large files would spoil the environment that the tests themselves run in.
        bytecode = {"PYTHONDONTWRITEBYTECODE": "1"} if preexec else {}
        return subprocess.run(
            [*_COMMAND, *map(str, arguments)], cwd=self.root, env=os.environ | bytecode,
            capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
            preexec_fn=preexec,
        )  # fmt: skip

    def call(self, *arguments: str | Path) -> Attempt:
        return sashiko(*arguments, cwd=self.root)

    @contextmanager
    def running(self, *arguments: str | Path) -> Iterator["subprocess.Popen[str]"]:
        """Starts a command; it is killed if the block leaves it running."""
        process = subprocess.Popen(
            [*_COMMAND, *map(str, arguments)], cwd=self.root, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def signal_while_training(self, number: int, *more: str) -> Attempt:
        """Starts a run, sends it a signal in the middle of its training, and waits for its end."""
        with self.running(*RUN, *more) as process:
            before = self._checkpoints()
            wait_for(
                lambda: bool(self._checkpoints() - before), process, "a checkpoint of the training"
            )
            process.send_signal(number)
            return finish(process)

    def _checkpoints(self) -> set[tuple[Path, int]]:
        checkpoints = self.home.glob("s3/*/checkpoints/tiny/*/*.safetensors")
        written = set()
        for path in checkpoints:
            with suppress(FileNotFoundError):  # removed meanwhile
                written.add((path, path.stat().st_mtime_ns))
        return written

    def runs(self) -> list[str]:
        """Returns the ids of all runs, oldest first."""
        return sorted(path.parent.name for path in self.home.glob("runs/*/run.json"))

    def run_record(self, run: str = "") -> dict[str, Any]:
        """Reads `run.json` of a run; of the newest one by default."""
        return json.loads((self.home / "runs" / (run or self.runs()[-1]) / "run.json").read_text())

    def step(self, name: str, *, run: str = "") -> dict[str, Any]:
        [record] = [step for step in self.run_record(run)["steps"] if step["name"] == name]
        return record

    def statuses(self, run: str = "") -> dict[str, str]:
        """Returns step name -> status; nothing before the first run."""
        if not self.runs():
            return {}
        return {step["name"]: step["status"] for step in self.run_record(run)["steps"]}

    def output(self, step: str, name: str, *, run: str = "") -> Path:
        uri = self.step(step, run=run)["outputs"][name]["uri"]
        return self.home / "s3" / uri.removeprefix("s3://")

    def versions(self) -> list[int]:
        """Returns the numbers of all registered versions, read without the command's help."""
        database = self.home / "mlflow.db"
        if not database.is_file():
            return []
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT version FROM model_versions ORDER BY version")
            return [int(version) for (version,) in rows]

    def at_work(self) -> list[str]:
        """Returns the processes that still work in the local state."""
        started = time.monotonic()
        while (alive := sorted(_working_in(self.home))) and time.monotonic() < started + 60:
            time.sleep(0.01)  # the kernel ends a killed run's children a moment later
        return alive

    def left_behind(self) -> list[str]:
        """Returns the processes that still work in the local state, and half-written files."""
        half = [
            str(path)
            for path in self.home.rglob("*")
            if path.name.startswith(".tmp-") and path.is_file()
        ]
        return self.at_work() + sorted(half)


@dataclass(frozen=True)
class Story:
    """What befell a project until its first version was registered, in this order."""

    project: Project
    stopped: Attempt  # a run that got a Ctrl-C in the middle of its training
    left: list[str]  # the processes and the half-written files that it left
    registered: Attempt  # a run that came to its end
    pid: int  # of its process
    refused: dict[str, Attempt]  # commands that were given while it was at work
    runs: list[str]  # the ids of the two runs


@dataclass(frozen=True)
class Refusals:
    """What a project refused, in this order."""

    project: Project
    full_disk: Attempt  # a run that could not write large files
    left: list[str]  # the processes and the half-written files that it left
    biased: Attempt  # a run with a bias gate that no model passes
    inexact: Attempt  # a run with a device gate that no two graphs pass
    versions: list[int]  # what was registered after these runs
    runs: list[str]  # the ids of the three runs


def no_large_files() -> None:
    """Makes a process and its children fail to write more than 100 kB into a file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))


def finish(process: "subprocess.Popen[str]") -> Attempt:
    """Waits for the end of a running command."""
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return Attempt(process.args, process.returncode, out, err)


def refuses(attempt: Attempt, *texts: str) -> None:
    """Holds that a command ended with one error that says all of the texts."""
    assert (attempt.returncode, attempt.stdout) == (1, ""), attempt.stderr
    assert "Traceback" not in attempt.stderr
    assert attempt.stderr.count("error: ") == 1
    message = attempt.stderr.partition("error: ")[2]
    for text in texts:
        assert text in message


def bucket() -> str:
    return bucket_name(load_settings("local", folder=ROOT / "config"), "artifacts")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], *, encoding: str = "utf-8") -> Path:
    """Writes rows as a CSV file; a null is an empty field."""
    with path.open("w", encoding=encoding, newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def wait_for(happened: Callable[[], bool], process: "subprocess.Popen[str]", what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        if process.poll() is not None:
            raise AssertionError(f"it ended before {what}:\n{process.communicate()[1]}")
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)


def _working_in(home: Path) -> Iterator[str]:
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with suppress(psutil.Error, OSError):  # it has ended, or is not ours to read
            command = " ".join(process.cmdline())
            if any(str(home) in text for text in (command, *process.environ().values())):
                yield command
