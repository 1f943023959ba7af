"""Reads the locks: packages with versions and hashes."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sashiko.errors import InputError

PYTHON_LOCKS = Path("requirements")
NPM_LOCK = Path("package-lock.json")

_PINNED = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package as a lock names it."""

    ecosystem: Literal["PyPI", "npm"]  # as OSV calls them
    name: str  # of a Python package, normalised as PEP 503 has it
    version: str
    digests: tuple[str, ...] = ()  # hex, of the files that may be installed, where the lock says it
    algorithm: Literal["SHA-256", "SHA-512"] = "SHA-256"  # of them, as CycloneDX spells it
    licence: str | None = None  # its SPDX expression, where the lock says it

    @property
    def purl(self) -> str:
        """Its package URL."""
        kind = "pypi" if self.ecosystem == "PyPI" else "npm"
        return f"pkg:{kind}/{self.name.replace('@', '%40')}@{self.version}"


def normalised(name: str) -> str:
    """Returns a Python package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_python_lock(path: Path) -> tuple[Package, ...]:
    """Reads a requirements file in which each package is pinned.

    Raises:
        InputError: if it is missing, or a line is neither a pin nor a part of one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return tuple(_pins(path, text))


def _pins(path: Path, text: str) -> Iterator[Package]:
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _PINNED.match(line)
        if match is None:
            raise InputError(f"{path}: `{line.strip()}` pins no package: run `make lock`")
        yield Package(
            ecosystem="PyPI",
            name=normalised(match["name"]),
            version=match["version"],
            digests=tuple(sorted(_HASH.findall(line))),
        )


def read_npm_lock(path: Path) -> tuple[Package, ...]:
    """Reads npm's lock, of version 2 or newer.

    Raises:
        InputError: if it is missing or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        packages = content["packages"].items()
        return tuple(
            Package(
                ecosystem="npm",
                name=place.rpartition("node_modules/")[2],
                version=entry["version"],
                digests=_integrity(entry["integrity"]),
                algorithm="SHA-512",
                licence=entry.get("license"),
            )
            for place, entry in packages
            if place
        )
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} cannot be read as npm's lock: {error}; run `npm install`"
        ) from error


def _integrity(text: str) -> tuple[str, ...]:
    algorithm, _, digest = text.partition("-")
    if algorithm != "sha512":
        raise ValueError(f"integrity by {algorithm}, not sha512")
    return (base64.b64decode(digest, validate=True).hex(),)
