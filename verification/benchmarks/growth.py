"""How time and memory of each step grow with the rows: the whole path at 1, 4 and 16 times as many.

    python -m verification.benchmarks.growth --plot docs/images/growth.svg

Each size is a real run of the recipe with that many generated rows, and as many times its training
rows, in one home of its own, so that nothing comes from the cache. A step's time is the runner's;
its memory is the peak resident size of its processes, as the kernel counts it, read twenty
times a second. Growth is the exponent e of "rows^e" between the two greatest sizes, where what a
step needs to start weighs least. Exits with 1 if a step grows faster than linear in time or memory,
or the memory of a step that is to be bounded faster than the root of the rows: below its limit its
database takes what is there, and tests/e2e/test_memory.py holds it against the limit.
"""

import argparse
import math
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from markupsafe import Markup

from sashiko.pipeline.runner.record import read_run
from sashiko.report.svg import DARK, INK, LIGHT, MUTED, new_figure, styled, to_svg
from sashiko.settings.recipe import load_recipe
from sashiko.settings.sources import GeneratorSource
from verification.benchmarks.runs import SASHIKO, machine

_SAMPLE_SECONDS = 0.05
# A tenth above linear is what a second measurement may differ by.
_LINEAR = 1.1
_BOUNDED = 0.5
BOUNDED = (
    "Snapshot", "SnapshotFacets", "Validate", "ValidateFacets", "Prepare", "PreBias", "BiasInput",
    "PostBias", "JudgeBias",
)  # fmt: skip


@dataclass
class Memory:
    """Watches the steps of a run.

    Attributes:
        pid: of the process whose children they are.
        peaks: step -> its greatest resident size, in MB.
        cpu: step -> its seconds of the processors.
    """

    pid: int
    peaks: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    _done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Memory":
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_SAMPLE_SECONDS):
            now: dict[str, float] = {}
            used: dict[str, float] = {}
            try:
                for process in psutil.Process(self.pid).children(recursive=True):
                    for step, megabytes, seconds in _of_step(process):
                        now[step] = now.get(step, 0) + megabytes
                        used[step] = used.get(step, 0) + seconds
            except psutil.NoSuchProcess:
                return
            for greatest, values in ((self.peaks, now), (self.cpu, used)):
                for step, value in values.items():
                    greatest[step] = max(greatest.get(step, 0), value)


def _of_step(process: psutil.Process) -> Iterator[tuple[str, float, float]]:
    """Yields the step of a process, by its working folder, its peak and its seconds so far."""
    try:
        folder = Path(process.cwd())
        if folder.parent.name == "work":
            used = process.cpu_times()
            yield folder.name, _peak_mb(process), used.user + used.system
    except (psutil.Error, OSError):
        pass  # it has just ended


def _peak_mb(process: psutil.Process) -> float:
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return float(process.memory_info().rss / 1e6)


@dataclass(frozen=True)
class Size:
    """A run of one size: rows, and of each step its seconds and its peak memory in MB."""

    rows: int
    seconds: dict[str, float]
    megabytes: dict[str, float]


def main() -> None:
    """Prints a Markdown table on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="complaints", help="a recipe with a generator")
    parser.add_argument("--scales", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--plot", type=Path, help="an SVG of time and memory, to be written")
    options = parser.parse_args()
    scales = sorted(set(options.scales))
    if len(scales) < 2 or scales[0] < 1:
        parser.error("--scales: name at least two different sizes, such as 1 4 16")
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as folder:
        sizes = [measure(options.recipe, scale=scale, home=Path(folder)) for scale in scales]
    print(f"`{options.recipe}` at {', '.join(f'{size.rows:,}' for size in sizes)} rows "
          f"on {machine()}.\n")  # fmt: skip
    print_table(sizes)
    if options.plot:
        options.plot.write_text(f"{picture(sizes)}\n")
    problems = list(faults(sizes))
    for fault in problems:
        print(f"error: {fault}", file=sys.stderr)
    sys.exit(1 if problems else 0)


def measure(recipe: str, *, scale: int, home: Path) -> Size:
    """Runs the recipe with so many times its rows and its training rows."""
    data = load_recipe(Path("recipes") / f"{recipe}.yaml").data
    source = next((item for item in data.sources if isinstance(item, GeneratorSource)), None)
    if source is None:
        sys.exit(
            f"error: recipes/{recipe}.yaml: data.sources has no generator, whose rows can grow"
        )
    scaled = source.model_copy(update={"rows": source.rows * scale})
    command = [SASHIKO, "run", "--recipe", recipe, "--home", str(home)]
    command += ["--set", f"data.sources=[{scaled.model_dump_json()}]"]
    if data.train_rows is not None:
        command += ["--set", f"data.train_rows={data.train_rows * scale}"]
    print(f"{scaled.rows:,} rows ...", file=sys.stderr)
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL) as process,
        Memory(process.pid) as memory,
    ):
        status = process.wait()
    if status not in (0, 3):
        sys.exit(f"error: sashiko run ended with status {status}")
    record = read_run(max((home / "runs").iterdir()))
    jobs = [step for step in record.steps if step.type in ("Processing", "Training")]
    seconds = {step.name: step.seconds for step in jobs if step.seconds}
    return Size(scaled.rows, seconds, memory.peaks)


def growth(sizes: Sequence[Size], step: str, *, of: str) -> float:
    """Returns the exponent of a step's time or memory between the two greatest sizes."""
    one, two = sizes[-2:]
    ratio = getattr(two, of)[step] / getattr(one, of)[step]
    return math.log(ratio) / math.log(two.rows / one.rows)


