"""What starts cost: the command, each step, the definition built and taken from the cache.

    python -m verification.benchmarks.start_up --plot docs/images/start-up.svg

Each figure is a process from its start to its end: Python alone, `sashiko --help`, a step's module
imported and nothing done, `sashiko definition` in a home of its own and once more in that home. The
seconds are the median of the repeats; beside them stands which of the heavy packages are loaded.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from verification.benchmarks.bars import seconds_as_bars
from verification.benchmarks.runs import SASHIKO, machine

_STEPS = Path("src/sashiko/steps")
_HEAVY = (
    "boto3", "botocore", "captum", "duckdb", "great_expectations", "matplotlib", "mlflow", "numpy",
    "onnx", "onnxruntime", "pandas", "pyarrow", "pydantic", "rich", "sagemaker", "scipy", "sklearn",
    "tokenizers", "torch", "transformers", "typer",
)  # fmt: skip
_PROMISED_HELP = 0.3  # seconds


@dataclass(frozen=True)
class Start:
    """A process: what it is, the median of its seconds, and what it loads."""

    what: str
    seconds: float
    loads: str = ""


def main() -> None:
    """Prints a Markdown table on stdout; `--plot` writes the picture beside it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=5, help="timed starts of each; default: 5")
    parser.add_argument("--plot", type=Path, help="write the picture here, as SVG")
    arguments = parser.parse_args()
    print(f"On {machine()}; the median of {arguments.repeat} starts.\n")
    print("| what | s | of the heavy packages it loads |\n|---|---|---|", flush=True)
    starts: list[Start] = []
    for start in _starts(arguments.repeat):
        starts.append(start)
        print(f"| {start.what} | {start.seconds:.2f} | {start.loads} |", flush=True)
    help_ = next(start for start in starts if "--help" in start.what).seconds
    verdict = "kept" if help_ <= _PROMISED_HELP else "**not kept**"
    print(f"\n`sashiko --help` was promised within {_PROMISED_HELP:.1f} s: {verdict}.")
    if arguments.plot:
        arguments.plot.write_text(f"{_picture(starts)}\n")


def _starts(repeat: int) -> Iterator[Start]:
    python = [sys.executable, "-c"]
    yield Start("Python alone", _seconds([*python, "pass"], repeat))
    code = "from sashiko.cli import app; app(['--help'], standalone_mode=False)"
    yield Start("`sashiko --help`", _seconds([SASHIKO, "--help"], repeat), _loads(code))
    for step in _steps():
        code = f"import sashiko.steps.{step}"
        yield Start(f"the step `{step}`", _seconds([*python, code], repeat), _loads(code))
    built, second, loads = [], [], ""
    for _ in range(repeat):
        with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as home:
            command = [SASHIKO, "definition", "--home", home]
            built.append(_seconds(command, 1))
            second.append(_seconds(command, 1))
            loads = _loads(
                f"from sashiko.cli import app; app({command[1:]}, standalone_mode=False)"
            )
    elsewhere = "and, in a process of its own, sagemaker, boto3"
    yield Start("`sashiko definition`, built", median(built), f"{loads}; {elsewhere}")
    yield Start("`sashiko definition`, kept", median(second), loads)


def _steps() -> Sequence[str]:
    files = sorted(_STEPS.glob("*.py"))
    return [file.stem for file in files if "run_step(main)" in file.read_text()]


def _seconds(command: Sequence[str], repeat: int) -> float:
    """Runs a command once for the file cache, and then against the watch."""
    times = []
    for _ in range(repeat + (repeat > 1)):
        start = time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.monotonic() - start)
    return median(times[-repeat:])


def _loads(code: str) -> str:
    """Runs code and names the heavy packages among the modules that it has loaded."""
    code = f"{code}\nimport sys\nprint('\\n' + ' '.join(sys.modules))"
    process = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    modules = process.stdout.rstrip().rpartition("\n")[2].split()
    return ", ".join(name for name in _HEAVY if name in modules)


def _picture(starts: Sequence[Start]) -> str:
    seconds = {start.what.replace("`", ""): start.seconds for start in starts}
    values = "; ".join(f"{what} {value:.2f} s" for what, value in seconds.items())
    alt = f"How long starts take: {values}."
    return str(seconds_as_bars(seconds, ours=frozenset(seconds), name="start-up", alt=alt))


if __name__ == "__main__":
    main()
