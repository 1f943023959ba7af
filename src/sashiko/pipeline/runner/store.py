"""S3 as a folder: `s3://bucket/key` is the file `<root>/bucket/key`."""

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sashiko.core.files import lies_within, walk_files
from sashiko.core.problems import shorten
from sashiko.errors import InputError
from sashiko.pipeline.runner.archive import write_archive
from sashiko.pipeline.runner.disk import disk_faults

# No bucket can have this name, so what is on its way never shows under a prefix.
_INCOMING = ".incoming"


@dataclass(frozen=True)
class Store:
    """A local stand-in for S3.

    Attributes:
        root: the folder that holds the buckets.
    """

    root: Path

    def path(self, uri: str) -> Path:
        """Returns the place of an S3 URI.

        Raises:
            InputError: if it is not an S3 URI, its key climbs out of the bucket, or a link on the
                way leads out of the store.
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
        place = self.root.joinpath(*parts)
        self._hold_inside(place, uri)
        return place

    def files(self, uri: str) -> dict[str, Path]:
        """Lists what a job gets for an S3Prefix, which is a prefix of keys and not a folder.

        An object of exactly that key lands under its own name, a folder's objects under their
        path below it. A prefix that means a folder and matches keys beside it too, such as
        `.../data` beside `.../data-old`, is refused: SageMaker would stage both.

        Args:
            uri: the prefix.

        Returns:
            Relative POSIX path -> file, sorted.

        Raises:
            InputError: if nothing matches, the prefix is ambiguous, or a file is a link that leads
                out of the store.
        """
        place = self.path(uri)
        folder = {file.relative_to(place).as_posix(): file for file in walk_files(place)}
        beside = {} if uri.endswith("/") else self._beside(place)
        if folder and beside:
            raise InputError(
                f"`{uri}` is a prefix of keys and also matches `{next(iter(beside))}` beside the "
                "folder, which SageMaker would stage as well; end it with `/` or rename one"
            )
        if not folder and not beside:
            raise InputError(f"`{uri}`: no object in the local store has a key that starts so")
        found = folder or beside
        for file in found.values():
            if file.is_symlink():
                self._hold_inside(file, uri)
        return found

    def _hold_inside(self, place: Path, uri: str) -> None:
        if not lies_within(place, self.root):
            raise InputError(f"`{uri}`: a link leads out of the local store: {place}")

    def put(self, uri: str, files: Mapping[str, Path]) -> None:
        """Puts files below a prefix, in place of what is there; all of them or none.

        Args:
            uri: the prefix.
            files: relative POSIX path -> file. A file that nothing else links to is linked and
                not copied, so that it must not be changed afterwards.

        Raises:
            InputError: if they cannot be written.
        """
        with disk_faults(f"cannot write {uri} to the local store"), self._incoming() as new:
            new.mkdir()
            for relative, file in files.items():
                _link_or_copy(file, new / relative)
            self._replace(self.path(uri), new)

    def put_archive(self, uri: str, files: Mapping[str, Path]) -> None:
        """Puts files (relative POSIX path -> file) as one `.tar.gz` object, whole or not at all.

        Raises:
            InputError: if it cannot be written.
        """
        with disk_faults(f"cannot write {uri} to the local store"), self._incoming() as new:
            write_archive(new, files)
            self._replace(self.path(uri), new)

    def forget_incoming(self) -> None:
        """Removes what a killed run left on its way in."""
        shutil.rmtree(self.root / _INCOMING, ignore_errors=True)

    @contextmanager
    def _incoming(self) -> Iterator[Path]:
        """Yields a free path on the way in, which is gone afterwards."""
        folder = self.root / _INCOMING / secrets.token_hex(8)
        folder.mkdir(parents=True)
        try:
            yield folder / "new"
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _replace(self, place: Path, new: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            place.rename(new.parent / "old")
        new.rename(place)

    def _beside(self, place: Path) -> dict[str, Path]:
        found: dict[str, Path] = {}
        siblings = place.parent.iterdir() if place.parent.is_dir() else ()
        for sibling in sorted(siblings):
            is_the_folder = sibling == place and sibling.is_dir()
            if is_the_folder or not sibling.name.startswith(place.name):
                continue
            inside = walk_files(sibling) if sibling.is_dir() else (sibling,)
            found |= {file.relative_to(place.parent).as_posix(): file for file in inside}
        return found


def _is_name(part: str) -> bool:
    """Tells whether a file may be called so: 255 bytes of UTF-8 without NUL, and no climbing."""
    length = len(part.encode(errors="replace"))
    odd = "\0" in part or any("\ud800" <= letter <= "\udfff" for letter in part)
    return part not in (".", "..") and 0 < length < 256 and not odd


def copy_files(files: Mapping[str, Path], folder: Path) -> None:
    """Copies files (relative path -> file) below a folder, which is made if missing.

    Raises:
        InputError: if they cannot be written.
    """
    with disk_faults(f"cannot stage files into {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        for relative, file in files.items():
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def _link_or_copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not source.is_symlink() and source.stat().st_nlink == 1:
        os.link(source, target)
    else:
        shutil.copyfile(source, target)
