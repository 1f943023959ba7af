"""Gets data and weights from where a recipe says: the first source that is reachable and matches.

What was fetched once and still matches its digest is used again, without a network.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from sashiko.core.files import canonical_json, sha256_bytes, sha256_file, walk_files, write_bytes
from sashiko.core.plugins import code_digest, load
from sashiko.data.downloads import SourceUnavailable, download, is_inside
from sashiko.data.generators import Generator, Order, write_rows
from sashiko.errors import InputError, disk_reason
from sashiko.settings.recipe import (
    DataSection,
    FileSource,
    GeneratorSource,
    HuggingFaceSource,
    ModelSection,
    OwnSource,
    PypiSource,
    Source,
)

S = TypeVar("S", bound=Source)
T = TypeVar("T")
Download = PypiSource | HuggingFaceSource | OwnSource


def fetch_weights(model: ModelSection, folder: Path) -> None:
    """Makes `folder` hold exactly the files of a pre-trained model.

    Args:
        model: the recipe's model: its sources and the digest of every file.
        folder: appears whole or not at all, and is left alone if it is right already.

    Raises:
        InputError: naming every source and why it did not do.
    """
    for name in model.files:
        if not is_inside(name):
            raise InputError(f"model.files: `{name}` leads out of the model's folder; rename it")
    found = {path.relative_to(folder).as_posix(): path for path in walk_files(folder)}
    if found.keys() == model.files.keys() and all(
        sha256_file(path) == model.files[name] for name, path in found.items()
    ):
        return

    def get(source: Download | FileSource) -> None:
        top = "" if isinstance(source, FileSource) else source.member
        members = {name: str(PurePosixPath(top, name)) for name in model.files}
        _download(source, members, digests=model.files, folder=folder)

    _first_good(f"weights of {model.name}", model.sources, get)


def fetch_data(data: DataSection, *, cache: Path) -> Path:
    """Returns the raw data file of a recipe, downloaded or generated if need be.

    Args:
        data: the recipe's sources and the digest of the file.
        cache: where downloaded and generated files are kept.

    Returns:
        The file: the recipe's own for a `file` source, one below `cache` for the others.

    Raises:
        InputError: naming every source and why it did not do.
    """

    def get(source: Source) -> Path:
        if isinstance(source, FileSource):
            return _checked(Path(source.path), data.sha256)
        if isinstance(source, GeneratorSource):
            return _generated(source, data.sha256, cache)
        return _downloaded(source, data.sha256 or "", cache)

    kept = list(walk_files(_kept_in(cache, data.sha256))) if data.sha256 else []
    if len(kept) == 1 and sha256_file(kept[0]) == data.sha256:
        return kept[0]
    return _first_good("data", data.sources, get)


def _first_good(what: str, sources: Sequence[S], get: Callable[[S], T]) -> T:
    reasons = []
    for source in sources:
        name = _describe(source)
        started = time.monotonic()
        print(f"{what}: from {name}", file=sys.stderr)
        try:
            found = get(source)
        except SourceUnavailable as reason:
            print(f"{what}: not from {name}: {reason}", file=sys.stderr)
            reasons.append(f"  {name}: {reason}")
        else:
            print(f"{what}: ready after {time.monotonic() - started:.0f} s", file=sys.stderr)
            return found
    raise InputError(
        f"{what}: no source of the recipe could be used\n" + "\n".join(reasons) + "\n"
        "Make one of them reachable (an index for pip: PIP_INDEX_URL; a proxy: HTTPS_PROXY), "
        "mend its digest if the change is meant, or add a source to the recipe"
    )


def _describe(source: Source) -> str:
    if isinstance(source, PypiSource):
        return f"PyPI package {source.requirement}"
    if isinstance(source, HuggingFaceSource):
        return f"Hugging Face {source.repository} at {source.revision[:12]}"
    if isinstance(source, FileSource):
        return f"file {source.path}"
    if isinstance(source, OwnSource):
        return f"{source.source}, {source.member or 'its top'}"
    return f"generator {source.generator}, {source.rows:,} rows, seed {source.seed}"


def _download(
    source: Download | FileSource,
    members: Mapping[str, str],
    *,
    digests: Mapping[str, str],
    folder: Path,
) -> None:
    """Downloads `members` (local name -> path in the source), checks them, and moves them in."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".tmp-") as scratch:
            files = Path(scratch, "files")
            targets = {member: files / name for name, member in members.items()}
            download(source, targets, scratch=Path(scratch))
            for name, digest in digests.items():
                _checked(files / name, digest)
            if folder.exists():
                folder.rename(Path(scratch, "replaced"))
            files.rename(folder)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {disk_reason(error)}") from error


def _checked(path: Path, digest: str | None) -> Path:
    if not path.is_file():
        raise SourceUnavailable(f"{path} does not exist")
    if digest is not None and (found := sha256_file(path)) != digest:
        raise SourceUnavailable(
            f"{path.name} is not the file asked for: expected sha256 {digest}, got {found}"
        )
    return path


def _kept_in(cache: Path, digest: str) -> Path:
    return cache / "downloads" / digest


def _downloaded(source: Download, digest: str, cache: Path) -> Path:
    name = PurePosixPath(source.member).name
    folder = _kept_in(cache, digest)
    _download(source, {name: source.member}, digests={name: digest}, folder=folder)
    return folder / name


def _generated(source: GeneratorSource, digest: str | None, cache: Path) -> Path:
    """Generates the rows unless they are there; another seed, or other code, makes another file."""
    order = Order(rows=source.rows, seed=source.seed, bias=source.bias, drift=source.drift)
    generator: Generator = load("generators", source.generator, key="data.sources")
    code = code_digest("generators", source.generator)
    wanted = source.model_dump(mode="json") | {"code": code}
    path = cache / "generated" / f"{sha256_bytes(canonical_json(wanted))[:16]}.parquet"
    record = path.with_suffix(".sha256")
    if not _is_as_written(path, record):
        write_rows(path, generator=generator, order=order)
        write_bytes(record, sha256_file(path).encode())
    try:
        return _checked(path, digest)
    except SourceUnavailable:
        path.unlink(missing_ok=True)
        record.unlink()
        raise


def _is_as_written(path: Path, record: Path) -> bool:
    if not (path.is_file() and record.is_file()):
        return False
    if record.read_text() == sha256_file(path):
        return True
    print(f"data: {path} does not hold what was generated: made again", file=sys.stderr)
    return False
