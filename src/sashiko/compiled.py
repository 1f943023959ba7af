"""The pipeline's definition JSON, built in a process of its own and kept by what it depends on."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from sashiko.dependencies import Reads, installed
from sashiko.errors import InputError
from sashiko.files import canonical_json, read_json, sha256_bytes, write_bytes, write_json
from sashiko.recipe import Recipe
from sashiko.repository import source
from sashiko.settings import Settings
from sashiko.yaml_models import Frozen, validate

_PIPELINES = Path("pipelines")
# All of the environment that the build gets, so that a definition depends on nothing else of it.
_PLACES = ("PATH", "TMPDIR", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
_KEPT = re.compile(r"GIT_DIR|GIT_WORK_TREE|HOME|LANG|LANGUAGE|LC_\w+|TZ|LD_LIBRARY_PATH|PYTHONPATH")
_NO_AWS_FILES = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


class _Built(Frozen):
    """What `python -m pipelines --with-reads` prints: a definition, and what the build has read."""

    definition: str
    reads: Reads


class _Entry(Frozen):
    """A definition and what it was built from, besides settings and recipe.

    Attributes:
        surroundings: hex SHA-256 of Python's version, of what is installed of the run's lock and of
            the environment.
        reads: what the build has read.
        definition: the text.
        sha256: of the definition.
    """

    surroundings: str
    reads: Reads
    definition: str
    sha256: str


def compiled_definition(settings: Settings, recipe: Recipe, *, home: Path) -> str:
    """Returns the definition, from the cache if nothing that it depends on has changed.

    The SageMaker SDK takes seconds to import, so it stays in a subprocess, which says what it has
    read: code, contract, data files, listed folders. A definition is taken from the cache if each
    of them, the settings, the recipe, Python and the installed packages of the run's lock are
    what they were.

    Args:
        settings: the environment.
        recipe: the recipe, overrides included.
        home: the local state, for the cache and the subprocess's input files.

    Returns:
        Indented JSON with a final newline.

    Raises:
        InputError: if `pipelines/` is not here, or the definition cannot be built.
    """
    if not _PIPELINES.is_dir():
        raise InputError("pipelines/ is not here: run the command in the repository's root")
    folder = home / "cache" / "definitions" / _key(settings, recipe)
    path = folder / "entry.json"
    surroundings = _surroundings()
    definition, why = _kept(path, surroundings)
    if definition is not None:
        return definition
    print(f"building the pipeline's definition{why}", file=sys.stderr)
    for name, value in {"settings": settings, "recipe": recipe}.items():
        write_bytes(folder / f"{name}.json", canonical_json(value.model_dump(mode="json")))
    built = _build(folder)
    entry = _Entry(
        surroundings=surroundings,
        reads=built.reads,
        definition=built.definition,
        sha256=sha256_bytes(built.definition.encode()),
    )
    write_json(path, entry.model_dump(mode="json"))
    return built.definition


def _key(settings: Settings, recipe: Recipe) -> str:
    parts = {
        "recipe": recipe.model_dump(mode="json"),
        "settings": settings.model_dump(mode="json"),
        # In an account the definition names the commit's run manifest.
        "source": None if settings.tier == "local" else asdict(source()),
    }
    return sha256_bytes(canonical_json(parts))[:16]


def _surroundings() -> str:
    variables = {name: value for name, value in os.environ.items() if _KEPT.fullmatch(name)}
    parts = {"python": sys.version, "installed": installed(), "variables": variables}
    return sha256_bytes(canonical_json(parts))


def _kept(path: Path, surroundings: str) -> tuple[str | None, str]:
    """Returns the definition of an entry that still holds; else why one does not hold."""
    if not path.exists():
        return None, ""
    try:
        entry = validate(_Entry, read_json(path), source=str(path))
    except InputError:
        return None, f": {path} is damaged or of another version"
    if sha256_bytes(entry.definition.encode()) != entry.sha256:
        return None, f": {path} is damaged"
    if entry.surroundings != surroundings:
        return None, ": Python, what is installed or the environment has changed"
    changed = entry.reads.changed()
    return (entry.definition, "") if changed is None else (None, f": {changed} has changed")


def _build(folder: Path) -> _Built:
    """Builds the definition of the settings and the recipe in a folder."""
    command = [sys.executable, "-m", "pipelines", "--with-reads"]
    inputs = [f"--{name}={folder / name}.json" for name in ("settings", "recipe")]
    done = subprocess.run([*command, *inputs], capture_output=True, env=_environment(), check=False)
    if done.returncode == 0:
        return validate(_Built, json.loads(done.stdout), source=" ".join(command))
    text = done.stderr.decode(errors="replace")
    last = text.strip().splitlines()[-1] if text.strip() else f"exit status {done.returncode}"
    if last.startswith("error: "):
        raise InputError(last.removeprefix("error: "))
    sys.stderr.write(text)
    raise RuntimeError(f"{' '.join(command)} failed")


def _environment() -> Mapping[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _PLACES or _KEPT.fullmatch(name)
    }
    path = os.pathsep.join(filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH"))))
    return kept | _NO_AWS_FILES | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
