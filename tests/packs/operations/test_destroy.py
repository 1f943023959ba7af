"""`make destroy`: the cap is closed again, or the error says that it is open."""

import subprocess
from pathlib import Path

import pytest

from tests.project_root import REPOSITORY

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
