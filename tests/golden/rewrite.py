"""The generated files that are kept in the repository: `make golden` rewrites them."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from sashiko.account.access.environment_access import read_environment
from sashiko.base.files import canonical_json
from sashiko.commands.permissions import text
from sashiko.packs import enabled_packs
from sashiko.settings.delivery import Delivery
from sashiko.settings.environment import load_settings, settings_model
from sashiko.settings.recipe import recipe_model

# Neither a package's module nor on the path where this file runs as a script.
_PROJECT = runpy.run_path(str(Path(__file__).parents[1] / "project_root.py"))
IMAGES = _PROJECT["IMAGES"]
if __name__ == "__main__":  # tests are there already
    os.chdir(_PROJECT["project_root"]())
ROOT = Path.cwd()
REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
_ACCOUNT = "111122223333"  # the account of AWS's documentation


# Upstream's own list: a fork's may be shorter.
_PACKS = enabled_packs(folder=REPOSITORY / "config")


def recipe_schema() -> dict[str, Any]:
    """A recipe may extend another one, and then needs no key of its own, nor all of a section."""
    schema = recipe_model(_PACKS).model_json_schema()
    for section in schema["properties"].values():
        if "$ref" in section:
            schema["$defs"][section["$ref"].rpartition("/")[2]].pop("required", None)
    schema["properties"]["extends"] = {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        "description": "a recipe to lay this over, or several: the later over the earlier",
    }
    schema["anyOf"] = [{"required": ["extends"]}, {"required": schema.pop("required")}]
    return schema


def settings_schema() -> dict[str, Any]:
    """An environment's file holds any part of the settings; base.yaml holds the rest."""
    schema = settings_model(_PACKS).model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        part.pop("required")
    schema["properties"].pop("environment")
    return schema


def definition(recipe: str, environment: str = "local", own: str = "") -> bytes:
    """The definition as `python -m sashiko.pipeline.sdk` prints it, in a process of its own.

    It is built from upstream's files alone: a fork may change every environment's settings, local's
    too, and the golden files stay as they are. Its folder is no checkout, so no commit is in it.

    Args:
        recipe: its path.
        environment: the environment's name.
        own: lines of the environment's file beside the account.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("contracts", "recipes", *IMAGES):
            (folder / part).symlink_to(ROOT / part)
        (folder / "config").mkdir()
        shutil.copy(ROOT / "config/base.yaml", folder / "config/base.yaml")
        (folder / f"config/{environment}.yaml").write_text(
            f'tier: {environment}\naccount: "{_ACCOUNT}"\n{own}'
        )
        settings = load_settings(environment, folder=folder / "config")
        (folder / "settings.json").write_text(settings.model_dump_json())
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "sashiko.pipeline.sdk",
                "--settings=settings.json",
                f"--recipe={recipe}",
            ],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/src"},
            capture_output=True,
            check=True,
        ).stdout


def stateful_ids(folder: Path) -> dict[str, dict[str, str]]:
    """Stack -> logical id -> type, of what an environment must never lose: see `STATEFUL`.

    Args:
        folder: the environment's templates.
    """
    from sashiko_cdk.security_rules.rules import STATEFUL

    return {
        file.name.removesuffix(".template.json"): {
            logical_id: resource["Type"]
            for logical_id, resource in json.loads(file.read_text())["Resources"].items()
            if resource["Type"] in STATEFUL or "RoleName" in resource.get("Properties", {})
        }
        for file in sorted(folder.glob("*.template.json"))
    }


def golden_ids() -> dict[Path, bytes]:
    """Path -> content of the golden logical ids of stateful resources.

    `delivery` is the tools' account.
    """
    from tests.infra.delivery import delivery_folder
    from tests.infra.variants import synthesized

    folders = {
        "dev": synthesized("dev"),
        "prod": synthesized("prod"),
        "delivery": delivery_folder(),
    }
    return {
        ROOT / f"tests/golden/stateful_ids.{name}.json": canonical_json(stateful_ids(folder))
        for name, folder in folders.items()
    }


def schemas() -> dict[Path, bytes]:
    """Path -> content of the JSON Schemas."""
    return {
        ROOT / "schemas/delivery.schema.json": canonical_json(Delivery.model_json_schema()),
        ROOT / "schemas/recipe.schema.json": canonical_json(recipe_schema()),
        ROOT / "schemas/settings.schema.json": canonical_json(settings_schema()),
    }


def samples() -> dict[Path, bytes]:
    """Path -> content of the copies of the shipped contracts and recipes that are still there."""
    copies = ROOT / "tests/samples"
    return {
        copies / path.relative_to(REPOSITORY): path.read_bytes()
        for folder in ("contracts", "recipes")
        for path in sorted((REPOSITORY / folder).glob("*.yaml"))
        if (copies / path.relative_to(REPOSITORY)).is_file()
    }


def definitions() -> dict[Path, bytes]:
    """Path -> content of the golden definitions."""
    recipe = "recipes/complaints.yaml"
    return {
        ROOT / "tests/golden/complaints.definition.json": definition(recipe),
        ROOT / "tests/golden/complaints.definition.dev.json": _untagged(definition(recipe, "dev")),
    }


def _untagged(text: bytes) -> bytes:
    """Leaves the content out of our images' tags, and the digest of both: it changes with each line
    of code.
    """
    digest = rb'("Name": "DefinitionSha256",\s+"Type": "String",\s+"DefaultValue": ")[0-9a-f]{64}'
    untagged = re.sub(rb"(:[0-9]+\.[0-9.]+)-[0-9a-f]{12}\b", rb"\1-CONTENT", text)
    return re.sub(digest, rb"\1DIGEST", untagged)


def permissions() -> dict[Path, bytes]:
    """Path -> content of the permission matrices, of the environments that the tests synthesize."""
    from tests.infra.variants import settings_of, synthesized

    return {
        ROOT / f"tests/golden/permissions.{name}.txt": text(
            read_environment(settings_of(name), folder=synthesized(name))
        ).encode()
        for name in ("dev", "prod")
    }


def of_packs() -> dict[Path, bytes]:
    """Path -> content of the files of each pack, which is in the module `golden` of its tests."""
    files: dict[Path, bytes] = {}
    for module in sorted((REPOSITORY / "tests/packs").glob("*/golden.py")):
        files |= runpy.run_path(str(module))["golden"]()
    return files


if __name__ == "__main__":
    written = schemas() | samples() | definitions() | golden_ids() | permissions() | of_packs()
    for path, content in written.items():
        path.write_bytes(content)
        print(path.relative_to(ROOT))
