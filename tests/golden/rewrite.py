"""The generated files that are kept in the repository: `make golden` rewrites them."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from sashiko.account.access.environment_access import read_environment
from sashiko.base.files import canonical_json
from sashiko.commands.permissions import as_json
from sashiko.packs import Pack, enabled_packs
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
Command = tuple[Path, list[str]]  # of `python -m sashiko.pipeline.sdk`: where it runs, arguments


# Upstream's own list: a fork's may be shorter.
_PACKS = enabled_packs(folder=REPOSITORY / "config")


def _mark_packs(schema: dict[str, Any], sections: Callable[[Pack], Iterable[str]]) -> None:
    """Says of each section of a pack whose it is (`x-pack`), and of what it alone refers to."""
    properties, definitions = schema["properties"], schema["$defs"]
    owners = {key: pack.name for pack in _PACKS for key in sections(pack)}
    used: dict[str, set[str]] = {}  # definition -> its users: packs, and the core as ""
    for key, section in properties.items():
        owner, texts = owners.get(key, ""), [json.dumps(section)]
        if owner:
            section["x-pack"] = owner
        while texts:
            for name in re.findall(r'"#/\$defs/(\w+)"', texts.pop()):
                if owner not in used.setdefault(name, set()):
                    used[name].add(owner)
                    texts.append(json.dumps(definitions[name]))
    for name, users in used.items():
        if "" not in users and len(users) == 1:
            definitions[name]["x-pack"] = min(users)


def without_packs(schema: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Leaves the parts of packs out that are not among `names`."""
    others = {"", *names}
    for part in ("properties", "$defs"):
        kept = schema.get(part, {}).items()
        schema[part] = {key: value for key, value in kept if value.get("x-pack", "") in others}
    required = schema.get("required")
    if required is not None:
        schema["required"] = [key for key in required if key in schema["properties"]]
    return schema


def recipe_schema() -> dict[str, Any]:
    """A recipe may extend another one, and then needs no key of its own, nor all of a section."""
    schema = recipe_model(_PACKS).model_json_schema()
    _mark_packs(schema, lambda pack: pack.recipe_sections)
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
    _mark_packs(schema, lambda pack: pack.environment_sections)
    for part in (schema, *schema["$defs"].values()):
        part.pop("required")
    schema["properties"].pop("environment")
    return schema


def upstream_command(folder: Path, environment: str) -> Command:
    """A command that prints a definition of upstream's files alone.

    A fork may change every environment's settings, local's too, and the golden files stay as they
    are. The folder is no checkout, so no commit is in the definition.

    Args:
        folder: gets the files.
        environment: the environment's name, which is its tier.
    """
    folder.mkdir()
    for part in ("contracts", "recipes", *IMAGES):
        (folder / part).symlink_to(ROOT / part)
    (folder / "config").mkdir()
    shutil.copy(ROOT / "config/base.yaml", folder / "config/base.yaml")
    (folder / f"config/{environment}.yaml").write_text(
        f'tier: {environment}\naccount: "{_ACCOUNT}"\n'
    )
    settings = load_settings(environment, folder=folder / "config")
    (folder / "settings.json").write_text(settings.model_dump_json())
    return folder, ["--settings=settings.json", "--recipe=recipes/complaints.yaml"]


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
    """Path -> content of the golden logical ids of stateful resources."""
    from tests.golden.parts import write_parts
    from tests.infra.variants import synthesized

    files: dict[Path, bytes] = {}
    for name in ("dev", "prod"):
        files |= write_parts(f"stateful_ids.{name}.json", stateful_ids(synthesized(name)))
    return files


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


def definition_commands(folder: Path) -> dict[str, Command]:
    """Name -> the command that prints a golden definition, in a new folder below this one."""
    return {
        f"complaints.definition{suffix}.json": upstream_command(folder / environment, environment)
        for environment, suffix in (("local", ""), ("dev", ".dev"))
    }


def golden_definition(name: str, text: bytes) -> bytes:
    """What the golden file keeps of what its command prints."""
    return _untagged(text) if name.endswith(".dev.json") else text


def definitions() -> dict[Path, bytes]:
    """Path -> content of the golden definitions."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/src"}
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (own, arguments) in definition_commands(Path(folder)).items():
            command = [sys.executable, "-m", "sashiko.pipeline.sdk", *arguments]
            done = subprocess.run(
                command, cwd=own, env=environment, stdout=subprocess.PIPE, check=True
            )
            files[ROOT / "tests/golden" / name] = golden_definition(name, done.stdout)
    return files


def _untagged(text: bytes) -> bytes:
    """Leaves the content out of our images' tags, and the digest of both: it changes with each line
    of code.
    """
    digest = rb'("Name": "DefinitionSha256",\s+"Type": "String",\s+"DefaultValue": ")[0-9a-f]{64}'
    untagged = re.sub(rb"(:[0-9]+\.[0-9.]+)-[0-9a-f]{12}\b", rb"\1-CONTENT", text)
    return re.sub(digest, rb"\1DIGEST", untagged)


def access(name: str) -> dict[str, dict[str, Any]]:
    """Who reads which column, reads and writes which objects, and acts as whom, in a variant.

    An entry each, so that a pack's are beside the core's.
    """
    from tests.infra.variants import settings_of, synthesized

    environment = read_environment(settings_of(name), folder=synthesized(name))
    entries_of: dict[str, dict[str, Any]] = {}
    values: Any = as_json(environment)
    for cell in values["cells"]:
        if cell["access"] != "denied":
            column = ".".join((cell["database"], cell["table"], cell["column"]))
            entries_of.setdefault(column, {})[cell["principal"]] = [*cell["grounds"], *cell["rows"]]
    for item in values["objects"]:
        for use in ("reads", "writes"):
            entries = entries_of.setdefault(f"{item['principal']} {use} of {item['bucket']}", {})
            entries |= dict.fromkeys(item[use], "allowed")
    duties = values["duties"]
    for duty in ("registers", "approves"):
        entries_of[duty] = dict.fromkeys(duties[duty], "allowed")
    for duty in ("assumes", "passes"):
        entries_of[duty] = {f"{role} {other}": "allowed" for role, other in duties[duty]}
    entries_of["data-lake administrators"] = dict.fromkeys(values["admins"], "allowed")
    return entries_of


def permissions() -> dict[Path, bytes]:
    """Path -> content of who may do what, in the environments that the tests synthesize."""
    from tests.golden.parts import write_parts

    files: dict[Path, bytes] = {}
    for name in ("dev", "prod"):
        files |= write_parts(f"permissions.{name}.json", access(name))
    return files


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
