"""What a home folder holds, so that two can be compared, and what must hold of it at any moment."""

import json
import re
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from safetensors import SafetensorError, safe_open

from sashiko.base.files import sha256_bytes, sha256_file, sha256_tree, walk_files
from sashiko.errors import InputError
from sashiko.pipeline.runner.execute import StepCache
from sashiko.pipeline.runner.run_record import read_run
from sashiko.pipeline.runner.store import Store

_ID = "ID"
# What is compared by content: ids, times, and whether a version was new.
_PASSING = (
    (re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}"), "RUN"),
    (re.compile(r"\d{8}T\d{6}\.\d+Z"), "TIME"),
    (re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d+)?(\+00:00|Z| UTC)?"), "TIME"),
    (re.compile(r"(?<=_sort': )\d+\.\d+"), "TIME"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])"), _ID),
)
_BY_CONTENT = ("registration.json", "tracking.json")
_HALF = (".tmp-", ".incoming")


@dataclass(frozen=True)
class Version:
    """A registered version, read from the database without MLflow's help."""

    number: int
    execution: str
    artifact: str
    folder: Path
    is_candidate: bool


@dataclass(frozen=True)
class Picture:
    """What an undisturbed run leaves; ids and times are words that stand for them."""

    # Name and digest of all that stands under its final name in store and registry.
    files: frozenset[tuple[str, str]]
    # Those that appear whole or not at all: the steps' outputs, a version's files.
    folders: frozenset[str]


def picture(home: Path, run: str) -> Picture:
    """Takes the picture of a home folder in which one run has run."""
    outputs = [
        output for step in read_run(home / "runs" / run).steps for output in step.outputs.values()
    ]
    folders = {_same(f"s3/{output.uri.removeprefix('s3://')}") for output in outputs}
    versions_files = {f"mlartifacts/{_ID}/artifacts/model"}
    return Picture(
        files=frozenset(_visible(home).values()), folders=frozenset(folders | versions_files)
    )


def _visible(home: Path) -> dict[str, tuple[str, str]]:
    """Digests all that stands under its final name: path -> name and digest.

    Checkpoints are left out, which change while a training goes on.
    """
    visible = {}
    for folder in ("s3", "mlartifacts"):
        for path in walk_files(home / folder):
            parts = path.relative_to(home).parts
            on_its_way = any(part.startswith(_HALF) for part in parts)
            if not on_its_way and "checkpoints" not in parts:
                name = "/".join(parts)
                visible[name] = (_same(name), _digest(path))
    return visible


def whole_checkpoints(home: Path) -> list[Path]:
    """Returns the checkpoints that cannot be read to their end."""
    return [
        path
        for path in walk_files(home / "s3")
        if "checkpoints" in path.parts and not path.name.startswith(_HALF) and not _is_whole(path)
    ]


def versions(home: Path) -> list[Version]:
    """Reads the registry; a transaction that was killed is rolled back in a copy."""
    if not (home / "mlflow.db").is_file():
        return []
    with tempfile.TemporaryDirectory() as scratch:
        for path in home.glob("mlflow.db*"):
            shutil.copy(path, scratch)
        with closing(sqlite3.connect(Path(scratch, "mlflow.db"))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            if not connection.execute(
                "SELECT 1 FROM sqlite_master WHERE name = 'model_versions'"
            ).fetchall():
                return []
            rows = connection.execute(
                "SELECT name, version, source FROM model_versions ORDER BY version"
            ).fetchall()
            return [_version(connection, *row) for row in rows]


def check_store(home: Path, undisturbed: Picture) -> None:
    """Holds what must hold of a home after any fault, before anything has been mended."""
    visible = _visible(home)
    unknown = set(visible.values()) - undisturbed.files
    assert unknown == set(), "half-written, or not what an undisturbed run writes"
    _folders_are_whole(visible, undisturbed)
    assert whole_checkpoints(home) == []
    _records_are_whole(home)
    registered = versions(home)
    assert len({version.execution for version in registered}) == len(registered), (
        "two versions of one run"
    )
    assert len({version.artifact for version in registered}) == len(registered), "a version twice"
    for version in registered:
        artifact = version.folder / "model.tar.gz"
        assert artifact.is_file(), f"version {version.number} has no artifact"
        assert sha256_file(artifact) == version.artifact


def complete(home: Path, undisturbed: Picture, run: str, *, versions_made: int = 1) -> None:
    """Asserts that a run after faults has the same result as an undisturbed one.

    `versions_made` is how many there are: one at most, for one set of data and code.
    """
    check_store(home, undisturbed)
    assert undisturbed.files - set(_visible(home).values()) == set(), "lost"
    record = read_run(home / "runs" / run)
    assert record.status == ("registered" if versions_made else "succeeded")
    store = Store(home / "s3")
    for step in record.steps:
        for output in step.outputs.values():
            assert sha256_tree(store.path(output.uri)) == output.sha256
    assert [version.is_candidate for version in versions(home)] == [True] * versions_made
    assert not [path for path in home.rglob(".tmp-*") if "work" not in path.parts]
    closed = {read_run(path.parent).status for path in home.glob("runs/*/run.json")}
    assert "running" not in closed


def _folders_are_whole(visible: dict[str, tuple[str, str]], undisturbed: Picture) -> None:
    contents: dict[str, set[tuple[str, str]]] = {}
    for path, entry in visible.items():
        for folder in map(str, PurePosixPath(path).parents):
            if _same(folder) in undisturbed.folders:
                contents.setdefault(folder, set()).add(entry)
    for folder, entries in contents.items():
        expected = {file for file in undisturbed.files if file[0].startswith(f"{_same(folder)}/")}
        assert entries == expected, f"{folder} is half-written"


def _records_are_whole(home: Path) -> None:
    for path in home.glob("runs/*/run.json"):
        read_run(path.parent)
    cache, store = StepCache(home / "cache/steps"), Store(home / "s3")
    for path in (home / "cache/steps").glob("*.json"):
        if path.name.startswith(_HALF):
            continue
        entry = cache.find(path.stem, expires="")
        assert entry is not None
        for output in entry.outputs.values():
            assert sha256_tree(store.path(output.uri)) == output.sha256


def _version(connection: sqlite3.Connection, name: str, number: int, source: str) -> Version:
    tags = dict(
        connection.execute(
            "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?",
            (name, number),
        ).fetchall()
    )
    aliases = connection.execute(
        "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = 'candidate'",
        (name,),
    ).fetchall()
    return Version(
        number=int(number),
        execution=tags["execution_id"],
        artifact=tags["artifact_sha256"],
        folder=Path(source.removeprefix("file://")),
        is_candidate=aliases == [(number,)],
    )


def _digest(path: Path) -> str:
    if path.name in _BY_CONTENT:
        content = json.loads(path.read_bytes())
        return _same(json.dumps({key: content[key] for key in sorted(content) if key != "new"}))
    if path.suffix == ".html" and "docs" in path.parts:
        return sha256_bytes(_same(path.read_text()).encode())
    return sha256_file(path)


def _same(text: str) -> str:
    for pattern, word in _PASSING:
        text = pattern.sub(word, text)
    return text


def _is_whole(path: Path) -> bool:
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="np") as file:
                return all(file.get_tensor(name) is not None for name in file.keys())  # noqa: SIM118 - a safetensors file is no mapping
        json.loads(path.read_bytes())
    except (SafetensorError, OSError, ValueError, InputError):
        return False
    return True
