"""How long a run takes, step by step, and how much memory: a first run and an unchanged second one.

    python -m verification.benchmarks.run_steps --recipe complaints

Uses a home of its own, so the first run downloads, loads and computes everything. Memory is the
resident size of the whole process tree, and a step's processor seconds are those of its processes,
both sampled five times a second. On two cores a step that computes on both has up to twice as many
processor seconds as seconds.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from sashiko.pipeline.runner.record import RunRecord, read_run
from verification.benchmarks.runs import SASHIKO, machine

_SAMPLE_SECONDS = 0.2
_WHOLE = ""  # the command itself, and what belongs to no step


@dataclass
class Samples:
    """What the process tree of a run was seen to use."""

    peak_mb: float = 0.0
    processors: dict[int, tuple[str, float]] = field(default_factory=dict)  # pid -> step, seconds

    def seconds(self) -> dict[str, float]:
        """Step -> its processor seconds."""
        steps: dict[str, float] = {}
        for step, seconds in self.processors.values():
            steps[step] = steps.get(step, 0.0) + seconds
        return steps


@dataclass(frozen=True)
class TimedRun:
    """A run: its record, the seconds of the whole command, and what it used."""

    record: RunRecord
    seconds: float
    peak_mb: float
    processors: Mapping[str, float]  # step -> processor seconds


def main() -> None:
    """Prints a Markdown table on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", required=True, help="a recipe's name")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as folder:
        first, second = (run(arguments.recipe, home=Path(folder)) for _ in range(2))
    print(f"`{arguments.recipe}` on {machine()}: the first run, and an unchanged second one.\n")
    print("| step | first, s | of processors, s | second, s |\n|---|---|---|---|")
    for step in first.record.steps:
        if step.type in ("Processing", "Training"):
            used = f"{first.processors.get(step.name, 0.0):.1f}"
            times = (_seconds(first, step.name), used, _seconds(second, step.name))
            print(f"| {step.name} | {' | '.join(times)} |")
    used = f"**{sum(first.processors.values()):.0f}**"
    print(
        f"| **the whole command** | **{first.seconds:.0f}** | {used} | **{second.seconds:.0f}** |"
    )
    print(f"| peak memory, MB | {first.peak_mb:.0f} | | {second.peak_mb:.0f} |")


def run(recipe: str, *, home: Path) -> TimedRun:
    """Runs the command and watches its memory."""
    start = time.monotonic()
    process = subprocess.Popen(
        [SASHIKO, "run", "--recipe", recipe, "--home", str(home)], stdout=subprocess.DEVNULL
    )
    samples = Samples()
    watcher = threading.Thread(target=_watch, args=(process.pid, samples), daemon=True)
    watcher.start()
    status = process.wait()
    if status not in (0, 3):
        sys.exit(f"error: sashiko run ended with status {status}")
    folder = max((home / "runs").iterdir())
    return TimedRun(
        record=read_run(folder),
        seconds=time.monotonic() - start,
        peak_mb=samples.peak_mb,
        processors=samples.seconds(),
    )


def _watch(pid: int, samples: Samples) -> None:
    while psutil.pid_exists(pid):
        try:
            root = psutil.Process(pid)
            tree = [root, *root.children(recursive=True)]
            memory = sum(item.memory_info().rss for item in tree) / 1e6
            samples.peak_mb = max(samples.peak_mb, memory)
            for item in tree:
                times = item.cpu_times()
                samples.processors[item.pid] = (_step(item), times.user + times.system)
        except psutil.Error:
            pass  # a process that has just ended
        time.sleep(_SAMPLE_SECONDS)


def _step(process: psutil.Process) -> str:
    """The step that a process belongs to, by the folder of its job."""
    folder = process.environ().get("OPT_ML", "")  # a step's name is two above `opt/ml`
    return Path(folder).parts[-3] if folder else _WHOLE


def _seconds(timed: TimedRun, name: str) -> str:
    step = timed.record.step(name)
    if step.status == "cached":
        return "cached"
    return "-" if step.seconds is None else f"{step.seconds:.1f}"


if __name__ == "__main__":
    main()
