"""How long a run takes, step by step, and how much memory: a first run and an unchanged second one.

    python -m verification.benchmarks.run_steps --recipe complaints

Uses a home of its own, so the first run downloads, loads and computes everything. Memory is the
resident size of the whole process tree, and a step's processor seconds are those of its processes,
both sampled. On two cores a step that computes on both has up to twice as many processor seconds as
seconds.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sashiko.pipeline.runner.run_record import RunRecord, read_run
from verification.benchmarks.bench import SASHIKO, Watch, machine, options, show, table


def main() -> None:
    """Prints a Markdown table on stdout."""
    chosen = options(__doc__, recipe="complaints")
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as folder:
        runs = [_run(chosen.recipe, home=Path(folder)) for _ in range(2)]
    print(f"`{chosen.recipe}` on {machine()}: the first run, and an unchanged second one.\n")
    show(table(("step", "first, s", "of processors, s", "second, s"), _rows(runs)))


def _run(recipe: str, *, home: Path) -> tuple[RunRecord, float, Watch]:
    """Returns the record of a run, the seconds of the whole command, and what it used."""
    start = time.monotonic()
    command = [SASHIKO, "run", "--recipe", recipe, "--home", str(home)]
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL) as process,
        Watch(process.pid) as watch,
    ):
        status = process.wait()
    if status not in (0, 3):
        sys.exit(f"error: sashiko run ended with status {status}")
    return read_run(max((home / "runs").iterdir())), time.monotonic() - start, watch


def _rows(runs: list[tuple[RunRecord, float, Watch]]) -> Iterator[tuple[str, ...]]:
    (first, seconds, watch), (second, second_seconds, second_watch) = runs
    for step in first.steps:
        if step.type in ("Processing", "Training"):
            used = f"{watch.cpu.get(step.name, 0.0):.1f}"
            yield step.name, _seconds(first, step.name), used, _seconds(second, step.name)
    used = f"**{sum(watch.cpu.values()):.0f}**"
    yield "**the whole command**", f"**{seconds:.0f}**", used, f"**{second_seconds:.0f}**"
    yield "peak memory, MB", f"{watch.peak:.0f}", "", f"{second_watch.peak:.0f}"


def _seconds(record: RunRecord, name: str) -> str:
    step = record.step(name)
    if step.status == "cached":
        return "cached"
    return "-" if step.seconds is None else f"{step.seconds:.1f}"


if __name__ == "__main__":
    main()
