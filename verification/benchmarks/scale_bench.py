"""A step in a process of its own, as SageMaker runs it: its folders, and what it used."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sashiko.contract.model import Contract
from sashiko.core.files import write_bytes, write_json
from sashiko.settings.recipe import Recipe
from sashiko.steps.sections import config_files

_SAMPLE_SECONDS = 0.2
_PROGRAM = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@dataclass(frozen=True)
class Use:
    """What a step used.

    Attributes:
        seconds: from its start to its end.
        memory: the process's peak resident size, bytes.
        disk: the most that its inputs, outputs and temporary files took together, bytes.
    """

    seconds: float
    memory: float
    disk: float


@dataclass
class Bench:
    """Runs the steps of one size below a folder.

    Attributes:
        root: the folder.
        recipe: whose sections the steps read.
        contract: of its rows.
        uses: step -> what it used.
    """

    root: Path
    recipe: Recipe
    contract: Contract
    uses: dict[str, Use] = field(default_factory=dict)

    def output(self, step: str, name: str = "") -> Path:
        """Returns the folder of an output."""
        return self.root / step / "processing" / "output" / name

    def step(
        self,
        name: str,
        module: str,
        *arguments: str,
        config: Sequence[str] = (),
        files: Mapping[str, bytes] | None = None,
        inputs: Mapping[str, Path] | None = None,
    ) -> None:
        """Runs a step on earlier steps' outputs, and notes what it used."""
        root = self.root / name
        source = Path(self.recipe.contract)
        channel = files or config_files(name, config, recipe=self.recipe, contract_file=source)
        for file, content in channel.items():
            write_bytes(root / "processing" / "input" / "config" / file, content)
        for key, folder in (inputs or {}).items():
            (root / "processing" / "input" / key).symlink_to(folder.resolve())
        write_json(
            root / "config" / "resourceconfig.json", {"current_host": "algo-1", "hosts": ["algo-1"]}
        )
        staged = sum(_size(folder) for folder in (inputs or {}).values())
        scratch = root / "tmp"
        scratch.mkdir()
        variables = {"OPT_ML": str(root), "TMPDIR": str(scratch), "OMP_NUM_THREADS": "2"}
        start = time.monotonic()
        with (root / "log").open("wb") as log, _Disk(root) as disk:
            done = subprocess.run(
                [sys.executable, "-c", _PROGRAM, module, *arguments],
                env=os.environ | variables, stdout=subprocess.PIPE, stderr=log, check=False,
            )  # fmt: skip
        seconds = time.monotonic() - start
        if done.returncode:
            sys.exit(f"error: {name}: {(root / 'log').read_text()[-2000:]}")
        memory = int(done.stdout.split()[-1]) * 1024
        self.uses[name] = Use(seconds, memory, staged + disk.peak)
        print(f"{name}: {seconds:,.1f} s, {memory / 1e6:,.0f} MB", file=sys.stderr)


class _Disk:
    """Watches the size of a folder."""

    def __init__(self, folder: Path) -> None:
        self.peak = 0
        self._folder = folder
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_Disk":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, _size(self._folder))
            if self._done.wait(_SAMPLE_SECONDS):
                return


def _size(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(FileNotFoundError):  # removed meanwhile
                total += Path(folder, name).lstat().st_blocks * 512
    return total
