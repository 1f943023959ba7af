"""Files of the engine beside its modules: in its wheel, or in the checkout that is installed."""

from pathlib import Path

import sashiko

_PACKAGE = Path(sashiko.__file__).parent


def checkout() -> Path | None:
    """Returns the root of the engine's repository, if the engine is installed from a checkout."""
    root = _PACKAGE.parents[1]
    return root if (root / "copier.yml").is_file() else None


def lock_file(name: str) -> Path:
    """Returns a lock of the engine, such as `run`: packages with versions and hashes."""
    root = checkout()
    return root / f"requirements/{name}.txt" if root else _PACKAGE / f"locks/{name}.txt"
