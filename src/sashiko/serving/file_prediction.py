"""Scores a file with an artifact: a CSV or Parquet in, a CSV of labels and scores out."""

import codecs
import csv
import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from sashiko.base.files import atomic_writer
from sashiko.contract.model import Contract
from sashiko.data.ingest import typed_columns
from sashiko.errors import InputError, disk_reason
from sashiko.serving.artifact import Artifact, RequestRefusedError, open_artifact
from sashiko.serving.container.text import columns

_BATCH_ROWS = 1000


def predict_file(
    archive: Path, *, threshold: float, contract: Contract, path: Path, out: Path | None
) -> None:
    """Writes a line of label and score for each row of a file, in its order.

    Of more than two classes, a line has the score of each, in a column `score <class>`, and no
    label if the model does not answer. Of a number, it has the value and the ends of its interval.

    Values are cleaned and typed as the contract says, so that the model reads what it was trained
    on. Columns that the artifact's template does not name are ignored. A `.csv` has a header, and
    is written as the contract says. Without `out` the CSV goes to stdout, once all are scored.

    Raises:
        InputError: if the file cannot be read, lacks a column or holds a row that is refused, or
            the result cannot be written.
    """
    with open_artifact(archive, threshold=threshold) as artifact:
        batches = typed_columns(path, contract, columns(artifact.template))
        labels = artifact.labels
        scores = ["score"] if len(labels) == 2 else [f"score {label}" for label in labels]
        header = ["label", *scores] if artifact.half_width is None else ["value", "low", "high"]
        lines = itertools.chain([header], _answers(artifact, batches, path))
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


def _answers(
    artifact: Artifact, batches: Iterable[pa.RecordBatch], path: Path
) -> Iterator[list[str]]:
    done = 0
    slices = (
        batch.slice(start, _BATCH_ROWS).to_pylist()
        for batch in batches
        for start in range(0, batch.num_rows, _BATCH_ROWS)
    )
    for rows in slices:
        try:
            answers = artifact.predict(rows)
        except RequestRefusedError as error:
            row = done + (error.position or 0) + 1
            raise InputError(f"{path}: row {row}: {error.reason}") from error
        done += len(rows)
        print(f"scored {done:,} rows", file=sys.stderr)
        for answer in answers:
            if answer.interval is not None:
                yield [repr(number) for number in (answer.value, *answer.interval)]
                continue
            scores = answer.scores if len(answer.scores) > 2 else (answer.score,)
            yield [answer.label or "", *map(repr, scores)]
