"""Scores a file with an artifact: a CSV or Parquet in, a CSV of label and score out."""

import csv
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sashiko.contract.model import Contract
from sashiko.data.ingest import typed_columns
from sashiko.errors import InputError, disk_reason
from sashiko.serving.artifact import Artifact, RequestRefusedError, open_artifact
from sashiko.serving.container.text import columns

_HEADER = ("label", "score")
_BATCH_ROWS = 1000


def predict_file(
    archive: Path, *, threshold: float, contract: Contract, path: Path, out: Path | None
) -> None:
    """Writes a line of label and score for each row of a file, in its order.

    Values are cleaned and typed as the contract says, so that the model reads what it was trained
    on. Columns that the artifact's template does not name are ignored.

    Args:
        archive: the artifact, `model.tar.gz`.
        contract: of the data that the model was trained on.
        threshold: the probability at or above which the positive label is given.
        path: a `.csv` (with a header, written as the contract says) or `.parquet` file.
        out: the CSV to write; None writes it to stdout, once all rows are scored.

    Raises:
        InputError: if the file cannot be read, lacks a column or holds a row that is refused, or
            the result cannot be written.
    """
    with open_artifact(archive, threshold=threshold) as artifact:
        needed = columns(artifact.template)
        batches = _read(path, needed, contract)
        try:
            _write(_answers(artifact, batches, path), out)
        except OSError as error:
            raise InputError(f"cannot write {out or 'stdout'}: {disk_reason(error)}") from error


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


def _read(path: Path, needed: Sequence[str], contract: Contract) -> Iterator[list[dict[str, Any]]]:
    for batch in typed_columns(path, contract, needed):
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            yield batch.slice(start, _BATCH_ROWS).to_pylist()


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
