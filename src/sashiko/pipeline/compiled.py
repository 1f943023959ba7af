"""A pipeline's definition and channels, built in a subprocess and cached while they are valid."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sashiko
from sashiko.base.deprecation import printed_deprecations
from sashiko.base.files import (
    canonical_json,
    read_json,
    sha256_bytes,
    sha256_file,
    walk_files,
    write_bytes,
    write_json,
)
from sashiko.base.yaml_models import Frozen, validate
from sashiko.errors import InputError
from sashiko.packs import load_packs, pack_folders
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.pipeline.definition.graph import check_gates
from sashiko.pipeline.dependencies import installed, source_folders
from sashiko.pipeline.project import FINETUNE, source
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.steps.sections import Channel

__all__ = ["CompiledPipeline", "compile_pipeline", "compile_pipelines"]

_PIPELINES = Path("pipelines")
_CODE = (_PIPELINES, Path("src"))
# The build gets these variables only, so that a definition depends on no other.
_PATHS = ("PATH", "TMPDIR", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
_INHERITED = re.compile(
    r"GIT_DIR|GIT_WORK_TREE|HOME|LANG|LANGUAGE|LC_\w+|TZ|LD_LIBRARY_PATH|PYTHONPATH"
)
_NO_AWS_FILES = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


class CompiledPipeline(Frozen):
    """A recipe's pipeline in an environment."""

    definition: str  # indented JSON with a final newline
    channels: tuple[Channel, ...]  # the files to stage for its steps

    @property
    def sha256(self) -> str:
        """Returns the hex digest of both."""
        return sha256_bytes(canonical_json(self.model_dump(mode="json")))


class _Entry(Frozen):
    """A cache entry: a pipeline and what it was built from, besides settings and recipe."""

    # Hex SHA-256 of Python's version, the installed packages of the run's lock and the environment
    # variables.
    surroundings: str
    sources: dict[str, str]  # path -> hex SHA-256 of each file that a build may read
    pipeline: CompiledPipeline  # the pipeline
    sha256: str  # the digest of the pipeline


def compile_pipeline(
    settings: Settings, recipe: Recipe, *, home: Path, pipeline: str = FINETUNE
) -> CompiledPipeline:
    """Returns one of a recipe's pipelines; see `compile_pipelines`."""
    (compiled,) = compile_pipelines(settings, recipe, home=home, names=(pipeline,))
    return compiled


def compile_pipelines(
    settings: Settings, recipe: Recipe, *, home: Path, names: Sequence[str] | None = None
) -> tuple[CompiledPipeline, ...]:
    """Returns pipelines of a recipe, from the cache if nothing that they depend on has changed.

    The SageMaker SDK takes seconds to import, so it stays in a subprocess, one for all of them. A
    pipeline is taken from the cache if the settings, the recipe, the contract, the code of project
    and engine, Python and the installed packages of the run's lock are unchanged.

    `home` is the folder of all local state; `names` are modules of `pipelines/`, by default the one
    that trains, then those of the packs.

    Raises:
        InputError: if `pipelines/` is not here, or one is unknown or cannot be built.
    """
    known = pipeline_modules(settings)
    names = known if names is None else names
    for name in names:
        if name not in known:
            raise InputError(f"there is no pipeline `{name}`; there is: {', '.join(known)}")
    if not _PIPELINES.is_dir():
        raise InputError("there is no pipelines/ here: run the command in the repository's root")
    from sashiko.account.images.job_images import job_images

    parts: dict[str, Any] = {
        "recipe": recipe.model_dump(mode="json"),
        "settings": settings.model_dump(mode="json"),
    }
    if settings.tier != "local":
        # In an account the definition names the commit's run manifest, and images by their content.
        images = job_images(settings, recipe.compile.target).of_jobs()
        parts |= {"source": asdict(source()), "images": [image.uri for image in images]}
    folder = home / "cache" / "definitions" / sha256_bytes(canonical_json(parts))[:16]
    variables = {name: value for name, value in os.environ.items() if _INHERITED.fullmatch(name)}
    around = {"python": sys.version, "installed": installed(), "variables": variables}
    surroundings = sha256_bytes(canonical_json(around))
    root = Path.cwd()
    folders = {root / name for name in _CODE} | {Path(sashiko.__file__).parent, *pack_folders()}
    # `base.yaml` says which packs are on, and so which sections a recipe has.
    files = {root / "config/base.yaml", root / recipe.contract, *root.glob("*.py")}
    files |= {file for code in folders for file in walk_files(code)}
    sources = {
        os.path.relpath(file): sha256_file(file)
        for file in sorted(files)
        if "__pycache__" not in file.parts and file.is_file()
    }
    compiled: dict[str, CompiledPipeline] = {}
    for name in names:
        cached, reason = _read_entry(folder / f"{name}.json", surroundings, sources)
        if cached is None:
            print(f"building the definition of pipelines/{name}.py{reason}", file=sys.stderr)
        else:
            compiled[name] = cached
    if missing := [name for name in names if name not in compiled]:
        for part, value in {"settings": settings, "recipe": recipe}.items():
            write_bytes(folder / f"{part}.json", canonical_json(value.model_dump(mode="json")))
        for name, built in zip(missing, _build(folder, missing), strict=True):
            entry = _Entry(
                surroundings=surroundings, sources=sources, pipeline=built, sha256=built.sha256
            )
            write_json(folder / f"{name}.json", entry.model_dump(mode="json"))
            compiled[name] = built
    return tuple(compiled[name] for name in names)


