"""A copy of the repository, to break guards and run tests in."""

import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from verification.guards.table import Mutation

Outcome = Literal["passed", "failed", "error", "skipped"]
_PATIENCE_SECONDS = 1800  # a bound on a hang, not on a busy machine
_FINISHED = (0, 1)  # of pytest: all passed, some failed; else it did not get to the tests
# The worst of a test's cases counts: a mutation that one of them sees is seen.
_WORST: tuple[Outcome, ...] = ("failed", "error", "skipped", "passed")
_OUTCOMES: Mapping[str, Outcome] = {"failure": "failed", "error": "error", "skipped": "skipped"}
# What tests need and git does not know.
_INSTALLED = ("node_modules", ".venv-serving")


def copy_tree(root: Path, folder: Path) -> None:
    """Copies the tracked and untracked, not ignored files into a new repository."""
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / name, follow_symlinks=False)
    _git(folder, "init", "--quiet")
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message", "A copy")
    for name in _INSTALLED:
        if (root / name).is_dir():
            (folder / name).symlink_to((root / name).resolve())
    with (folder / ".git/info/exclude").open("a") as excluded:
        excluded.writelines(f"/{name}\n" for name in _INSTALLED)


def head(root: Path) -> str:
    """Returns the commit that is checked out."""
    return _git(root, "rev-parse", "HEAD").strip()


@contextmanager
def mutated(folder: Path, mutation: Mutation) -> Iterator[None]:
    """Changes a file of a copy, and takes the change back."""
    file = folder / mutation.file
    before = file.read_text(encoding="utf-8")
    try:
        _write(file, before.replace(mutation.there, mutation.put))
        yield
    finally:
        _write(file, before)


def _write(file: Path, text: str) -> None:
    """Python takes bytecode of the same second and size for the file's, so that goes too."""
    file.write_text(text, encoding="utf-8")
    for compiled in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):
        compiled.unlink()


def _git(folder: Path, *arguments: str) -> str:
    """Runs git as nobody in particular, whatever this machine's own settings are."""
    person = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.com")
    return subprocess.run(
        ["git", *person, *arguments],
        cwd=folder,
        env=os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


class TrialError(Exception):
    """The tests did not run to their end."""


def run_tests(
    folder: Path,
    tests: Sequence[str],
    *,
    processes: int = 1,
    environ: Mapping[str, str] | None = None,
) -> Mapping[str, Outcome]:
    """Runs tests, as pytest names them without parameters, with the code of a copy.

    Returns:
        Test -> outcome, over all of its parameters.

    Raises:
        TrialError: if a test could not be collected, or there was no end to it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "junit.xml"
        command = [sys.executable, "-m", "pytest", f"--junitxml={report}", "-p", "no:randomly"]
        command += ["-n", str(processes), "--dist", "loadfile"] if processes > 1 else []
        own = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        # The installed package is the checkout's: the copy's comes before it.
        own |= {"PYTHONPATH": str(folder / "src"), **(environ or {})}
        try:
            ended = subprocess.run(
                [*command, *dict.fromkeys(tests)], cwd=folder, env=own, capture_output=True,
                text=True, check=False, timeout=_PATIENCE_SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise TrialError(f"no end after {_PATIENCE_SECONDS} seconds") from error
        if ended.returncode not in _FINISHED or not report.is_file():
            last = "\n".join((ended.stdout + ended.stderr).splitlines()[-15:])
            raise TrialError(f"pytest ended with status {ended.returncode}:\n{last}")
        outcomes = _outcomes(report)
    return {test: _worst(outcomes.get(test, [])) for test in tests}


def _outcomes(report: Path) -> dict[str, list[Outcome]]:
    outcomes: dict[str, list[Outcome]] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest has written it just now
        test = f"{case.attrib['classname'].replace('.', '/')}.py::{case.attrib['name']}"
        kinds = {child.tag for child in case}
        outcome = next((_OUTCOMES[kind] for kind in _OUTCOMES if kind in kinds), "passed")
        outcomes.setdefault(test.partition("[")[0], []).append(outcome)
    return outcomes


def _worst(outcomes: Sequence[Outcome]) -> Outcome:
    if not outcomes:
        raise TrialError("a test was not run")
    return next(outcome for outcome in _WORST if outcome in outcomes)
