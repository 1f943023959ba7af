"""The pipeline's definition JSON, built in a process of its own and kept by what it depends on."""

import os
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from sashiko.errors import InputError
from sashiko.files import canonical_json, sha256_bytes, sha256_file, write_bytes
from sashiko.recipe import Recipe
from sashiko.repository import contract_file, source
from sashiko.settings import Settings

_PIPELINES = Path("pipelines")


def compiled_definition(settings: Settings, recipe: Recipe, *, home: Path) -> str:
    """Returns the definition, from the cache if nothing that it depends on has changed.

    The SageMaker SDK takes seconds to import, so it stays in a subprocess that runs only when the
    pipeline's code, the package's, the settings, the recipe, the contract or the SDK changed.

    Args:
        settings: the environment.
        recipe: the recipe, overrides included.
        home: the local state, for the cache and the subprocess's recipe file.

    Returns:
        Indented JSON with a final newline.

    Raises:
        InputError: if `pipelines/` is not here, or the definition cannot be built.
    """
    if not _PIPELINES.is_dir():
        raise InputError("pipelines/ is not here: run the command in the repository's root")
    folder = home / "cache" / "definitions" / _key(settings, recipe)
    path = folder / "definition.json"
    if not path.is_file():
        files = {"settings": settings, "recipe": recipe}
        for name, value in files.items():
            write_bytes(folder / f"{name}.json", canonical_json(value.model_dump(mode="json")))
        write_bytes(path, _build(folder))
    return path.read_text()


def _key(settings: Settings, recipe: Recipe) -> str:
    code = [*sorted(_PIPELINES.glob("*.py")), *sorted(Path(__file__).parent.rglob("*.py"))]
    parts = {
        "code": [sha256_file(path) for path in code],
        "contract": sha256_file(contract_file(recipe)),
        "recipe": recipe.model_dump(mode="json"),
        "settings": settings.model_dump(mode="json"),
        "sagemaker": version("sagemaker"),
        # In an account the definition names the commit's run manifest.
        "source": None if settings.environment == "local" else asdict(source()),
    }
    return sha256_bytes(canonical_json(parts))[:16]


def _build(folder: Path) -> bytes:
    """Builds the definition of the settings and the recipe in a folder."""
    command = [sys.executable, "-m", "pipelines"]
    print("building the pipeline's definition", file=sys.stderr)
    inputs = [f"--{name}={folder / name}.json" for name in ("settings", "recipe")]
    done = subprocess.run(
        [*command, *inputs],
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        check=False,
    )
    if done.returncode == 0:
        return done.stdout
    text = done.stderr.decode(errors="replace")
    last = text.strip().splitlines()[-1] if text.strip() else f"exit status {done.returncode}"
    if last.startswith("error: "):
        raise InputError(last.removeprefix("error: "))
    sys.stderr.write(text)
    raise RuntimeError(f"{' '.join(command)} failed")
