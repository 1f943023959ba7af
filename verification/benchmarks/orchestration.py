"""The overhead of a pipeline: ten trivial steps by our runner, Metaflow and ZenML.

    make .venv-metaflow/.done .venv-zenml/.done
    python -m verification.benchmarks.orchestration --plot docs/images/orchestration.svg

The same graph (`ten_steps/`), each tool as it comes, on this machine: ours and Metaflow
start a process for each step, ZenML's local orchestrator runs all in one. The time is that of the
whole command, from `python` to its end. The tools take turns, each after a run that nobody times
and that sets up what it sets up once. "All cached" is the same command again: Metaflow has no cache
of steps. The last step's result, one more than the sum of what it is given as every step's, is held
against what the graph gives.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from verification.benchmarks.bars import seconds_as_bars
from verification.benchmarks.runs import machine
from verification.benchmarks.ten_steps.graph import RESULT

_STEPS = Path(__file__).parent / "ten_steps"
_OURS, _METAFLOW, _ZENML = "ours", "Metaflow", "ZenML"
_PROMISED_SHARE, _PROMISED_CACHED = 1 / 3, 1.0  # of the better peer; seconds


@dataclass(frozen=True)
class Contender:
    """A tool: its name, its command, and how it runs the steps.

    Attributes:
        name: for the table.
        fresh: folder -> the command that runs all ten steps.
        cached: folder -> the command that takes them from the cache; None if it has none.
        processes: how it runs them.
    """

    name: str
    fresh: Callable[[Path], list[str]]
    cached: Callable[[Path], list[str]] | None
    processes: str


def main() -> None:
    """Prints a Markdown table on stdout; `--plot` writes the picture beside it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=5, help="timed runs of each; default: 5")
    parser.add_argument("--plot", type=Path, help="write the picture here, as SVG")
    arguments = parser.parse_args()
    contenders = (_sashiko(), _metaflow(), _zenml())
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as name:
        fresh, cached = _measure(contenders, Path(name), repeat=arguments.repeat)
    print(f"On {machine()}; the median of {arguments.repeat} runs, and the least and the most.\n")
    print("| ten steps | their processes | s | all cached, s |\n|---|---|---|---|")
    for item in contenders:
        cached_cell = _cell(cached[item.name]) if item.cached else "no cache"
        print(f"| {item.name} | {item.processes} | {_cell(fresh[item.name])} | {cached_cell} |")
    print(f"\n{_judge(fresh, cached)}")
    if arguments.plot:
        arguments.plot.write_text(f"{_picture(fresh, cached)}\n")


def _sashiko() -> Contender:
    def command(home: Path) -> list[str]:
        return [sys.executable, "-m", "verification.benchmarks.ten_steps.ours", str(home)]

    return Contender(
        name=_OURS,
        fresh=lambda folder: command(Path(tempfile.mkdtemp(dir=folder))),
        cached=lambda folder: command(folder / "home"),
        processes="one a step",
    )


def _metaflow() -> Contender:
    python = _peer("metaflow")
    return Contender(
        name=_METAFLOW,
        fresh=lambda _: [python, str(_STEPS / "flow.py"), "run"],
        cached=None,
        processes="one a step",
    )


def _zenml() -> Contender:
    python = _peer("zenml")
    return Contender(
        name=_ZENML,
        fresh=lambda _: [python, str(_STEPS / "pipeline.py")],
        cached=lambda _: [python, str(_STEPS / "pipeline.py"), "--cached"],
        processes="one for all",
    )


def _peer(name: str) -> str:
    python = Path(f".venv-{name}/bin/python").absolute()
    if not python.is_file():
        sys.exit(f"error: {python} is not there: run `make .venv-{name}/.done` first")
    return str(python)


def _measure(
    contenders: tuple[Contender, ...], folder: Path, *, repeat: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Runs each contender in turn; the first round is not counted."""
    fresh: dict[str, list[float]] = {item.name: [] for item in contenders}
    cached: dict[str, list[float]] = {item.name: [] for item in contenders}
    for turn in range(repeat + 1):
        for item in contenders:
            print(f"{item.name}, {turn or 'the first, not counted'}", file=sys.stderr)
            fresh[item.name].append(_seconds(item.fresh(folder), folder))
            if item.cached:
                cached[item.name].append(_seconds(item.cached(folder), folder))
    return (
        {name: seconds[1:] for name, seconds in fresh.items()},
        {name: seconds[1:] for name, seconds in cached.items()},
    )


def _seconds(command: list[str], folder: Path) -> float:
    start = time.monotonic()
    process = subprocess.run(
        command, cwd=folder, env=_environment(folder), capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - start
    if process.returncode != 0 or f"result={RESULT}\n" not in process.stdout:
        sys.exit(
            f"error: {' '.join(command)} did not run its ten steps\n"
            f"{process.stdout}{process.stderr}"
        )
    return seconds


def _environment(folder: Path) -> Mapping[str, str]:
    """Keeps what the tools write in the benchmark's folder, and what they report to themselves."""
    return os.environ | {
        "PYTHONPATH": str(_STEPS.parents[2]),
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder / "metaflow"),
        "METAFLOW_USER": "benchmark",
        "ZENML_CONFIG_PATH": str(folder / "zenml"),
        "ZENML_ANALYTICS_OPT_IN": "false",
    }


def _cell(seconds: list[float]) -> str:
    return f"{median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"


def _judge(fresh: Mapping[str, list[float]], cached: Mapping[str, list[float]]) -> str:
    fresh_median, cached_median = median(fresh[_OURS]), median(cached[_OURS])
    better = min((_METAFLOW, _ZENML), key=lambda name: median(fresh[name]))
    share = fresh_median / median(fresh[better])
    is_kept = share <= _PROMISED_SHARE and cached_median < _PROMISED_CACHED
    return (
        f"Ours takes {share:.2f} of {better}'s time, the better peer's (promised: a third at "
        f"most), and {cached_median:.2f} s where all is cached (promised: less than "
        f"{_PROMISED_CACHED:.0f} s): {'kept' if is_kept else '**not kept**'}."
    )


def _picture(fresh: Mapping[str, list[float]], cached: Mapping[str, list[float]]) -> str:
    seconds = {name: median(values) for name, values in fresh.items()}
    seconds |= {f"{name}, all cached": median(values) for name, values in cached.items() if values}
    summary = "; ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
    own = frozenset(name for name in seconds if name.startswith(_OURS))
    alt = f"Ten trivial steps, the whole command: {summary}."
    return str(seconds_as_bars(seconds, ours=own, name="orchestration", alt=alt))


if __name__ == "__main__":
    main()
