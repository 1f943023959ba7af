"""The command line in the process of the test: one of its own takes seconds to start."""

import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from sashiko.cli import main

ROOT = Path.cwd()  # tests/conftest.py: with the samples


def sashiko(
    *arguments: str | Path, cwd: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess:
    status = 0
    # Files, as a command may hand its output on to a process.
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(cwd)
            patch.setattr(sys, "argv", ["sashiko", *map(str, arguments)])
            for name, value in variables.items():
                patch.setenv(name, value)
            try:
                main()
            except SystemExit as end:
                status = end.code or 0
        printed = [file.seek(0) or file.read() for file in (out, err)]
    return subprocess.CompletedProcess(arguments, status, *printed)