def steps(sizes: Sequence[Size]) -> list[str]:
    """Returns the steps that were measured at every size, in the order of the definition."""
    return [
        step
        for step in sizes[0].seconds
        if all(step in size.seconds and step in size.megabytes for size in sizes)
    ]


def faults(sizes: Sequence[Size]) -> Iterator[str]:
    """Yields what grows faster than it may."""
    for step in steps(sizes):
        time, memory = (growth(sizes, step, of=of) for of in ("seconds", "megabytes"))
        if time > _LINEAR:
            yield f"{step}: time grows faster than linear, as rows^{time:.2f}"
        if memory > _LINEAR:
            yield f"{step}: memory grows faster than linear, as rows^{memory:.2f}"
        elif step in BOUNDED and memory > _BOUNDED:
            yield f"{step}: memory is not bounded, it grows as rows^{memory:.2f}"


def print_table(sizes: Sequence[Size]) -> None:
    """Prints seconds and MB of each step at each size, and how they grow."""
    rows = [f"{size.rows:,}" for size in sizes]
    heads = [f"{row} rows, s" for row in rows] + ["growth"]
    heads += [f"{row} rows, MB" for row in rows] + ["growth"]
    print(f"| step | {' | '.join(heads)} |")
    print("|---" * (len(heads) + 1) + "|")
    for step in steps(sizes):
        cells = [f"{size.seconds[step]:.1f}" for size in sizes]
        cells.append(f"{growth(sizes, step, of='seconds'):.2f}")
        cells += [f"{size.megabytes[step]:.0f}" for size in sizes]
        cells.append(f"{growth(sizes, step, of='megabytes'):.2f}")
        print(f"| {step} | {' | '.join(cells)} |")


def picture(sizes: Sequence[Size]) -> Markup:
    """Draws time and memory of each step against the rows, and what linear would be."""
    rows, measured = [size.rows for size in sizes], steps(sizes)
    with styled():
        figure = new_figure(width=860, height=460)
        figure.set_facecolor("white")
        panels = zip(figure.subplots(1, 2), (("seconds", "s"), ("megabytes", "MB")), strict=True)
        for axes, (of, unit) in panels:
            for step in measured:
                values = [getattr(size, of)[step] for size in sizes]
                color = DARK if step in BOUNDED else LIGHT
                axes.plot(rows, values, color=color, linewidth=1.6, marker="o", markersize=3)
            base = max(getattr(sizes[0], of)[step] for step in measured)
            axes.plot(rows, [base * row / rows[0] for row in rows], color=MUTED, linewidth=1.2,
                      linestyle=(0, (5, 2)))  # fmt: skip
            axes.annotate("linear", (rows[0], base), xytext=(0, 8), textcoords="offset points",
                          color=INK, fontsize=8.5)  # fmt: skip
            axes.set(xscale="log", yscale="log", xlabel="rows", ylabel=unit)
            axes.set_xticks(rows, [f"{row:,}" for row in rows])
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
            axes.minorticks_off()
            axes.grid(True)
            low, high = axes.get_ylim()
            last = {step: getattr(sizes[-1], of)[step] for step in measured}
            for step, height in _spread(last, gap=(high / low) ** (1 / 32)):
                axes.annotate(step, (rows[-1], height), xytext=(6, 0), fontsize=7.5,
                              textcoords="offset points", va="center")  # fmt: skip
        exponents = "; ".join(
            f"{step} {growth(sizes, step, of='seconds'):.2f} and "
            f"{growth(sizes, step, of='megabytes'):.2f}"
            for step in measured
        )
        return to_svg(figure, name="growth", alt=f"Growth exponents, time and memory: {exponents}.")


def _spread(heights: dict[str, float], *, gap: float) -> Iterator[tuple[str, float]]:
    """Yields where each name stands on a logarithmic axis, a ratio apart from the next."""
    least = 0.0
    for name, height in sorted(heights.items(), key=lambda item: item[1]):
        least = max(height, least * gap)
        yield name, least


if __name__ == "__main__":
    main()
