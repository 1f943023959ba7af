"""The stacks of each environment with an account: they synthesize, and break no security rule."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = sorted(
    path.stem for path in (ROOT / "config").glob("*.yaml") if path.stem not in {"base", "local"}
)


@pytest.mark.skipif(shutil.which("node") is None, reason="the CDK needs Node.js 18")
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_stacks_synthesize(environment: str, tmp_path: Path) -> None:
    context = json.loads((ROOT / "cdk.json").read_text())["context"] | {"env": environment}
    variables = {"CDK_CONTEXT_JSON": json.dumps(context), "CDK_OUTDIR": str(tmp_path)}
    completed = subprocess.run(
        [sys.executable, "-m", "infra.app"],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if "# review" in completed.stderr:
        pytest.skip("a recipe is a draft: review its guesses")
    assert completed.returncode == 0, completed.stderr
    assert list(tmp_path.glob("*.template.json"))
