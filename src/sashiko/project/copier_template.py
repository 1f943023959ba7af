"""The template in the engine's wheel, and copier, which renders it."""

import subprocess
import sys
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import sashiko
from sashiko.base.files import checkout, dir_hash, lock_file, sha256_bytes, sha256_file, write_bytes
from sashiko.errors import InputError
from sashiko.pipeline.project import source
from sashiko.project.wheel import Wheel, build_wheel, installed_wheel, open_wheel
from sashiko.registry.attestation import Resource, Statement

_PACKAGE = "sashiko/"


def build_wheel_with_statement(checkout: Path, folder: Path) -> Wheel:
    """Builds the wheel of a checkout of the engine into a folder, with its statement beside it.

    Both are the same bytes for the same commit, Python and setuptools: they hold no time.

    Raises:
        RuntimeError: if pip fails, with its last lines.
        InputError: if the statement cannot be written.
    """
    wheel, commit = build_wheel(checkout, folder), source(checkout)
    with zipfile.ZipFile(wheel.path) as archive:
        names = [name for name in archive.namelist() if name.startswith(_PACKAGE)]
        digests = {name.removeprefix(_PACKAGE): sha256_bytes(archive.read(name)) for name in names}
    dependencies = []
    if commit.git_sha != "unknown":
        dirty = {"uncommitted changes": "yes"} if commit.dirty else {}
        digest = {"gitCommit": commit.git_sha}
        dependencies.append(Resource(name="commit", digest=digest, annotations=dirty))
    for lock in sorted((checkout / "requirements").glob("*.txt")):
        name, digest = lock.relative_to(checkout).as_posix(), {"sha256": sha256_file(lock)}
        dependencies.append(Resource(name=name, digest=digest))
    with suppress(PackageNotFoundError):  # pip then builds with one of an index
        uri = f"pkg:pypi/setuptools@{distribution('setuptools').version}"
        dependencies.append(Resource(name="setuptools", uri=uri))
    statement = Statement(
        build="wheel",
        subject=(
            Resource(name=wheel.path.name, digest={"sha256": wheel.sha256}),
            # What is installed, which a job measures.
            Resource(name=_PACKAGE, digest={"dirHash": dir_hash(digests)}),
        ),
        parameters={"version": wheel.version},
        dependencies=tuple(dependencies),
        # Whoever runs `make wheel`: nobody vouches for that machine.
        builder="urn:sashiko:builder:make",
    )
    write_bytes(wheel.statement, statement.to_json())
    return wheel


_PREFIX = "sashiko/project/"
_TOOLS = Path(".sashiko/tools/copier")


def engine_wheel(folder: Path) -> Wheel:
    """Returns the running engine's wheel; in a checkout, it is built into `folder`.

    Raises:
        InputError: if it cannot be built, or the installed file no longer exists.
    """
    try:
        if root := checkout():
            return build_wheel_with_statement(root, folder)
    except RuntimeError as error:
        raise InputError(str(error)) from error
    path = installed_wheel()
    if path is None:
        raise InputError(
            "the wheel that the engine was installed from is not on this machine: name it with "
            "--engine (`pip download --no-deps sashiko` gets it from an index)"
        )
    return read_wheel(path)


def read_wheel(path: Path) -> Wheel:
    """Opens a wheel of the engine.

    Raises:
        InputError: if the file is not one.
    """
    try:
        return open_wheel(path)
    except ValueError as error:
        raise InputError(str(error)) from error


def extract_template(wheel: Wheel, folder: Path) -> Path:
    """Unpacks a wheel's template with its file modes, and returns the folder of `copier.yml`.

    Raises:
        InputError: if the wheel has no template.
    """
    with zipfile.ZipFile(wheel.path) as archive:
        entries = [entry for entry in archive.infolist() if entry.filename.startswith(_PREFIX)]
        for entry in entries:
            mode = entry.external_attr >> 16
            Path(archive.extract(entry, folder)).chmod((mode & 0o777) | 0o600)
    if not entries:
        raise InputError(f"{wheel.path} has no template: build it in the repository's root")
    return folder / _PREFIX


def installed_template() -> Path | None:
    """Returns the running engine's template; None in a checkout, which has it only in its wheel."""
    folder = Path(sashiko.__file__).parent / "project"
    return folder if folder.is_dir() else None


def run_copier(
    command: str, *arguments: str | Path, answers: Mapping[str, str], defaults: bool
) -> None:
    """Runs copier's command `copy` or `update`.

    copier runs in an environment of its own, as one of its libraries is licensed under the GPL. Its
    lock is `locks/copier.txt`; it is installed on first use. With `defaults`, it asks no questions.

    Raises:
        InputError: if copier fails, with its reason.
    """
    program = Path(sys.executable).with_name("copier")
    if not program.is_file():
        program = _TOOLS.absolute() / "bin" / "copier"
    if not program.is_file():
        print("installing copier", file=sys.stderr)
        lock, python = str(lock_file("copier")), str(_TOOLS / "bin" / "python")
        _uv("venv", "-q", "--clear", "--python", sys.executable, str(_TOOLS))
        _uv("pip", "install", "-q", "--python", python, "--require-hashes", "-r", lock)
    data = [f"--data={key}={value}" for key, value in answers.items()]
    options = ["--trust", "--quiet", "--skip-tasks", *(["--defaults"] if defaults else [])]
    completed = subprocess.run(
        [str(program), command, *options, *data, *map(str, arguments)],
        stdout=sys.stderr,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if completed.returncode:
        # For an invalid answer, copier raises an exception, whose last line has the reason.
        reason = (completed.stderr.strip() or "it was interrupted").splitlines()[-1]
        raise InputError(f"copier {command}: {reason.removeprefix('ValueError: ')}")


def _uv(*arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("uv")), *arguments]
    try:
        completed = subprocess.run(command, check=False, stdout=sys.stderr)
    except FileNotFoundError as error:
        raise InputError(
            f"{command[0]} does not exist: install copier beside {sys.executable}, or on PATH"
        ) from error
    if completed.returncode:
        raise InputError(f"copier could not be installed ({' '.join(command)}): see above")
