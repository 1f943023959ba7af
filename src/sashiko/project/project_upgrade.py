"""Creates a project (`sashiko new`), and moves it to another engine (`sashiko upgrade`).

The template is in the engine's wheel, and copier renders it. An upgrade is copier's three-way merge
between commits of a template. So the templates of both versions are committed to a temporary
repository. The merge is done in a copy of the project, and applied when it is complete.
"""

import filecmp
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import yaml

import sashiko
from sashiko import __version__
from sashiko.base.files import (
    checkout,
    dir_hash,
    lock_file,
    make_folder,
    sha256_bytes,
    sha256_file,
    write_bytes,
)
from sashiko.base.problems import suggestion
from sashiko.errors import InputError
from sashiko.pipeline.project import source
from sashiko.project.moved import rewrite_imports
from sashiko.project.wheel import ENGINE_PIN, Wheel, build_wheel, installed_wheel, open_wheel, pin
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


ANSWERS = Path(".copier-answers.yml")


def create_project(
    folder: Path,
    *,
    wheel: Wheel,
    answers: Mapping[str, str],
    draft_options: Sequence[str],
    defaults: bool,
) -> dict[str, str]:
    """Writes a project's files; on failure, nothing is left.

    Args:
        folder: the project's folder, new or empty.
        wheel: the engine, with the template.
        answers: the answers to the template's questions; a `data_file` is copied into `data/`.
        draft_options: options of `contract init` for that file.
        defaults: use the defaults of the other questions instead of asking.

    Returns:
        The answers to all questions.

    Raises:
        InputError: if the folder has files, an answer is not valid, or the data file does not
            allow a draft of a contract.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not empty: name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        template = extract_template(wheel, Path(scratch))
        questions = yaml.safe_load((template / "copier.yml").read_text(encoding="utf-8"))
        known = [name for name in questions if not name.startswith("_")]
        for name in (name for name in answers if name not in known):  # copier would ignore it
            raise InputError(
                f"--answer {name}=...: there is no such question; known: {', '.join(known)}"
                f"{suggestion(name, known)}"
            )
        # The folder's name is the default of the project's name.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".sashiko-new-") as temporary:
            project = Path(temporary) / folder.name
            run_copier("copy", template, project, answers=answers, defaults=defaults)
            replies = read_answers(project)
            pin(project, wheel, vendor=replies["engine_source"] == "vendor")
            if replies["data_file"]:
                _draft(project, replies, options=draft_options)
            if folder.exists():
                folder.rmdir()
            project.rename(folder)
    return replies


def read_answers(project: Path) -> dict[str, str]:
    """Returns a project's answers to the template's questions.

    Raises:
        InputError: if the file is missing or not a mapping.
    """
    file = project / ANSWERS
    if not file.is_file():
        raise InputError(
            f"{file} does not exist: run the command in the root of a project of `sashiko new`"
        )
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected keys and values; restore it from git")
    return {str(key): str(value) for key, value in content.items()}


def _draft(project: Path, answers: Mapping[str, str], *, options: Sequence[str]) -> None:
    """Copies the data file into `data/`, and drafts its contract and recipe."""
    source = Path(answers["data_file"]).expanduser()
    if not source.is_file():
        raise InputError(f"data_file: {source} does not exist")
    (project / "data").mkdir()
    data = shutil.copyfile(source, project / "data" / source.name).relative_to(project)
    file = project / ANSWERS
    text = file.read_text(encoding="utf-8")
    # The path is relative to the project, which others clone elsewhere.
    content = yaml.safe_load(text) | {"data_file": data.as_posix()}
    new = yaml.safe_dump(content, allow_unicode=True)
    file.write_text(f"{text.splitlines()[0]}\n{new}", encoding="utf-8")
    command = [sys.executable, "-c", "from sashiko.cli import main; main()", "contract", "init"]
    command += [data.as_posix(), f"--label={answers['label']}", f"--name={answers['dataset']}"]
    completed = subprocess.run([*command, *options], cwd=project, stdout=sys.stderr, check=False)
    if completed.returncode:
        raise InputError("no contract could be drafted for the data file: see above")


_CONFLICT = (b"<<<<<<< before updating", b">>>>>>> after updating")
_IDENTITY = ("-c", "user.name=sashiko", "-c", "user.email=sashiko@localhost")
_COPIER_KEYS = ("_src_path", "_commit")


@dataclass(frozen=True)
class Upgrade:
    """The files that an upgrade changed in a project."""

    written: tuple[str, ...]  # added or changed
    deleted: tuple[str, ...]  # that the new template no longer has
    conflicts: tuple[str, ...]  # those of `written` with conflict markers
    unknown: tuple[str, ...]  # imports that the new engine does not have, as `file:line: name`


@dataclass(frozen=True)
class _Release:
    version: str
    template: Path


def upgrade_project(project: Path, *, wheel: Wheel) -> Upgrade:
    """Merges the template's changes into a project, and pins the new engine.

    Imports of modules that have moved are rewritten in all files.

    Raises:
        InputError: if the project was not created by `sashiko new` or has uncommitted changes, or
            if the new engine is not a later version; the project then stays unchanged.
    """
    from packaging.version import Version  # which building a wheel does without

    answers = read_answers(project)
    if _git(project, "status", "--porcelain", "--untracked-files=no"):
        raise InputError("there are uncommitted changes: commit or stash them, then upgrade")
    with tempfile.TemporaryDirectory() as scratch:
        old = _pinned_release(project, Path(scratch) / "old")
        if Version(wheel.version) <= Version(old.version):
            raise InputError(
                f"{wheel.path.name}: this project has {old.version}; name a later version"
            )
        new = _Release(wheel.version, extract_template(wheel, Path(scratch) / "new"))
        templates = _template_repository(Path(scratch) / "templates", old, new)
        copy = Path(scratch) / "project"
        for name in _names(project, "ls-files"):
            # copier cannot apply differences to binary files.
            if (project / name).is_file() and b"\0" not in (project / name).read_bytes():
                make_folder((copy / name).parent)
                shutil.copy(project / name, copy / name)
        _set_source(copy, {"_src_path": str(templates), "_commit": f"v{old.version}"})
        # Before the merge, in which equal changes of both sides do not meet.
        names = [path.relative_to(copy).as_posix() for path in sorted(copy.rglob("*.py"))]
        rewritten = rewrite_imports(copy, names, engine=zipfile.Path(wheel.path))
        _commit(copy)
        tag = f"--vcs-ref=v{new.version}"
        run_copier("update", "--conflict=inline", tag, copy, answers={}, defaults=True)
        _set_source(copy, {key: answers[key] for key in _COPIER_KEYS if key in answers})
        changes = {*rewritten.files, *_names(copy, "diff", "--name-only", "HEAD")}
        changes |= {*_names(copy, "ls-files", "--others", "--exclude-standard")}
        written, deleted, conflicts = [], [], []
        for name in sorted(changes):
            new_file, file = copy / name, project / name
            if not new_file.is_file():
                if file.is_file():
                    file.unlink()
                    deleted.append(name)
            elif not file.is_file() or not filecmp.cmp(new_file, file, shallow=False):
                make_folder(file.parent)
                shutil.copy(new_file, file)
                written.append(name)
                if any(line.rstrip() in _CONFLICT for line in file.read_bytes().splitlines()):
                    conflicts.append(name)
    pin(project, wheel, vendor=answers["engine_source"] == "vendor")
    return Upgrade(tuple(written), tuple(deleted), tuple(conflicts), rewritten.unknown)


def _pinned_release(project: Path, scratch: Path) -> _Release:
    """Returns the release that a project pins.

    Raises:
        InputError: if it pins none, its wheel is missing or changed, or it gets the engine from an
            index and another version is installed.
    """
    file = project / ENGINE_PIN
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    pins = [line for line in lines if line and not line.startswith("#")]
    if len(pins) != 1:
        raise InputError(f"{file}: expected one line that pins the engine; restore it from git")
    requirement, _, digest = pins[0].partition(" --hash=sha256:")
    if requirement.startswith("sashiko=="):
        folder = Path(sashiko.__file__).parent / "project"
        template = folder if folder.is_dir() else None
        if template is None or requirement != f"sashiko=={__version__}":
            raise InputError(f"{file} pins {requirement}, but {__version__} runs: run make setup")
        return _Release(__version__, template)
    wheel = read_wheel(project / requirement)
    if wheel.sha256 != digest:
        raise InputError(f"{requirement} does not have the digest in {file}; restore it from git")
    return _Release(wheel.version, extract_template(wheel, scratch))


def _template_repository(folder: Path, *releases: _Release) -> Path:
    """Creates a repository with a tagged commit of each release's template."""
    for release in releases:
        for path in folder.glob("*"):
            if path.name == ".git":
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(release.template, folder, dirs_exist_ok=True, copy_function=shutil.copy)
        _commit(folder)
        _git(folder, "tag", f"v{release.version}")
    return folder


def _set_source(project: Path, source: dict[str, str]) -> None:
    """Writes the template's source into a project's answers, under copier's keys."""
    file = project / ANSWERS
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    others = [line for line in lines if not line.startswith(_COPIER_KEYS)]
    file.write_text("".join(others) + (yaml.safe_dump(source) if source else ""), encoding="utf-8")


def _commit(folder: Path) -> None:
    _git(folder, "init", "--quiet")
    _git(folder, "add", "--all", "--force")
    _git(folder, *_IDENTITY, "commit", "--quiet", "--no-verify", "--message=template")


def _names(folder: Path, *arguments: str) -> Iterator[str]:
    yield from filter(None, _git(folder, *arguments, "-z").split("\0"))


def _git(folder: Path, *arguments: str) -> str:
    """Runs git in a folder.

    Raises:
        InputError: if git fails, with its message.
    """
    command: Sequence[str] = ["git", "-C", str(folder), *arguments]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    if completed.returncode:
        raise InputError(f"git {arguments[0]} failed in {folder}: {completed.stderr.strip()}")
    return completed.stdout
