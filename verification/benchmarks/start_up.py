"""What starts cost: the command, each step, the definition built and taken from the cache.

    python -m verification.benchmarks.start_up --plot docs/images/start-up.svg

Each figure is a process from its start to its end: Python alone, `sashiko --help`, a step's module
imported and nothing done, `sashiko definition` in a home of its own and once more in that home. The
seconds are the median of the repeats; beside them stands which of the heavy packages are loaded.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from verification.benchmarks.bench import SASHIKO, machine, options, seconds_as_bars, show, table

_HEAVY = (
    "boto3", "botocore", "captum", "duckdb", "great_expectations", "matplotlib", "mlflow", "numpy",
    "onnx", "onnxruntime", "pandas", "pyarrow", "pydantic", "rich", "sagemaker", "scipy", "sklearn",
    "tokenizers", "torch", "transformers", "typer",
)  # fmt: skip
_PROMISED_HELP = 0.3  # seconds


def main() -> None:
    """Prints a Markdown table on stdout; `--plot` writes the picture beside it."""
    chosen = options(__doc__, repeat=5, plot=Path)
    print(f"On {machine()}; the median of {chosen.repeat} starts.\n")
    seconds: dict[str, float] = {}

    def rows() -> Iterator[tuple[str, str, str]]:
        for what, taken, loads in _starts(chosen.repeat):
            seconds[what.replace("`", "")] = taken
            yield what, f"{taken:.2f}", loads

    show(table(("what", "s", "of the heavy packages it loads"), rows()))
    verdict = "kept" if seconds["sashiko --help"] <= _PROMISED_HELP else "**not kept**"
    print(f"\n`sashiko --help` was promised within {_PROMISED_HELP:.1f} s: {verdict}.")
    if chosen.plot:
        seconds_as_bars(chosen.plot, seconds, ours=seconds, alt="How long starts take")


def _starts(repeat: int) -> Iterator[tuple[str, float, str]]:
    python = [sys.executable, "-c"]
    yield "Python alone", _seconds([*python, "pass"], repeat), ""
    yield "`sashiko --help`", _seconds([SASHIKO, "--help"], repeat), _loads(_of_app("--help"))
    for file in sorted(Path("src/sashiko/steps").glob("*.py")):
        if "run_step(main)" in file.read_text():
            code = f"import sashiko.steps.{file.stem}"
            yield f"the step `{file.stem}`", _seconds([*python, code], repeat), _loads(code)
    built, kept, loads = [], [], ""
    for _ in range(repeat):
        with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as home:
            command = ["definition", "--home", home]
            built.append(_seconds([SASHIKO, *command], 1))
            kept.append(_seconds([SASHIKO, *command], 1))
            loads = _loads(_of_app(*command))
    elsewhere = "and, in a process of its own, sagemaker, boto3"
    yield "`sashiko definition`, built", median(built), f"{loads}; {elsewhere}"
    yield "`sashiko definition`, kept", median(kept), loads


def _seconds(command: Sequence[str], repeat: int) -> float:
    """Runs a command once for the file cache, and then against the watch."""
    times = []
    for _ in range(repeat + (repeat > 1)):
        start = time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.monotonic() - start)
    return median(times[-repeat:])


def _of_app(*arguments: str) -> str:
    return f"from sashiko.cli import app; app({list(arguments)}, standalone_mode=False)"


def _loads(code: str) -> str:
    """Runs code and names the heavy packages among the modules that it has loaded."""
    code = f"{code}\nimport sys\nprint('\\n' + ' '.join(sys.modules))"
    command = [sys.executable, "-c", code]
    process = subprocess.run(command, check=True, capture_output=True, text=True)
    modules = process.stdout.rstrip().rpartition("\n")[2].split()
    return ", ".join(name for name in _HEAVY if name in modules)


if __name__ == "__main__":
    main()
