"""Moves a project to another version of the engine: `sashiko upgrade`.

copier does a three-way merge between commits of a template. So the templates of both versions,
which are in their wheels, are committed to a temporary repository. The merge is done in a copy of
the project, and applied when it is complete.
"""

import filecmp
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from packaging.version import Version

from sashiko import __version__
from sashiko.base.files import make_folder
from sashiko.errors import InputError
from sashiko.project.copier_template import (
    extract_template,
    installed_template,
    read_wheel,
    run_copier,
)
from sashiko.project.create import ANSWERS, read_answers
from sashiko.project.moved import rewrite_imports
from sashiko.project.wheel import ENGINE_PIN, Wheel, pin

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
        template = installed_template()
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
