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
    [(0, "see above"), (1, "it lacks ensurepip; on Debian: apt-get install python3.11-venv")],
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


CAPS = """#!/bin/sh
case "$*" in *trust=open*) exit 0 ;; esac
exit {closes}
"""


@pytest.mark.parametrize("destroyed", [0, 1])
@pytest.mark.parametrize("closes", [0, 1])
def test_a_destroy_that_could_not_close_the_cap_is_an_error_that_says_so(
    tmp_path: Path, destroyed: int, closes: int
) -> None:
    """Such as with credentials that expired while the stacks were deleted."""
    scripts = {
        "sashiko": "#!/bin/sh\n",
        "caps": CAPS.format(closes=closes),
        "cdk": f"#!/bin/sh\nexit {destroyed}\n",
    }
    for name, text in scripts.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        [
            "make", "destroy", "ENV=dev", f"BIN={tmp_path}", f"CAPS={tmp_path}/caps",
            f"CDK={tmp_path}/cdk", "-o", f"{tmp_path}/.infra", "-o", "node_modules/.done",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode != 0) == bool(destroyed or closes)
    error = "error: deploys may still change who assumes the roles, until: make bootstrap ENV=dev"
    assert (error in done.stderr) == bool(closes)
