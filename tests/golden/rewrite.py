"""The generated files that are kept in the repository: `make golden` rewrites them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sashiko.files import canonical_json
from sashiko.recipe import Recipe
from sashiko.settings import Settings

ROOT = Path(__file__).parents[2]
_ACCOUNT = "111122223333"  # the account of AWS's documentation


def recipe_schema() -> dict[str, Any]:
    """A recipe may extend another one, and then needs no key of its own."""
    schema = Recipe.model_json_schema()
    schema["properties"]["extends"] = {"type": "string", "description": "a recipe to lay this over"}
    schema["anyOf"] = [{"required": ["extends"]}, {"required": schema.pop("required")}]
    return schema


def settings_schema() -> dict[str, Any]:
    """An environment's file holds any part of the settings; base.yaml holds the rest."""
    schema = Settings.model_json_schema()
    schema.pop("required")
    schema["properties"].pop("environment")
    return schema


def definition(recipe: str) -> bytes:
    """The definition as `python -m pipelines` prints it, in a process of its own.

    It is built from upstream's files alone: a fork may change every environment's settings, local's
    too, and the golden files stay as they are.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in ("contracts", "recipes"):
            (Path(folder) / name).symlink_to(ROOT / name)
        (Path(folder) / "config").mkdir()
        shutil.copy(ROOT / "config/base.yaml", Path(folder) / "config/base.yaml")
        (Path(folder) / "config/local.yaml").write_text(f'account: "{_ACCOUNT}"\n')
        return subprocess.run(
            [sys.executable, "-m", "pipelines", "--env", "local", "--recipe", recipe],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        ).stdout


def schemas() -> dict[Path, bytes]:
    """Path -> content of the JSON Schemas."""
    return {
        ROOT / "schemas/recipe.schema.json": canonical_json(recipe_schema()),
        ROOT / "schemas/settings.schema.json": canonical_json(settings_schema()),
    }


def definitions() -> dict[Path, bytes]:
    """Path -> content of the golden definitions."""
    return {
        ROOT / "tests/golden/complaints.definition.json": definition("recipes/complaints.yaml"),
    }


if __name__ == "__main__":
    for path, content in (schemas() | definitions()).items():
        path.write_bytes(content)
        json.loads(content)
        print(path.relative_to(ROOT))
