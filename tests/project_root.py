"""The project that tests run in: this repository, with the shipped samples whatever became of them.

A team deletes the sample contracts and recipes, renames the project and points `config/` at data of
its own. Tests of the engine still need something to work on, and must not depend on that.
"""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[1]
SAMPLES = REPOSITORY / "tests" / "samples"
_FOLDERS = ("config", "contracts", "recipes")
# What the images of an environment with an account are made of, and named by.
IMAGES = (
    ".dockerignore", "LICENSE", "README.md", "images", "pyproject.toml", "requirements", "src",
)  # fmt: skip
_LEFT_OUT = (*_FOLDERS, ".git", ".sashiko", "cdk.out")


@functools.cache
def project_root() -> Path:
    """Returns the repository's root, or that of links to it with what it lacks of the samples.

    Where a sample contract or recipe is gone, or an environment's settings are no longer the
    shipped ones, a temporary folder links to all of the repository and has copies of these files
    from `tests/samples`; it is removed when Python ends.
    """
    replaced = [path for path in _samples() if _is_replaced(path)]
    if not replaced:
        return REPOSITORY
    root = Path(tempfile.mkdtemp(prefix="sashiko-samples-")).resolve()
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    _link(REPOSITORY, root, but=_LEFT_OUT)
    for folder in _FOLDERS:
        (root / folder).mkdir()
        _link(REPOSITORY / folder, root / folder, but=tuple(path.name for path in replaced))
    for path in replaced:
        shutil.copy(SAMPLES / path, root / path)
    return root


def _samples() -> list[Path]:
    return [path.relative_to(SAMPLES) for path in sorted(SAMPLES.rglob("*.yaml"))]


def _is_replaced(path: Path) -> bool:
    own = REPOSITORY / path
    if not own.is_file():
        return True
    # A contract or recipe that is there is upstream's; the settings of an environment are a fork's.
    settings = path.parent.name == "config"
    return settings and yaml.safe_load(own.read_bytes()) != yaml.safe_load(
        (SAMPLES / path).read_bytes()
    )


def _link(source: Path, target: Path, *, but: tuple[str, ...]) -> None:
    for entry in source.iterdir():
        if entry.name not in but:
            (target / entry.name).symlink_to(entry)
