"""Runs tests in a copy of the repository, and reports which of them failed."""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

Outcome = Literal["passed", "failed", "error", "skipped"]
_PATIENCE_SECONDS = 1800  # a bound on a hang, not on a busy machine
_FINISHED = (0, 1)  # of pytest: all passed, some failed; else it did not get to the tests
# The worst of a test's cases counts: a mutation that one of them sees is seen.
_WORST: tuple[Outcome, ...] = ("failed", "error", "skipped", "passed")


class TrialError(Exception):
    """The tests did not run to their end."""


def run_tests(
    folder: Path,
    tests: Sequence[str],
    *,
    processes: int = 1,
    environ: Mapping[str, str] | None = None,
) -> Mapping[str, Outcome]:
    """Runs tests with the code of a copy.

    Args:
        folder: the copy.
        tests: as pytest has them, without parameters.
        processes: how many to run them in.
        environ: further environment variables.

    Returns:
        Test -> outcome, over all of its parameters.

    Raises:
        TrialError: if a test could not be collected, or there was no end to it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "junit.xml"
        command = [sys.executable, "-m", "pytest", f"--junitxml={report}", "-p", "no:randomly"]
        command += ["-n", str(processes), "--dist", "loadfile"] if processes > 1 else []
        try:
            ended = subprocess.run(
                [*command, *dict.fromkeys(tests)],
                cwd=folder,
                env=_environment(folder) | dict(environ or {}),
                capture_output=True,
                text=True,
                check=False,
                timeout=_PATIENCE_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise TrialError(f"no end after {_PATIENCE_SECONDS} seconds") from error
        if ended.returncode not in _FINISHED or not report.is_file():
            last = "\n".join((ended.stdout + ended.stderr).splitlines()[-15:])
            raise TrialError(f"pytest ended with status {ended.returncode}:\n{last}")
        outcomes = _outcomes(report)
    return {test: _worst(outcomes.get(test, [])) for test in tests}


def _environment(folder: Path) -> dict[str, str]:
    """The installed package is the checkout's: the copy's comes before it."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    return environ | {"PYTHONPATH": str(folder / "src")}


def _outcomes(report: Path) -> dict[str, list[Outcome]]:
    outcomes: dict[str, list[Outcome]] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest has written it just now
        test = f"{case.attrib['classname'].replace('.', '/')}.py::{case.attrib['name']}"
        kinds = {child.tag for child in case}
        outcome: Outcome = "passed"
        if "failure" in kinds:
            outcome = "failed"
        elif "error" in kinds:
            outcome = "error"
        elif "skipped" in kinds:
            outcome = "skipped"
        outcomes.setdefault(test.partition("[")[0], []).append(outcome)
    return outcomes


def _worst(outcomes: Sequence[Outcome]) -> Outcome:
    if not outcomes:
        raise TrialError("a test was not run")
    return next(outcome for outcome in _WORST if outcome in outcomes)
