"""SHA-256 of files and trees, remembered for files that have not changed."""

import threading
from collections.abc import Mapping
from pathlib import Path

from sashiko.core.files import read_json, sha256_bytes, sha256_file, walk_files, write_json
from sashiko.errors import InputError
from sashiko.pipeline.runner.store import Store

_Stamp = tuple[int, int, int]  # bytes, mtime in ns, inode


class Digests:
    """Digests that are worked out once as long as a file keeps its size, time and inode."""

    def __init__(self, memory: Path) -> None:
        """Reads what is remembered.

        Args:
            memory: JSON file; one that is missing or damaged is started afresh.
        """
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
        """Has a file's digest worked out again when it is asked for next."""
        with self._lock:
            self._known.pop(str(path), None)

    def tree(self, files: Mapping[str, Path]) -> str:
        """Returns the digest of named files, the same as `files.sha256_tree` of their folder."""
        lines = [f"{self.file(files[name])}  {name}\n" for name in sorted(files)]
        return sha256_bytes("".join(lines).encode())

    def data(self, store: Store, uri: str) -> str:
        """Returns the digest of what a job gets for an S3 URI: of one object, or of a folder.

        Raises:
            InputError: if there is nothing.
        """
        place, files = store.path(uri), store.files(uri)
        return self.file(place) if list(files.values()) == [place] else self.tree(files)

    def written(self, store: Store, uri: str) -> str:
        """Returns the digest of what a job wrote to an S3 URI, whatever has a key beside it.

        Raises:
            InputError: if there is nothing.
        """
        place = store.path(uri)
        if place.is_dir():
            files = {path.relative_to(place).as_posix(): path for path in walk_files(place)}
            return self.tree(files)
        if not place.is_file():
            raise InputError(f"`{uri}` is no longer in the local store")
        return self.file(place)

    def save(self) -> None:
        """Writes what is remembered of files that still exist."""
        with self._lock:
            kept = {path: known for path, known in self._known.items() if Path(path).exists()}
        write_json(self._memory, kept)
