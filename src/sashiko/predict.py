"""Scores a file with an artifact: a CSV or Parquet in, a CSV of label and score out."""

import csv
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from sashiko.artifact import Artifact, RequestRefusedError, open_artifact
from sashiko.errors import InputError
from sashiko.parquet import open_parquet
from sashiko.serving.text import columns

_HEADER = ("label", "score")
_BATCH_ROWS = 1000


def predict_file(archive: Path, *, threshold: float, path: Path, out: Path | None) -> None:
    """Writes a line of label and score for each row of a file, in its order.

    Columns that the artifact's template does not name are ignored. A CSV's values are taken as
    they are written, an empty field as null; Parquet's by their types. Memory holds 1,000 rows.

    Args:
        archive: the artifact, `model.tar.gz`.
        threshold: the probability at or above which the positive label is given.
        path: a `.csv` (UTF-8, with a header) or `.parquet` file.
        out: the CSV to write; None writes it to stdout, once all rows are scored.

    Raises:
        InputError: if the file cannot be read, lacks a column or holds a row that is refused, or
            the result cannot be written.
    """
    with open_artifact(archive, threshold=threshold) as artifact:
        needed = columns(artifact.template)
        batches = _read(path, needed)
        try:
            _write(_answers(artifact, batches, path), out)
        except OSError as error:
            raise InputError(f"cannot write {out or 'stdout'}: {error.strerror}") from error


def _answers(
    artifact: Artifact, batches: Iterator[list[dict[str, Any]]], path: Path
) -> Iterator[tuple[str, str]]:
    done = 0
    for rows in batches:
        try:
            answers = artifact.predict(rows)
        except RequestRefusedError as error:
            row = done + (error.position or 0) + 1
            raise InputError(f"{path}: row {row}: {error.reason}") from error
        done += len(rows)
        print(f"scored {done:,} rows", file=sys.stderr)
        for answer in answers:
            yield answer.label, repr(answer.score)
    if not done:
        raise InputError(f"{path} has no rows")


def _read(path: Path, needed: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path}: expected a .csv or a .parquet file")
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    return readers[path.suffix.lower()](path, needed)


def _read_parquet(path: Path, needed: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    with open_parquet(path) as file:
        _require(path, file.schema_arrow.names, needed)
        try:
            for batch in file.iter_batches(_BATCH_ROWS, columns=list(needed)):
                yield batch.to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path} is damaged: {error}") from error


def _read_csv(path: Path, needed: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    try:
        # utf-8-sig: spreadsheets put a byte order mark in front.
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle, strict=True)
            names = next(reader, [])
            _require(path, names, needed)
            places = {name: names.index(name) for name in needed}
            for values in reader:
                if len(values) != len(names):
                    raise InputError(
                        f"{path}: line {reader.line_num} has {len(values)} fields, the header "
                        f"{len(names)}"
                    )
                rows.append({name: values[place] or None for name, place in places.items()})
                if len(rows) == _BATCH_ROWS:
                    yield rows
                    rows = []
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: save it as UTF-8 ({error.reason})") from error
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num} is not CSV: {error}") from error
    if rows:
        yield rows


def _require(path: Path, names: Sequence[str], needed: Sequence[str]) -> None:
    lacking = [name for name in needed if name not in names]
    if lacking:
        raise InputError(
            f"{path}: column `{lacking[0]}` is missing; the model needs {', '.join(needed)}"
        )


def _write(lines: Iterator[tuple[str, str]], out: Path | None) -> None:
    """Writes the lines to a temporary file first: an error leaves nothing half-written."""
    folder = out.parent if out else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w+", dir=folder, prefix=".tmp-", suffix=".csv", encoding="utf-8", newline="", delete=False
    ) as handle:
        temporary = Path(handle.name)
        try:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(_HEADER)
            writer.writerows(lines)
            handle.flush()
            if out is None:
                handle.seek(0)
                shutil.copyfileobj(handle, sys.stdout)
            else:
                temporary.chmod(0o644)
                temporary.replace(out)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
