"""How long a run takes, step by step, and how much memory: a first run and an unchanged second one.

    python -m verification.benchmarks.run_steps --recipe complaints

Uses a home of its own, so the first run downloads, loads and computes everything. Memory is the
resident size of the whole process tree, sampled five times a second.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from sashiko.pipeline.runner.record import RunRecord, read_run
from verification.benchmarks.runs import SASHIKO, machine

_SAMPLE_SECONDS = 0.2


@dataclass(frozen=True)
class TimedStep:
    """A run: its record, the seconds of the whole command, and the peak memory in MB."""

    record: RunRecord
    seconds: float
    peak_mb: float


def main() -> None:
    """Prints a Markdown table on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", required=True, help="a recipe's name")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as folder:
        first, second = (run(arguments.recipe, home=Path(folder)) for _ in range(2))
    print(f"`{arguments.recipe}` on {machine()}: the first run, and an unchanged second one.\n")
    print("| step | first, s | second, s |\n|---|---|---|")
    for step in first.record.steps:
        if step.type in ("Processing", "Training"):
            print(f"| {step.name} | {_seconds(first, step.name)} | {_seconds(second, step.name)} |")
    print(f"| **the whole command** | **{first.seconds:.0f}** | **{second.seconds:.0f}** |")
    print(f"| peak memory, MB | {first.peak_mb:.0f} | {second.peak_mb:.0f} |")


def run(recipe: str, *, home: Path) -> TimedStep:
    """Runs the command and watches its memory."""
    start = time.monotonic()
    process = subprocess.Popen(
        [SASHIKO, "run", "--recipe", recipe, "--home", str(home)], stdout=subprocess.DEVNULL
    )
    peak = [0.0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
    watcher.start()
    status = process.wait()
    if status not in (0, 3):
        sys.exit(f"error: sashiko run ended with status {status}")
    folder = max((home / "runs").iterdir())
    return TimedStep(record=read_run(folder), seconds=time.monotonic() - start, peak_mb=peak[0])


def _watch(pid: int, peak: list[float]) -> None:
    while psutil.pid_exists(pid):
        try:
            root = psutil.Process(pid)
            tree = [root, *root.children(recursive=True)]
            peak[0] = max(peak[0], sum(item.memory_info().rss for item in tree) / 1e6)
        except psutil.Error:
            pass  # a process that has just ended
        time.sleep(_SAMPLE_SECONDS)


def _seconds(steps: TimedStep, name: str) -> str:
    step = steps.record.step(name)
    if step.status == "cached":
        return "cached"
    return "-" if step.seconds is None else f"{step.seconds:.1f}"


if __name__ == "__main__":
    main()
