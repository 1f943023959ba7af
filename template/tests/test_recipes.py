"""Each recipe fits its contract, and its pipeline is one that SageMaker takes."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))


def test_there_is_a_recipe() -> None:
    assert RECIPES


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_definition_has_no_problem(recipe: str) -> None:
    command = [Path(sys.executable).with_name("sashiko"), "definition", "--check"]
    completed = subprocess.run(
        [*command, "--recipe", recipe], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if "# review" in completed.stderr:
        pytest.skip(f"{recipe} is a draft: review its guesses")
    assert completed.returncode == 0, completed.stderr
