"""The Makefile's errors, with an interpreter that fails in its way."""

import subprocess
from pathlib import Path

import pytest

from tests.project_root import REPOSITORY

PYTHON = """#!/bin/sh
case "$*" in
  *version_info*) exit 0 ;;
  "-m venv"*) echo "Error: [Errno 28] No space left on device" >&2; exit 1 ;;
  *ensurepip*) exit {ensurepip} ;;
esac
echo Python 3.11.7
"""


@pytest.mark.parametrize(
    ("ensurepip", "fix"),
    [(0, "see above"), (1, "it lacks ensurepip; on Debian: apt-get install python3-venv")],
)
def test_an_environment_that_cannot_be_made_has_its_own_reason(
    tmp_path: Path, ensurepip: int, fix: str
) -> None:
    for name in ("Makefile", "engine.mk"):
        (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/uv.txt").touch()
    python = tmp_path / "python3.11"
    python.write_text(PYTHON.format(ensurepip=ensurepip))
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "-C", str(tmp_path), ".venv/bin/.uv", f"PYTHONS={python}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
    assert f"error: {python} cannot make .venv: {fix}\n" in done.stderr
