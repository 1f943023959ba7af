"""Scores a file with an artifact: a CSV or Parquet in, a CSV of labels and scores out."""

import codecs
import csv
import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from sashiko.base.files import atomic_writer
from sashiko.contract.derive import arrow_schema
from sashiko.contract.model import Contract
from sashiko.data.ingest import typed_columns
from sashiko.errors import InputError, disk_reason
from sashiko.serving.artifact import Artifact, open_artifact
from sashiko.serving.container.text import columns
from sashiko.serving.row_answers import stream_answers


def predict_file(
    archive: Path, *, threshold: float, contract: Contract, path: Path, out: Path | None
) -> None:
    """Writes a line of label and score for each row of a file, in its order.

    Of more than two classes, a line has the score of each, in a column `score <class>`, and no
    label if the model does not answer. Of a number, it has the value and the ends of its interval.
    A row that the model refuses, such as one whose text is too long, has the reason in the column
    `refused`, and nothing else.

    Values are cleaned and typed as the contract says, so that the model reads what it was trained
    on. Columns that the artifact's template does not name are ignored. A `.csv` has a header, and
    is written as the contract says. Without `out` the CSV goes to stdout, once all are scored.

    Raises:
        InputError: if the file cannot be read or lacks a column, or the result cannot be written.
    """
    with open_artifact(archive, threshold=threshold) as artifact:
        lines = itertools.chain([_header(artifact)], _lines(artifact, contract, path))
        if out is not None:
            with atomic_writer(out) as file:
                csv.writer(codecs.getwriter("utf-8")(file), lineterminator="\n").writerows(lines)
            return
        try:
            with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as temporary:
                csv.writer(temporary, lineterminator="\n").writerows(lines)
                temporary.seek(0)
                shutil.copyfileobj(temporary, sys.stdout)
        except OSError as error:
            raise InputError(f"cannot write stdout: {disk_reason(error)}") from error


def _header(artifact: Artifact) -> list[str]:
    labels = artifact.labels
    if artifact.half_width is not None:
        return ["value", "low", "high", "refused"]
    scores = ["score"] if len(labels) == 2 else [f"score {label}" for label in labels]
    return ["label", *scores, "refused"]


def _lines(artifact: Artifact, contract: Contract, path: Path) -> Iterator[list[str]]:
    names = columns(artifact.template)
    schema = pa.schema([arrow_schema(contract, "all").field(name) for name in names])
    width, has_classes = len(_header(artifact)) - 1, artifact.half_width is None
    done = refused = 0
    for _, answers in stream_answers(artifact, typed_columns(path, contract, names), schema=schema):
        done += len(answers)
        refused += sum(item.answer is None for item in answers)
        print(f"scored {done:,} rows", file=sys.stderr)
        for item in answers:
            if item.answer is None:
                yield [*[""] * width, item.refused]
                continue
            label = [item.answer.label or ""] if has_classes else []
            yield [*label, *map(repr, item.scores), ""]
    if refused:
        print(f"{refused:,} of them are refused: see the column `refused`", file=sys.stderr)