def pipeline_modules(settings: Settings) -> tuple[str, ...]:
    """Returns the modules of `pipelines/`: the one that trains, then those of the packs."""
    packs = load_packs(settings.packs, source="settings")
    return (FINETUNE, *(one.module for pack in packs for one in pack.pipelines))


def _read_entry(
    path: Path, surroundings: str, sources: Mapping[str, str]
) -> tuple[CompiledPipeline | None, str]:
    """Returns the pipeline of a valid entry, or None and the reason that there is none."""
    if not path.exists():
        return None, ""
    try:
        entry = validate(_Entry, read_json(path), source=str(path))
    except InputError:
        return None, f": {path} is damaged or of another version"
    if entry.pipeline.sha256 != entry.sha256:
        return None, f": {path} is damaged"
    if entry.surroundings != surroundings:
        return None, ": Python, its packages or the environment has changed"
    for file in sources.keys() | entry.sources.keys():
        if sources.get(file) != entry.sources.get(file):
            return None, f": {file} has changed"
    return entry.pipeline, ""


def _build(folder: Path, names: Sequence[str]) -> list[CompiledPipeline]:
    command = [sys.executable, "-m", "sashiko.pipeline.sdk", "--with-channels"]
    command += [f"--pipeline={name}" for name in names]
    inputs = [f"--{name}={folder / name}.json" for name in ("settings", "recipe")]
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in _PATHS or _INHERITED.fullmatch(name)
    }
    paths = (Path.cwd(), *source_folders(), os.environ.get("PYTHONPATH"))
    path = os.pathsep.join(str(item) for item in paths if item)
    environment |= _NO_AWS_FILES | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
    completed = subprocess.run(
        [*command, *inputs], capture_output=True, env=environment, check=False
    )
    text = completed.stderr.decode(errors="replace")
    if completed.returncode == 0:
        sys.stderr.write(printed_deprecations(text))  # the rest is the SDK's
        where = " ".join(command)
        lines = completed.stdout.splitlines()
        built = [validate(CompiledPipeline, json.loads(line), source=where) for line in lines]
        for item in built:
            check_gates(parse_definition(json.loads(item.definition)))
        return built
    last = text.strip().splitlines()[-1] if text.strip() else f"exit status {completed.returncode}"
    if last.startswith("error: "):
        raise InputError(last.removeprefix("error: "))
    sys.stderr.write(text)
    raise RuntimeError(f"{' '.join(command)} failed")
