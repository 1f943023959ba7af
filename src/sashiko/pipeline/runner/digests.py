"""SHA-256 of files and trees; in one run each file is read once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sashiko.base.files import sha256_bytes, sha256_file, walk_files
from sashiko.errors import InputError
from sashiko.pipeline.runner.store import Store


@dataclass(frozen=True)
class Digests:
    """Digests that are computed once while a file keeps its size, time and inode.

    They are not kept between runs: a file that was damaged meanwhile has another digest, and the
    step that wrote it runs again.
    """

    _known: dict[tuple[Path, int, int, int], str] = field(default_factory=dict)

    def file(self, path: Path) -> str:
        """Returns the hex digest of a file, the same as `files.sha256_file`."""
        status = path.stat()
        key = (path, status.st_size, status.st_mtime_ns, status.st_ino)
        if key not in self._known:
            self._known[key] = sha256_file(path)
        return self._known[key]

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
