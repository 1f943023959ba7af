"""What the benchmarks share: options, runs, processes of their own, tables, parts of pages."""

import argparse
import importlib
import json
import os
import platform
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
from markupsafe import Markup

from docs.between import between
from docs.dark import chart
from sashiko.pipeline.runner.run_record import RunRecord, read_run
from sashiko.pipeline.runner.store import Store
from sashiko.report.svg import DARK, LIGHT, axes_of, new_figure, styled, to_svg
from sashiko.settings.recipe import Recipe, load_recipe

# Each run registers a version, so its state is not the user's `.sashiko`.
HOME = Path("build/benchmarks")
SASHIKO = str(Path(sys.executable).with_name("sashiko"))
_TWO_THREADS = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "ARROW_NUM_THREADS": "2"}
_APART = "import sys; from verification.benchmarks.bench import timed; timed(*sys.argv[1:])"


def options(doc: str | None, **defaults: Any) -> argparse.Namespace:
    """Reads the command line: an option for each default, of its type.

    A list takes several values, False makes a flag; a type, or a list of one, has no default.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in defaults.items():
        flag = f"--{name.replace('_', '-')}"
        if default is False:
            parser.add_argument(flag, action="store_true")
        elif isinstance(default, type):
            parser.add_argument(flag, type=default)
        elif isinstance(default, list) and isinstance(default[0], type):
            parser.add_argument(flag, nargs="+", type=default[0], default=[])
        elif isinstance(default, list):
            text = f"default: {' '.join(map(str, default))}"
            kind = type(default[0])
            parser.add_argument(flag, nargs="+", type=kind, default=default, help=text)
        else:
            text = f"default: {default}"
            parser.add_argument(flag, type=type(default), default=default, help=text)
    return parser.parse_args()


def recipe_of(name: str, *overrides: str) -> Recipe:
    """Reads a recipe of this project by its name."""
    return load_recipe(Path("recipes") / f"{name}.yaml", overrides=overrides)


@dataclass(frozen=True)
class Run:
    """A finished run: its record, and where its local state lies."""

    record: RunRecord
    home: Path

    def output(self, step: str, name: str) -> Path:
        """Returns the folder of an output of a step."""
        return Store(self.home / "s3").path(self.record.step(step).outputs[name].uri)

    @property
    def artifact(self) -> Path:
        """The compiled model's archive."""
        return self.output("Compile", "artifact") / "model.tar.gz"

    @property
    def texts(self) -> list[str]:
        """Those of the test split."""
        table = pq.read_table(self.output("Prepare", "test") / "data.parquet")
        return table["text"].to_pylist()  # type: ignore[no-any-return]


def run(recipe: str, *overrides: str, home: Path) -> Run:
    """Runs the pipeline with the overrides; a model that a gate blocks counts too."""
    if home.resolve() == Path(os.environ.get("SASHIKO_HOME", ".sashiko")).resolve():
        sys.exit(f"error: --home {home}: it holds your own versions, and this registers others")
    command = [SASHIKO, "run", "--recipe", recipe, "--home", str(home), "--json"]
    command += [word for override in overrides for word in ("--set", override)]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if process.returncode not in (0, 3):
        sys.exit(f"error: {' '.join(command)} ended with status {process.returncode}")
    return Run(read_run(home / "runs" / json.loads(process.stdout)["id"]), home)


@dataclass
class Watch:
    """Samples the processes below one, twenty times a second; those of steps by their step."""

    pid: int
    # Step -> the greatest resident size of its processes, in MB, as the kernel counts it.
    peaks: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)  # step -> seconds; "": of no step
    peak: float = 0.0  # the greatest resident size of the process and all below it, in MB
    _done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Watch":
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        of_processes: dict[int, tuple[str, float]] = {}
        while not self._done.wait(0.05):
            peaks: dict[str, float] = {}
            total = 0.0
            try:
                root = psutil.Process(self.pid)
                tree = [root, *root.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            for process in tree:
                with suppress(psutil.Error, OSError):  # it has just ended
                    folder = Path(process.cwd())  # a step's is `work/<step>`
                    step = folder.name if folder.parent.name == "work" else ""
                    used = process.cpu_times()
                    of_processes[process.pid] = step, used.user + used.system
                    total += process.memory_info().rss / 1e6
                    peaks[step] = peaks.get(step, 0) + _peak_mb(process)
            self.peak = max(self.peak, total)
            for step, value in peaks.items():
                self.peaks[step] = max(self.peaks.get(step, 0), value)
            self.cpu = {}
            for step, seconds in of_processes.values():
                self.cpu[step] = self.cpu.get(step, 0) + seconds


def _peak_mb(process: psutil.Process) -> float:
    with suppress(FileNotFoundError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return float(process.memory_info().rss / 1e6)


def time_apart(module: str, contender: str, *arguments: str) -> dict[str, Any]:
    """Times a contender in a process of its own, which has two threads.

    `module.contender(*arguments)` returns what is timed: a function of no arguments.

    Returns:
        `seconds`, `cpu` seconds, `peak_gb` of memory with imports, and the function's `result`.
    """
    command = [sys.executable, "-c", _APART, module, contender, *arguments]
    process = subprocess.run(
        command, env=os.environ | _TWO_THREADS, stdout=subprocess.PIPE, text=True, check=True
    )
    figures: dict[str, Any] = json.loads(process.stdout)
    return figures


def timed(module: str, contender: str, *arguments: str) -> None:
    """Is what `time_apart` runs in the process."""
    work = getattr(importlib.import_module(module), contender)(*arguments)
    start, cpu = time.perf_counter(), time.process_time()
    result = work()
    figures = {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
        "result": result,
    }
    print(json.dumps(figures))


def machine() -> str:
    """Names the machine for a table's caption."""
    system = f"{platform.system()} {platform.machine()}"
    return f"{system}, {os.cpu_count()} cores, Python {platform.python_version()}"


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Yields the lines of a Markdown table, each as soon as its row is there."""
    heads = list(heads)
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"


def show(lines: Iterable[str]) -> None:
    """Prints lines as they come."""
    for line in lines:
        print(line, flush=True)


def write_part(page: Path, name: str, lines: Iterable[str]) -> None:
    """Replaces the part of a page that a command writes, between the command's two marks."""
    marks = f"<!-- {name}: written by the command -->\n", f"<!-- end of {name} -->\n"
    page.write_text(between(page, marks, "".join(f"{line}\n" for line in lines)))


def seconds_as_bars(
    path: Path, seconds: Mapping[str, float], *, ours: Iterable[str], alt: str
) -> None:
    """Draws a bar for each label; those of `ours` are dark. The seconds follow the text `alt`."""
    values = "; ".join(f"{label} {value:.2f} s" for label, value in seconds.items())
    with styled():
        figure = new_figure(width=720, height=60 + 24 * len(seconds))
        figure.set_facecolor("white")
        axes = axes_of(figure)
        colours = [DARK if label in set(ours) else LIGHT for label in seconds]
        bars = axes.barh(range(len(seconds)), list(seconds.values()), color=colours, height=0.65)
        axes.bar_label(bars, [f"{value:.2f}" for value in seconds.values()], padding=4)
        axes.set_yticks(range(len(seconds)), list(seconds))
        axes.invert_yaxis()
        axes.margins(x=0.1)
        axes.set_xlabel("seconds")
        axes.grid(True, axis="x")
        save(path, to_svg(figure, name=path.stem, alt=f"{alt}: {values}."))


def save(path: Path, picture: Markup) -> None:
    """Writes an SVG that follows the dark mode, with the line break at its end for git."""
    path.write_text(chart(f"{picture}\n"))
