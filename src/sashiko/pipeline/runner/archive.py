"""`model.tar.gz` and `output.tar.gz`: the same bytes for the same files."""

import gzip
import tarfile
from collections.abc import Mapping
from pathlib import Path

# Weights hardly compress, and level 0 is many times faster to read and write, as in
# serving/container/pack.py.
_LEVEL = 0


def write_archive(target: Path, files: Mapping[str, Path]) -> None:
    """Writes files (relative POSIX path -> file) as a gzipped tar without times or owners."""
    with (
        target.open("wb") as raw,
        gzip.GzipFile(
            filename="", fileobj=raw, mode="wb", compresslevel=_LEVEL, mtime=0
        ) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = files[name].stat().st_size
            with files[name].open("rb") as content:
                archive.addfile(entry, content)
