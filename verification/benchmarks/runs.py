"""Runs of the real pipeline under overrides, and what they left: shared by the benchmarks."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sashiko.pipeline.runner.record import RunRecord, read_run
from sashiko.pipeline.runner.store import Store

AS_INT8 = ("compile.quantization=int8", "compile.batch_sizes=[1]")  # overrides
# Each run registers a version, so its state is not the user's `.sashiko`.
HOME = Path("build/benchmarks")
SASHIKO = str(Path(sys.executable).with_name("sashiko"))


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        record: what the runner wrote of it.
        home: where its local state lies.
    """

    record: RunRecord
    home: Path

    def output(self, step: str, name: str) -> Path:
        """Returns the folder of an output of a step."""
        return Store(self.home / "s3").path(self.record.step(step).outputs[name].uri)


def run(recipe: str, *, overrides: list[str], home: Path) -> Run:
    """Runs the pipeline with the overrides; a model that a gate blocks counts too."""
    command = [SASHIKO, "run", "--recipe", recipe, "--home", str(home), "--json"]
    for override in overrides:
        command += ["--set", override]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if process.returncode not in (0, 3):
        sys.exit(f"error: {' '.join(command)} ended with status {process.returncode}")
    return Run(read_run(home / "runs" / json.loads(process.stdout)["id"]), home)


def machine() -> str:
    """Names the machine for a table's caption."""
    system = f"{platform.system()} {platform.machine()}"
    return f"{system}, {os.cpu_count()} cores, Python {platform.python_version()}"
