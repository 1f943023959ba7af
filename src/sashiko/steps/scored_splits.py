"""Splits, the scores of their texts, and the champion that ResolveChampion found.

A text's score depends in its last bits on the batch that it is in, so a job's instances share out
whole requests: each request holds the same texts whatever the number of instances, and so do its
batches.
"""

import datetime as dt
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field

from sashiko.base.files import read_json, sha256_file, write_json
from sashiko.base.job_folders import Host
from sashiko.base.parquet import open_parquet, read_columns, write_table
from sashiko.base.yaml_models import Frozen, read_record, validate
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import ChampionRecord, SplitCount
from sashiko.evaluation.metrics.arrays import Floats, Ints, Truth, two_classes
from sashiko.serving.artifact import ROWS_PER_REQUEST, Artifact, RequestRefusedError, open_artifact
from sashiko.serving.container.text import assemble, columns

ARTIFACT = "model.tar.gz"
CANDIDATE, CHAMPION = "candidate", "champion"
_SCHEMA = pa.schema({"split": pa.string(), "key": pa.string(), "scores": pa.list_(pa.float64())})
_MOST_NAMED = 5
_AGAIN = "run the pipeline again from Score"


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


def labels_apart(champion: Artifact, ours: Sequence[str], *, number: bool) -> str:
    """Returns how the champion's label differs from the candidate's; empty if it does not.

    A class is known by its name, never by its position. `ours` are the candidate's classes, or its
    outcomes if it predicts a `number`.
    """
    theirs, their_number = champion.labels, champion.half_width is not None
    if their_number != number:
        return f"it predicts {'a number' if their_number else 'classes'}"
    if theirs == tuple(ours):
        return ""
    if number:
        return f"its bound is another one: {theirs[-1]}, and not {ours[-1]}"
    apart = {
        "it lacks": [label for label in ours if label not in theirs],
        "only it has": [label for label in theirs if label not in ours],
    }
    parts = [
        f"{what} {', '.join(labels[:_MOST_NAMED])}"
        + (f" and {len(labels) - _MOST_NAMED} more" if len(labels) > _MOST_NAMED else "")
        for what, labels in apart.items()
        if labels
    ]
    return f"it has other classes: {'; '.join(parts) or 'the same ones in another order'}"


@contextmanager
def open_champion(
    champion: ChampionRecord, folder: Path, *, labels: tuple[str, ...], number: bool, template: str
) -> Iterator[Artifact]:
    """Opens the champion's artifact, whose scores are compared with the candidate's.

    It may read the candidate's columns in texts of its own: an encoder's sentences, or the rows of
    a linear model. One of another label (`labels_apart`) is not to be compared.

    Raises:
        InputError: if it has the candidate's classes, but reads other columns.
    """
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    with open_artifact(
        folder / ARTIFACT, threshold=champion.threshold, on_cpu=True, at_once=threads
    ) as artifact:
        if labels_apart(artifact, labels, number=number):
            yield artifact
            return
        if unknown := sorted(set(columns(artifact.template)) - set(columns(template))):
            raise InputError(
                f"champion version {champion.version} reads {', '.join(unknown)}, which the "
                "recipe's text.template has not, so the two cannot be compared on the same rows: "
                "give the recipe another `model_package_group`, or reject that champion"
            )
        yield artifact


@dataclass(frozen=True)
class Split:
    """A split's rows, in the order of their keys."""

    keys: tuple[str, ...]
    texts: tuple[str, ...]
    labels: Ints  # int64, the index of each row's class
    # The columns of each text as a JSON object, which a linear model reads.
    rows: tuple[str, ...] = ()
    values: Floats | None = None  # of a label that is a number, whose `labels` are its outcomes

    @property
    def truth(self) -> Truth:
        """What the metrics of `evaluation.metrics` compare with: labels, or the values."""
        return self.labels if self.values is None else self.values

    def read_by(self, artifact: Artifact) -> "Split":
        """Returns the split with the texts that an artifact reads, by its own template.

        A linear model reads rows, any other one sentences.
        """
        template, missing = artifact.template, artifact.missing
        texts = (assemble(template, json.loads(row), missing) for row in self.rows)
        return replace(self, texts=tuple(texts))

    def count(self, *, since: dt.date | None, classes: int, first_favourable: int) -> SplitCount:
        """Returns its size, with the first day of a split by time."""
        class_rows = np.bincount(self.labels, minlength=classes)
        return SplitCount(
            rows=len(self.keys),
            positives=int(class_rows[first_favourable:].sum()),
            class_rows=tuple(class_rows.tolist()) if classes > 2 else (),
            mean=None if self.values is None else float(self.values.mean()),
            since=since,
        )


class Row(NamedTuple):
    """Which row of which split."""

    split: str
    key: str


def load_split(folder: Path) -> Split:
    """Reads a split that Prepare wrote.

    Raises:
        InputError: if the file is missing, damaged, empty, or lacks a column.
    """
    path = folder / "data.parquet"
    number = "value" in open_parquet(path).schema_arrow.names
    table = read_columns(path, ("key", "text", "label", "row", *(["value"] if number else [])))
    return Split(
        keys=tuple(table["key"].to_pylist()),
        texts=tuple(table["text"].to_pylist()),
        labels=table["label"].to_numpy().astype(np.int64),
        rows=tuple(table["row"].to_pylist()),
        values=table["value"].to_numpy().astype(np.float64) if number else None,
    )


