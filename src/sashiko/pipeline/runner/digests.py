"""SHA-256 of files and trees, cached for unchanged files."""

import threading
from collections.abc import Mapping
from pathlib import Path

from sashiko.core.files import read_json, sha256_bytes, sha256_file, walk_files, write_json
from sashiko.errors import InputError
from sashiko.pipeline.runner.store import Store

_Stamp = tuple[int, int, int]  # bytes, mtime in ns, inode


class Digests:
    """Digests that are computed once while a file keeps its size, time and inode."""

    def __init__(self, memory: Path) -> None:
        """Reads the stored digests; a missing or damaged file is made again."""
        self._memory = memory
        self._lock = threading.Lock()
        self._known: dict[str, tuple[_Stamp, str]] = {}
        try:
            for path, (stamp, digest) in read_json(memory).items():
                self._known[path] = (tuple(stamp), digest)
        except (InputError, ValueError, TypeError, AttributeError):
            self._known = {}

    def file(self, path: Path) -> str:
        """Returns the hex digest of a file, the same as `files.sha256_file`."""
        status = path.stat()
        stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
        with self._lock:
            known = self._known.get(str(path))
        if known and known[0] == stamp:
            return known[1]
        digest = sha256_file(path)
        with self._lock:
            self._known[str(path)] = (stamp, digest)
        return digest

    def forget(self, path: Path) -> None:
        """Drops a file's digest, so that the next request computes it again."""
        with self._lock:
            self._known.pop(str(path), None)

    def tree(self, files: Mapping[str, Path]) -> str:
        """Returns the digest of named files, the same as `files.sha256_tree` of their folder."""
        lines = [f"{self.file(files[name])}  {name}\n" for name in sorted(files)]
        return sha256_bytes("".join(lines).encode())

    def data(self, store: Store, uri: str) -> str:
        """Returns the digest of a job's input at an S3 URI: of one object, or of a folder.

        Raises:
            InputError: if there is no object.
        """
        path, files = store.path(uri), store.files(uri)
        return self.file(path) if list(files.values()) == [path] else self.tree(files)

    def output(self, store: Store, uri: str) -> str:
        """Returns the digest of a job's output at an S3 URI, without keys that share its prefix.

        Raises:
            InputError: if there is no object.
        """
        path = store.path(uri)
        if path.is_dir():
            files = {file.relative_to(path).as_posix(): file for file in walk_files(path)}
            return self.tree(files)
        if not path.is_file():
            raise InputError(f"`{uri}` is no longer in the local store")
        return self.file(path)

    def save(self) -> None:
        """Writes the digests of files that still exist."""
        with self._lock:
            entries = {path: entry for path, entry in self._known.items() if Path(path).exists()}
        write_json(self._memory, entries)
