"""How long the stacks take on this machine: synth, their tests, and their life against an emulator.

    python -m verification.benchmarks.stacks

The first synth of each environment pays for what jsii unpacks; the second is what a developer waits
for. Run it on a quiet machine, after `make test-infra` has set everything up.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from verification.benchmarks.runs import machine

_ENVIRONMENTS = ("dev", "prod")
# Seconds: what the project promises on two quiet cores.
_ONE_SYNTH, _ALL_SYNTHS, _INFRA_TESTS, _LIFE_CYCLE = 20, 60, 90, 120
_QUIET = {
    "CDK_DISABLE_CLI_TELEMETRY": "1",
    "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
    "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
    "NODE_NO_WARNINGS": "1",
}


def main() -> None:
    """Prints a Markdown table on stdout."""
    print(f"On {machine()}.\n\n| what | s | promised, s |\n|---|---|---|", flush=True)
    for environment in _ENVIRONMENTS:
        _synth(environment)
    repeated = [_synth(environment) for environment in _ENVIRONMENTS]
    for environment, seconds in zip(_ENVIRONMENTS, repeated, strict=True):
        _row(f"`cdk synth -c env={environment}`", seconds, _ONE_SYNTH)
    _row("all environments", sum(repeated), _ALL_SYNTHS)
    pytest = [sys.executable, "-m", "pytest", "-q", "--dist", "loadfile"]
    _row("tests/infra", _time_command([*pytest, "-n", "auto", "tests/infra"]), _INFRA_TESTS)
    life = [*pytest, "-n", "0", "verification/deploy/test_life_cycle.py"]
    _row("verification/deploy/test_life_cycle.py", _time_command(life), _LIFE_CYCLE)


def _synth(environment: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = ["npx", "--no-install", "cdk", "synth", "-q", "--output", folder]
        return _time_command([*command, "-c", f"env={environment}"])


def _time_command(command: Sequence[str]) -> float:
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | _QUIET)
    return time.monotonic() - start


def _row(what: str, seconds: float, promised: int) -> None:
    print(f"| {what} | {seconds:.0f} | {promised} |", flush=True)


if __name__ == "__main__":
    main()
