"""Reads splits and scores their texts with an artifact."""

import datetime as dt
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sashiko.base.files import read_json, sha256_file, write_json
from sashiko.base.job_folders import Host
from sashiko.base.parquet import open_parquet, write_table
from sashiko.base.yaml_models import Frozen, read_record, validate
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import ChampionRecord, SplitCount
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.serving.artifact import ROWS_PER_REQUEST, Artifact, RequestRefusedError, open_artifact
from sashiko.training.examples import read_split

ARTIFACT = "model.tar.gz"


class _ChampionFile(Frozen):
    champion: ChampionRecord | None


def read_champion(folder: Path) -> ChampionRecord | None:
    """Reads ResolveChampion's output; None if no version is approved yet.

    Raises:
        InputError: if the record is damaged, or the artifact does not match it.
    """
    path = folder / "champion.json"
    champion = validate(_ChampionFile, read_json(path), source=str(path)).champion
    if champion is None:
        return None
    digest = sha256_file(folder / ARTIFACT)
    if digest != champion.sha256:
        raise InputError(
            f"{folder / ARTIFACT} has sha256 {digest}, the registry says {champion.sha256}: the "
            "champion's artifact was changed; reject that version"
        )
    return champion


@contextmanager
def open_champion(
    champion: ChampionRecord, folder: Path, *, labels: tuple[str, str], template: str
) -> Iterator[Artifact]:
    """Opens the champion's artifact, whose scores are compared with the candidate's.

    Raises:
        InputError: if it has other labels or another template than the candidate.
    """
    with open_artifact(folder / ARTIFACT, threshold=champion.threshold, on_cpu=True) as artifact:
        _require_labels(artifact, labels, version=champion.version)
        if artifact.template != template:
            raise InputError(
                f"champion version {champion.version} reads texts of another template, so the two "
                "cannot be compared on the same rows: give the recipe another "
                "`model_package_group`, or reject that champion"
            )
        yield artifact


def _require_labels(champion: Artifact, labels: tuple[str, str], *, version: int) -> None:
    """Checks that the champion has the candidate's labels."""
    if champion.labels != labels:
        raise InputError(
            f"champion version {version} has the labels {', '.join(champion.labels)}, the "
            f"candidate {', '.join(labels)}: give the recipe another `model_package_group`"
        )


@dataclass(frozen=True)
class Split:
    """A split's rows, in the order of their keys."""

    keys: tuple[str, ...]
    texts: tuple[str, ...]
    labels: Ints  # int64, 1 for positive

    def count(self, *, since: dt.date | None) -> SplitCount:
        """Returns its size, with the first day of a split by time."""
        return SplitCount(rows=len(self.keys), positives=int(self.labels.sum()), since=since)


class Row(NamedTuple):
    """Which row of which split."""

    split: str
    key: str


def load_split(folder: Path) -> Split:
    """Reads a split that Prepare wrote.

    Raises:
        InputError: if the file is missing, damaged, empty, or lacks a column.
    """
    table = read_split(folder)
    return Split(
        keys=tuple(table["key"].to_pylist()),
        texts=tuple(table["text"].to_pylist()),
        labels=table["label"].to_numpy().astype(np.int64),
    )


def first_rows(splits: Mapping[str, Split]) -> dict[str, Row]:
    """Returns the first row of each distinct text, in the order of the rows."""
    rows: dict[str, Row] = {}
    for name, split in splits.items():
        for key, text in zip(split.keys, split.texts, strict=True):
            if text not in rows:
                rows[text] = Row(name, key)
    return rows


def score_texts(artifact: Artifact, rows: Mapping[str, Row], *, name: str) -> Floats:
    """Scores texts with an artifact's own handler.

    Args:
        artifact: the model.
        rows: each text, and the row that has it.
        name: of the model, in messages.

    Returns:
        P(positive) of each text, float64, shape (texts,).

    Raises:
        InputError: if the handler rejects a text; names the row's key.
    """
    texts = list(rows)
    start = time.monotonic()

    def report(done: int) -> None:
        speed = done / max(time.monotonic() - start, 1e-9)
        print(f"{name}: scored {done:,} of {len(texts):,} texts, {speed:,.0f}/s", file=sys.stderr)

    try:
        answers = artifact.predict(texts, on_progress=report)
    except RequestRefusedError as error:
        key = rows[texts[error.position or 0]].key
        raise InputError(
            f"the {name} refuses the row with key {key}: {error.reason}; or compile for longer "
            "texts (`compile.sequence_lengths`), or set `text.truncate: true`"
        ) from error
    return np.array([answer.score for answer in answers], dtype=np.float64)


def score_split(artifact: Artifact, split: Split, *, name: str) -> Floats:
    """Scores a split; each distinct text is scored once.

    Returns:
        P(positive) of each row, float64, shape (rows,).

    Raises:
        InputError: if the handler rejects a text; names the row's key.
    """
    rows = first_rows({name: split})
    score_of = dict(zip(rows, score_texts(artifact, rows, name=name), strict=True))
    return np.array([score_of[text] for text in split.texts])


# Divides the texts to score among a job's instances, and joins what they wrote.
#
# A text's score depends in its last bits on the batch that it is in, so the instances share out
# whole requests: each request holds the same texts whatever the number of instances, and so do its
# batches.


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