def first_rows(splits: Mapping[str, Split]) -> dict[str, Row]:
    """Returns the first row of each distinct text, in the order of the rows."""
    rows: dict[str, Row] = {}
    for name, split in splits.items():
        for key, text in zip(split.keys, split.texts, strict=True):
            if text not in rows:
                rows[text] = Row(name, key)
    return rows


def score_texts(
    artifact: Artifact,
    rows: Mapping[str, Row],
    *,
    name: str,
    instead: Mapping[str, str] = MappingProxyType({}),
) -> Floats:
    """Scores texts with an artifact's own handler; `rows` has a row of each text.

    `instead` has what the artifact reads in a text's place.

    Returns:
        The probability of each class, float64, shape (texts, classes); of a number its predicted
        values, shape (texts, 1).

    Raises:
        InputError: if the handler rejects a text; names the model and the row's key.
    """
    texts = [instead.get(text, text) for text in rows]
    start = time.monotonic()

    def report(done: int) -> None:
        speed = done / max(time.monotonic() - start, 1e-9)
        print(f"{name}: scored {done:,} of {len(texts):,} texts, {speed:,.0f}/s", file=sys.stderr)

    try:
        answers = artifact.predict(texts, on_progress=report)
    except RequestRefusedError as error:
        key = list(rows.values())[error.position or 0].key
        raise InputError(
            f"the {name} refuses the row with key {key}: {error.reason}; or compile for longer "
            "texts (`compile.sequence_lengths`), or set `text.truncate: true`"
        ) from error
    scores = np.array([answer.scores for answer in answers], dtype=np.float64)
    outputs = len(artifact.labels) if artifact.half_width is None else 1
    return scores.reshape(len(answers), outputs)


def score_split(artifact: Artifact, split: Split, *, name: str) -> Floats:
    """Scores a split; each distinct text is scored once, as `score_texts` does.

    Returns:
        Scores of each row, as `score_texts` does.
    """
    rows = first_rows({name: split})
    score_of = dict(zip(rows, score_texts(artifact, rows, name=name), strict=True))
    return np.array([score_of[text] for text in split.texts])


class PartRecord(Frozen):
    """What one instance scored."""

    part: int  # the instance's position, from 0
    parts: int  # the number of instances
    champion: bool  # whether the champion was scored too; not if it is the candidate's artifact
    not_comparable: str = ""  # why the champion was not scored; empty for any other reason
    labels: tuple[str, ...]  # the candidate's, in the order of its scores
    template: str  # turns a row into a text of the candidate
    missing: str  # stands for a null in that text
    # Of the interval around a predicted number; None of classes.
    half_width: float | None = Field(None, exclude_if=lambda width: width is None)
    # The same of the champion, which may be the candidate's artifact.
    champion_half_width: float | None = Field(None, exclude_if=lambda width: width is None)
    inputs: dict[str, str]  # name -> sha256 of the rows and models


@dataclass(frozen=True)
class Scores:
    """The scores of all instances, float64, shape (rows, classes); of a number (rows, 1)."""

    record: PartRecord  # what the first instance recorded; the others agree
    validation: Floats  # the candidate's
    test: Floats  # the candidate's
    champion: Floats | None  # of the test split; None if the champion was not scored


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
    columns = {"split": splits, "key": keys, "scores": list(scores)}
    write_table(_part(folder, model, host.index), pa.table(columns, schema=_SCHEMA))


def write_record(folder: Path, record: PartRecord) -> None:
    """Writes what an instance scored."""
    write_json(folder / f"part-{record.part:05}.json", record.model_dump(mode="json"))


def read_scores(
    folder: Path, *, validation: Split, test: Split, inputs: Mapping[str, str]
) -> Scores:
    """Joins the scores of all instances; `inputs` are the digests of what is to be evaluated.

    Raises:
        InputError: if a part is missing, or is of other rows or models.
    """
    files = sorted(folder.glob("part-*.json"))
    records = [read_record(PartRecord, file) for file in files]
    if not records or [record.part for record in records] != list(range(records[0].parts)):
        raise InputError(
            f"{folder} holds the parts of {len(records)} instances of "
            f"{records[0].parts if records else 'Score'}: {_AGAIN}"
        )
    for file, record in zip(files, records, strict=True):
        if record != records[0].model_copy(update={"part": record.part}) or record.inputs != inputs:
            raise InputError(f"{file} is of other rows or models than are evaluated: {_AGAIN}")

    def read(model: str, splits: Mapping[str, Split]) -> list[Floats]:
        """Returns the scores of each split's rows."""
        parts = [open_parquet(_part(folder, model, part)).read() for part in range(len(files))]
        table, rows = pa.concat_tables(parts), first_rows(splits)
        places = zip(table["split"].to_pylist(), table["key"].to_pylist(), strict=True)
        if list(places) != list(rows.values()):
            raise InputError(f"{folder}: the {model}'s scores are not of these rows: {_AGAIN}")
        if "score" in table.column_names:  # of an older run, whose label has two classes
            scores = two_classes(table["score"].to_numpy()).tolist()
        else:
            scores = table["scores"].to_pylist()
        by_text = dict(zip(rows, scores, strict=True))
        return [
            np.array([by_text[text] for text in split.texts], dtype=np.float64)
            for split in splits.values()
        ]

    of_validation, of_test = read(CANDIDATE, {"validation": validation, "test": test})
    champion = read(CHAMPION, {"test": test})[0] if records[0].champion else None
    return Scores(records[0], of_validation, of_test, champion)


def _part(folder: Path, model: str, part: int) -> Path:
    return folder / f"{model}-{part:05}.parquet"
