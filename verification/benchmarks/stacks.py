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
from collections.abc import Iterator

from verification.benchmarks.bench import machine, options, show, table

_QUIET = {
    "CDK_DISABLE_CLI_TELEMETRY": "1",
    "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
    "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
    "NODE_NO_WARNINGS": "1",
}


def main() -> None:
    """Prints a Markdown table on stdout."""
    options(__doc__)
    print(f"On {machine()}.\n")
    show(table(("what", "s", "promised, s"), _rows()))


def _rows() -> Iterator[tuple[str, str, int]]:
    repeated = [(_synth("dev"), _synth("prod")) for _ in range(2)][1]
    for environment, seconds in zip(("dev", "prod"), repeated, strict=True):
        yield f"`cdk synth -c env={environment}`", f"{seconds:.0f}", 20
    yield "all environments", f"{sum(repeated):.0f}", 60
    for path, processes, promised in (
        ("tests/infra", "auto", 90),
        ("verification/deploy/test_life_cycle.py", "0", 120),
    ):
        pytest = [sys.executable, "-m", "pytest", "-q", "--dist", "loadfile", "-n", processes, path]
        yield path, f"{_time(pytest):.0f}", promised


def _synth(environment: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = ["npx", "--no-install", "cdk", "synth", "-q", "--output", folder]
        return _time([*command, "-c", f"env={environment}"])


def _time(command: list[str]) -> float:
    start = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | _QUIET)
    return time.monotonic() - start


if __name__ == "__main__":
    main()
