"""The engine's wheel, which a project pins by its hash.

This module imports nothing else of the engine, as copier runs it as a script in the new project's
folder, where the engine is not installed.

    python3 src/sashiko/project/wheel.py vendor|index
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlparse

_DISTRIBUTION = "sashiko"
ENGINE_PIN = Path("requirements/engine.txt")
_SUFFIX = "-py3-none-any.whl"
_SETUPTOOLS = 80  # major version: `requires` in pyproject.toml
# The earliest time that a zip can hold: a wheel of the same files has the same bytes.
_EPOCH = "315532800"


@dataclass(frozen=True)
class Wheel:
    """A built wheel of the engine."""

    path: Path
    version: str  # of the engine
    sha256: str  # of the file, in hexadecimal digits

    @property
    def statement(self) -> Path:
        """The file beside it with its provenance, which may be missing."""
        return self.path.with_name(f"{self.path.name}.provenance.json")


def open_wheel(path: Path) -> Wheel:
    """Reads a wheel's version from its name, and its digest.

    Raises:
        ValueError: if the file is not a wheel of the engine.
    """
    name = path.name
    if not path.is_file():
        raise ValueError(f"{path} does not exist")
    if not (name.startswith(f"{_DISTRIBUTION}-") and name.endswith(_SUFFIX)):
        raise ValueError(f"{path}: expected a file {_DISTRIBUTION}-<version>{_SUFFIX}")
    version = name.removeprefix(f"{_DISTRIBUTION}-").removesuffix(_SUFFIX)
    return Wheel(path, version, hashlib.sha256(path.read_bytes()).hexdigest())


def build_wheel(checkout: Path, folder: Path) -> Wheel:
    """Builds the wheel of a checkout of the engine into a folder.

    Raises:
        RuntimeError: if pip fails, with its last lines.
    """
    with tempfile.TemporaryDirectory() as scratch:
        # With a new build folder, as the wheel would contain files of an earlier build.
        config = Path(scratch) / "build.cfg"
        config.write_text(f"[build]\nbuild_base={scratch}/build\n[egg_info]\negg_base={scratch}\n")
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
        with suppress(PackageNotFoundError):
            if int(distribution("setuptools").version.partition(".")[0]) >= _SETUPTOOLS:
                command.append("--no-build-isolation")
        target = Path(scratch) / "wheel"
        completed = subprocess.run(
            [*command, "--no-deps", "--wheel-dir", str(target), str(checkout)],
            env=os.environ | {"DIST_EXTRA_CONFIG": str(config), "SOURCE_DATE_EPOCH": _EPOCH},
            capture_output=True,
            text=True,
            check=False,
        )
        if completed.returncode:
            lines = "\n".join(completed.stderr.strip().splitlines()[-20:])
            raise RuntimeError(f"the wheel of {checkout} could not be built:\n{lines}")
        built = next(target.glob(f"*{_SUFFIX}"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / built.name).write_bytes(built.read_bytes())
        return open_wheel(folder / built.name)


def installed_wheel() -> Path | None:
    """Returns the wheel that the engine was installed from, if it still exists.

    Installers record it in `direct_url.json` ("Recording the Direct URL Origin of installed
    distributions", packaging.python.org).
    """
    try:
        record = distribution(_DISTRIBUTION).read_text("direct_url.json") or ""
    except PackageNotFoundError:
        return None
    import json

    url = urlparse(json.loads(record or "{}").get("url", ""))
    path = Path(unquote(url.path))
    return path if url.scheme == "file" and path.is_file() else None


def pin(project: Path, wheel: Wheel, *, vendor: bool) -> None:
    """Pins a wheel in a project's `requirements/engine.txt`.

    With `vendor`, the wheel is copied into the project's `vendor/`, with its statement if there is
    one; else it comes from an index.
    """
    folder = project / "vendor"
    for previous in folder.glob(f"{_DISTRIBUTION}-*{_SUFFIX}*"):
        previous.unlink()
    requirement = f"{_DISTRIBUTION}=={wheel.version}"
    if vendor:
        folder.mkdir(exist_ok=True)
        for file in filter(Path.is_file, (wheel.path, wheel.statement)):
            (folder / file.name).write_bytes(file.read_bytes())
        requirement = f"./vendor/{wheel.path.name}"
    file = project / ENGINE_PIN
    comments = [line for line in file.read_text().splitlines() if line.startswith("#")]
    lines = [*comments, f"{requirement} --hash=sha256:{wheel.sha256}"]
    file.write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        built = build_wheel(Path(__file__).parents[3], Path(temporary))
        pin(Path.cwd(), built, vendor=sys.argv[1:] == ["vendor"])
