"""S3 as a folder: `s3://bucket/key` is the file `<root>/bucket/key`."""

import gzip
import os
import secrets
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sashiko.base.files import (
    lies_within,
    sha256_bytes,
    sha256_file,
    translate_disk_errors,
    walk_files,
)
from sashiko.base.problems import shorten
from sashiko.errors import InputError

# No bucket can have this name, so incomplete uploads never show under a prefix.
_INCOMING = ".incoming"
# Weights hardly compress, and level 0 is many times faster to read and write, as in
# serving/container/pack.py.
_LEVEL = 0


@dataclass(frozen=True)
class Store:
    """A local stand-in for S3: the folder that holds the buckets."""

    root: Path

    def path(self, uri: str) -> Path:
        """Returns the local path of an S3 URI.

        Raises:
            InputError: if it is not an S3 URI, its key leaves the bucket, or a link on its path
                leaves the store.
        """
        scheme, _, rest = uri.partition("://")
        bucket, _, key = rest.partition("/")
        parts = [bucket, *key.rstrip("/").split("/")]
        if scheme != "s3" or not bucket or not key.strip("/"):
            raise InputError(f"`{uri}` is not an S3 URI with a bucket and a key")
        if not all(_is_name(part) for part in parts) or bucket[0] == ".":
            raise InputError(
                f"`{shorten(uri)}`: its key has an empty part, `.` or `..`, or one that no file "
                "may be called"
            )
        path = self.root.joinpath(*parts)
        self._check_inside(path, uri)
        return path

    def files(self, uri: str) -> dict[str, Path]:
        """Lists the files of an S3Prefix, a prefix of keys: relative POSIX path -> file, sorted.

        An object of exactly that key is staged under its own name, a folder's objects under their
        relative path. A prefix that names a folder and matches sibling keys too, such as
        `.../data` and `.../data-old`, is refused: SageMaker would stage both.

        Raises:
            InputError: if nothing matches, the prefix is ambiguous, or a file is a link that leads
                out of the store.
        """
        path = self.path(uri)
        folder = {file.relative_to(path).as_posix(): file for file in walk_files(path)}
        sibling_files = {} if uri.endswith("/") else self._sibling_files(path)
        if folder and sibling_files:
            raise InputError(
                f"`{uri}` is a prefix of keys and also matches `{next(iter(sibling_files))}` "
                "beside the folder, which SageMaker would stage too; end it with `/` or rename one"
            )
        if not folder and not sibling_files:
            raise InputError(f"`{uri}`: no object in the local store has a key that starts so")
        files = folder or sibling_files
        for file in files.values():
            if file.is_symlink():
                self._check_inside(file, uri)
        return files

    def _check_inside(self, path: Path, uri: str) -> None:
        if not lies_within(path, self.root):
            raise InputError(f"`{uri}`: a link leads out of the local store: {path}")

    def put(self, uri: str, files: Mapping[str, Path]) -> None:
        """Replaces the content of a prefix with files (relative POSIX path -> file), atomically.

        A file with a single link is hard-linked instead of copied, so it must not be changed
        afterwards.

        Raises:
            InputError: if they cannot be written.
        """
        with self._incoming(uri) as new:
            new.mkdir()
            for relative, file in files.items():
                target = new / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                if not file.is_symlink() and file.stat().st_nlink == 1:
                    os.link(file, target)
                else:
                    shutil.copyfile(file, target)
            self._replace(self.path(uri), new)

    def put_archive(self, uri: str, files: Mapping[str, Path]) -> None:
        """Writes files (relative POSIX path -> file) as one `.tar.gz` object, atomically.

        Raises:
            InputError: if it cannot be written.
        """
        with self._incoming(uri) as new:
            # Equal files give equal bytes: no times, no owners.
            with (
                new.open("wb") as raw,
                gzip.GzipFile("", "wb", _LEVEL, fileobj=raw, mtime=0) as compressed,
                tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
            ):
                for name in sorted(files):
                    entry = tarfile.TarInfo(name)
                    entry.size = files[name].stat().st_size
                    with files[name].open("rb") as content:
                        archive.addfile(entry, content)
            self._replace(self.path(uri), new)

    def clear_incoming(self) -> None:
        """Removes the incomplete uploads of a killed run."""
        shutil.rmtree(self.root / _INCOMING, ignore_errors=True)

    @contextmanager
    def _incoming(self, uri: str) -> Iterator[Path]:
        """Yields a free temporary path, which is removed afterwards."""
        folder = self.root / _INCOMING / secrets.token_hex(8)
        try:
            with translate_disk_errors(f"cannot write {uri} to the local store"):
                folder.mkdir(parents=True)
                yield folder / "new"
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _replace(self, target: Path, new: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.rename(new.parent / "old")
        new.rename(target)

    def _sibling_files(self, path: Path) -> dict[str, Path]:
        files: dict[str, Path] = {}
        siblings = path.parent.iterdir() if path.parent.is_dir() else ()
        for sibling in sorted(siblings):
            is_the_folder = sibling == path and sibling.is_dir()
            if is_the_folder or not sibling.name.startswith(path.name):
                continue
            inside = walk_files(sibling) if sibling.is_dir() else (sibling,)
            files |= {item.relative_to(path.parent).as_posix(): item for item in inside}
        return files


def _is_name(part: str) -> bool:
    """Returns whether a key part is a valid file name: 1 to 255 bytes of UTF-8, no NUL, no `..`."""
    length = len(part.encode(errors="replace"))
    invalid = "\0" in part or any("\ud800" <= character <= "\udfff" for character in part)
    return part not in (".", "..") and 0 < length < 256 and not invalid


def copy_files(files: Mapping[str, Path], folder: Path) -> None:
    """Copies files (relative path -> file) below a folder, which is made if missing.

    Raises:
        InputError: if they cannot be written.
    """
    with translate_disk_errors(f"cannot stage files into {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        for relative, file in files.items():
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


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
