"""Projects that `sashiko new` makes, as they synthesize and are deployed to the emulator."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from verification.deploy.process import Emulator


@dataclass(frozen=True)
class Made:
    """A project with an environment."""

    root: Path
    environment: str
    python: Path = Path(sys.executable)  # it has the engine

    def run(self, *arguments: str, **variables: str) -> str:
        """Runs Python in the project; returns what it printed.

        Raises:
            AssertionError: if it fails.
        """
        tools = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        # tests/infra has CDK's own check of every template.
        fixed = {"PYTHONPATH": f"{self.root}/src", "PATH": tools, "CDK_VALIDATION": "false"}
        done = subprocess.run(
            [str(self.python), *arguments], cwd=self.root, env=os.environ | fixed | variables,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def sashiko(self, *arguments: str) -> str:
        return self.run("-c", "from sashiko.cli import main; main()", *arguments)

    def synthesize(self, folder: Path) -> Path:
        """Writes `cdk.out` and `config`, with which the command line runs, to a new folder."""
        shutil.copytree(self.root / "config", folder / "config")
        shutil.copy(self.root / "cdk.json", folder)
        context = json.loads((folder / "cdk.json").read_text())["context"]
        context |= {"env": self.environment}
        variables = {"CDK_CONTEXT_JSON": json.dumps(context), "CDK_OUTDIR": f"{folder}/cdk.out"}
        self.run("-m", "infra.app", **variables)
        return folder

    def bootstrap(self, emulator: Emulator, folder: Path) -> None:
        policies = folder / "policies"
        shutil.copytree(folder / "cdk.out/bootstrap", policies / "cdk.out")
        shutil.copy(folder / "cdk.json", policies)
        emulator.cdk("deploy", "--require-approval=never", folder=policies)
        options = self.run("-m", "sashiko_cdk.bootstrap", self.environment).split()
        emulator.cdk("bootstrap", *options, folder=policies)
