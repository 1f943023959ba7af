"""Divides the texts to score among a job's instances, and joins what they wrote.

A text's score depends in its last bits on the batch that it is in, so the instances share out whole
requests: each request holds the same texts whatever the number of instances, and so do its batches.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from sashiko.base.files import write_json
from sashiko.base.job_folders import Host
from sashiko.base.parquet import open_parquet, write_table
from sashiko.base.yaml_models import Frozen, read_record
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats
from sashiko.serving.artifact import ROWS_PER_REQUEST
from sashiko.steps.scored_splits import Row, Split, first_rows

CANDIDATE, CHAMPION = "candidate", "champion"
_SCHEMA = pa.schema({"split": pa.string(), "key": pa.string(), "score": pa.float64()})
_AGAIN = "run the pipeline again from Score"


class PartRecord(Frozen):
    """What one instance scored.

    Attributes:
        part: the instance's position, from 0.
        parts: the number of instances.
        champion: whether the champion was scored too; not if it is the candidate's artifact.
        labels: the candidate's negative and positive label.
        template: turns a row into a text of the candidate.
        missing: stands for a null in that text.
        inputs: name -> sha256 of the rows and models.
    """

    part: int
    parts: int
    champion: bool
    labels: tuple[str, str]
    template: str
    missing: str
    inputs: dict[str, str]


@dataclass(frozen=True)
class Scores:
    """The scores of all instances; P(positive) of each row, float64.

    Attributes:
        record: what the first instance recorded; the others agree.
        validation: the candidate's.
        test: the candidate's.
        champion: of the test split; None if the champion was not scored.
    """

    record: PartRecord
    validation: Floats
    test: Floats
    champion: Floats | None


def part_of(rows: Mapping[str, Row], host: Host) -> dict[str, Row]:
    """Returns an instance's texts: consecutive requests, as many as another's, or one more."""
    requests = -(-len(rows) // ROWS_PER_REQUEST)
    start, stop = (requests * index // host.count for index in (host.index, host.index + 1))
    share = islice(rows.items(), start * ROWS_PER_REQUEST, stop * ROWS_PER_REQUEST)
    return dict(share)


def write_part(
    folder: Path, model: str, host: Host, *, rows: Mapping[str, Row], scores: Floats
) -> None:
    """Writes a model's scores of an instance's texts, each by the first row that has the text."""
    splits, keys = zip(*rows.values(), strict=True) if rows else ((), ())
    columns = {"split": splits, "key": keys, "score": scores}
    write_table(_part(folder, model, host.index), pa.table(columns, schema=_SCHEMA))


def write_record(folder: Path, record: PartRecord) -> None:
    """Writes what an instance scored."""
    write_json(folder / f"part-{record.part:05}.json", record.model_dump(mode="json"))


def read_scores(
    folder: Path, *, validation: Split, test: Split, inputs: Mapping[str, str]
) -> Scores:
    """Joins the scores of all instances.

    Args:
        folder: Score's output.
        validation: the rows.
        test: the rows.
        inputs: name -> sha256 of what is to be evaluated.

    Raises:
        InputError: if a part is missing, or is of other rows or models.
    """
    record = _read_record(folder, inputs)
    splits = {"validation": validation, "test": test}
    by_text = _read(folder, CANDIDATE, record, first_rows(splits))
    champion = None
    if record.champion:
        champion = _spread(test, _read(folder, CHAMPION, record, first_rows({"test": test})))
    return Scores(record, _spread(validation, by_text), _spread(test, by_text), champion)


def _read_record(folder: Path, inputs: Mapping[str, str]) -> PartRecord:
    files = sorted(folder.glob("part-*.json"))
    records = [read_record(PartRecord, file) for file in files]
    if not records or [record.part for record in records] != list(range(records[0].parts)):
        raise InputError(
            f"{folder} holds the parts of {len(records)} instances of "
            f"{records[0].parts if records else 'Score'}: {_AGAIN}"
        )
    first = records[0]
    for file, record in zip(files, records, strict=True):
        if record != first.model_copy(update={"part": record.part}) or record.inputs != inputs:
            raise InputError(f"{file} is of other rows or models than are evaluated: {_AGAIN}")
    return first


def _read(
    folder: Path, model: str, record: PartRecord, rows: Mapping[str, Row]
) -> dict[str, float]:
    """Returns the score of each text."""
    tables = [open_parquet(_part(folder, model, part)).read() for part in range(record.parts)]
    table = pa.concat_tables(tables)
    if list(_rows(table)) != list(rows.values()):
        raise InputError(f"{folder}: the {model}'s scores are not of these rows: {_AGAIN}")
    return dict(zip(rows, table["score"].to_pylist(), strict=True))


def _rows(table: pa.Table) -> Iterator[tuple[str, str]]:
    return zip(table["split"].to_pylist(), table["key"].to_pylist(), strict=True)


def _spread(split: Split, by_text: Mapping[str, float]) -> Floats:
    scores: Sequence[float] = [by_text[text] for text in split.texts]
    return np.array(scores, dtype=np.float64)


def _part(folder: Path, model: str, part: int) -> Path:
    return folder / f"{model}-{part:05}.parquet"
