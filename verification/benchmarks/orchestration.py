"""The overhead of a pipeline: ten trivial steps by our runner, Metaflow and ZenML.

    make .venv-metaflow/.done .venv-zenml/.done
    python -m verification.benchmarks.orchestration --plot docs/images/orchestration.svg

The time is that of the whole command, from `python` to its end. The tools take turns, each after a
run that nobody times and that sets up what it sets up once. A step's result is one more than the
sum of what it is given: the last one's, 20, shows that all of `ten_steps/` ran, in this order.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from verification.benchmarks import bench

_OURS, _METAFLOW, _ZENML = "ours", "Metaflow", "ZenML"
_PROCESSES = {_OURS: "one a step", _METAFLOW: "one a step", _ZENML: "one for all"}
_PROMISED_SHARE, _PROMISED_CACHED = 1 / 3, 1.0  # of the better peer; seconds
_HERE = Path(__file__).parent


def main() -> None:
    """Prints a Markdown table on stdout; `--plot` writes the picture beside it."""
    chosen = bench.options(__doc__, repeat=5, plot=Path)
    pythons = {name: bench.peer_python(name.lower()) for name in (_METAFLOW, _ZENML)}
    fresh: dict[str, list[float]] = {name: [] for name in _PROCESSES}
    cached: dict[str, list[float]] = {_OURS: [], _ZENML: []}
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as name:
        folder = Path(name)
        module = "verification.benchmarks.ten_steps.ours"
        ours = [sys.executable, "-m", module]
        flow = [pythons[_METAFLOW], str(_HERE / "ten_steps/flow.py"), "run"]
        zenml = [pythons[_ZENML], str(_HERE / "ten_steps/pipeline.py")]
        for turn in range(chosen.repeat + 1):
            print(turn or "the first turn, not counted", file=sys.stderr)
            commands = {_OURS: [*ours, tempfile.mkdtemp(dir=folder)], _METAFLOW: flow,
                        _ZENML: zenml}  # fmt: skip
            again = {_OURS: [*ours, str(folder / "home")], _ZENML: [*zenml, "--cached"]}
            for tool, command in commands.items():
                fresh[tool].append(_seconds(command, folder))
                if tool in again:
                    cached[tool].append(_seconds(again[tool], folder))
    fresh, cached = ({tool: each[1:] for tool, each in of.items()} for of in (fresh, cached))
    print(
        f"On {bench.machine()}; the median of {chosen.repeat} runs, and the least and the most.\n"
    )
    bench.show(
        bench.table(("ten steps", "their processes", "s", "all cached, s"), _rows(fresh, cached))
    )
    of_fresh = {tool: median(seconds) for tool, seconds in fresh.items()}
    of_cached = {f"{tool}, all cached": median(seconds) for tool, seconds in cached.items()}
    better = min((_METAFLOW, _ZENML), key=of_fresh.__getitem__)
    share, kept = of_fresh[_OURS] / of_fresh[better], of_cached[f"{_OURS}, all cached"]
    is_kept = share <= _PROMISED_SHARE and kept < _PROMISED_CACHED
    print(
        f"\nOurs takes {share:.2f} of {better}'s time, the better peer's (promised: a third at "
        f"most), and {kept:.2f} s where all is cached (promised: less than "
        f"{_PROMISED_CACHED:.0f} s): {'kept' if is_kept else '**not kept**'}."
    )
    if chosen.plot:
        seconds = of_fresh | of_cached
        own = [label for label in seconds if label.startswith(_OURS)]
        alt = "Ten trivial steps, the whole command"
        bench.seconds_as_bars(chosen.plot, seconds, ours=own, alt=alt)


def _rows(
    fresh: dict[str, list[float]], cached: dict[str, list[float]]
) -> Iterator[tuple[str, ...]]:
    for tool, processes in _PROCESSES.items():
        cells = [
            f"{median(of[tool]):.2f} ({min(of[tool]):.2f} to {max(of[tool]):.2f})"
            if tool in of
            else "no cache"
            for of in (fresh, cached)
        ]
        yield tool, processes, *cells


def _seconds(command: list[str], folder: Path) -> float:
    """Times a command; what the tools write or report stays in the folder."""
    environment = os.environ | {
        "PYTHONPATH": str(_HERE.parents[1]),
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder / "metaflow"),
        "METAFLOW_USER": "benchmark",
        "ZENML_CONFIG_PATH": str(folder / "zenml"),
        "ZENML_ANALYTICS_OPT_IN": "false",
    }
    start = time.monotonic()
    process = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - start
    if process.returncode != 0 or "result=20\n" not in process.stdout:
        output = f"{process.stdout}{process.stderr}"
        sys.exit(f"error: {' '.join(command)} did not run its ten steps\n{output}")
    return seconds


if __name__ == "__main__":
    main()
