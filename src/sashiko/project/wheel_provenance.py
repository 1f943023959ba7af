"""The provenance of the engine's wheel: the commit and the locks that it was built from."""

import zipfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from sashiko.base.files import dir_hash, sha256_bytes, sha256_file, write_bytes
from sashiko.pipeline.project import source
from sashiko.project.wheel import Wheel, build_wheel
from sashiko.registry.attestation import Resource, Statement

_PACKAGE = "sashiko/"


def build_wheel_with_statement(checkout: Path, folder: Path) -> Wheel:
    """Builds the wheel of a checkout of the engine into a folder, with its statement beside it.

    Both are the same bytes for the same commit, Python and setuptools: they hold no time.

    Raises:
        RuntimeError: if pip fails, with its last lines.
        InputError: if the statement cannot be written.
    """
    wheel = build_wheel(checkout, folder)
    write_bytes(wheel.statement, _statement(checkout, wheel).to_json())
    return wheel


def _statement(checkout: Path, wheel: Wheel) -> Statement:
    return Statement(
        build="wheel",
        subject=(
            Resource(name=wheel.path.name, digest={"sha256": wheel.sha256}),
            # What is installed, which a job measures.
            Resource(name=_PACKAGE, digest={"dirHash": _package_hash(wheel.path)}),
        ),
        parameters={"version": wheel.version},
        dependencies=(*_dependencies(checkout),),
        # Whoever runs `make wheel`: nobody vouches for that machine.
        builder="urn:sashiko:builder:make",
    )


def _package_hash(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith(_PACKAGE)]
        return dir_hash(
            {name.removeprefix(_PACKAGE): sha256_bytes(archive.read(name)) for name in names}
        )


def _dependencies(checkout: Path) -> Iterator[Resource]:
    commit = source(checkout)
    if commit.git_sha != "unknown":
        yield Resource(
            name="commit",
            digest={"gitCommit": commit.git_sha},
            annotations={"uncommitted changes": "yes"} if commit.dirty else {},
        )
    for lock in sorted((checkout / "requirements").glob("*.txt")):
        yield Resource(
            name=lock.relative_to(checkout).as_posix(), digest={"sha256": sha256_file(lock)}
        )
    with suppress(PackageNotFoundError):  # pip then builds with one of an index
        version = distribution("setuptools").version
        yield Resource(name="setuptools", uri=f"pkg:pypi/setuptools@{version}")
