"""Captured requests as another version would have answered them, with the audit of their rows.

A request is scored as a whole, as it came: what one request has is batched together, which decides
the last bits of a score, and a request with a row that the version refuses gets no answer at all.
"""

import datetime as dt
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.core.scratch import scratch_database
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.monitoring.capture.rows import stream_requests
from sashiko.monitoring.draws import create_draws_view
from sashiko.monitoring.labels import create_first_labels_view, create_labels_view
from sashiko.monitoring.reference import Reference
from sashiko.monitoring.text_sample import captured_texts
from sashiko.serving.artifact import Artifact, RequestRefusedError

_PROGRESS_REQUESTS: Final = 500
_DRAWN: Final = """
CREATE TABLE drawn AS SELECT place, key, probability
FROM answers JOIN (SELECT key, probability FROM draw_files WHERE version = ?) USING (key)
"""
_LABELLED: Final = """
SELECT place, probability, (label = ?)::BIGINT AS label
FROM drawn JOIN first_labels USING (key) ORDER BY place
"""


@dataclass(frozen=True)
class ScoredRows:
    """Rows of requests that both versions answer; arrays have the shape (rows,)."""

    keys: tuple[str | None, ...]
    requests: Ints  # the number of each row's request, from 0
    champion: Floats  # the captured P(positive)
    candidate: Floats  # the other version's
    refused: int  # rows of requests that the candidate refuses, which are not among these


@dataclass(frozen=True)
class AuditedRows:
    """Rows that were drawn for the audit and are labelled; arrays have the shape (labelled,)."""

    places: Ints  # in the scored rows, ascending
    probabilities: Floats  # with which each was drawn
    labels: Ints  # 1 for positive
    drawn: int  # how many of the scored rows were drawn, with or without a label


def score_requests(
    path: Path, candidate: Artifact, reference: Reference, *, version: int
) -> ScoredRows:
    """Scores the requests that a version answered with another one.

    Args:
        path: a file of `read_captures`, with the columns of the candidate's template.
        candidate: the other version.
        reference: of the candidate.
        version: whose answers were captured.

    Raises:
        InputError: if the file is damaged.
    """
    answered: list[dict[str, Any]] = []
    scores: list[float] = []
    done = refused = 0
    for table, _ in stream_requests(path, ["version", "key", "score", "text", "input"]):
        rows = table.filter(pc.fill_null(pc.equal(table["version"], version), False))
        answers = rows.select(["event_id", "key", "score"]).to_pylist()
        pairs = zip(answers, captured_texts(rows, reference), strict=True)
        for _, request in groupby(pairs, key=lambda pair: pair[0]["event_id"]):
            captured, texts = zip(*request, strict=True)
            done += 1
            if done % _PROGRESS_REQUESTS == 0:
                print(f"scored {done:,} requests", file=sys.stderr)
            try:
                scores += [answer.score for answer in candidate.predict(texts)]
            except RequestRefusedError:
                refused += len(texts)
            else:
                answered += captured
    requests = np.unique([row["event_id"] for row in answered], return_inverse=True)[1]
    return ScoredRows(
        keys=tuple(row["key"] for row in answered),
        requests=requests.astype(np.int64),
        champion=np.array([row["score"] for row in answered], dtype=np.float64),
        candidate=np.array(scores, dtype=np.float64),
        refused=refused,
    )


def find_audited(
    keys: Sequence[str | None],
    *,
    labels: Path,
    draws: Path,
    version: int,
    now: dt.datetime,
    positive: str,
) -> AuditedRows:
    """Finds the rows that were drawn for the audit, and their labels.

    Args:
        keys: of the rows.
        labels: the folder of the labels.
        draws: the folder of the draws.
        version: whose answers were drawn from.
        now: later labels are not known yet.
        positive: the positive label.

    Raises:
        InputError: if a file is missing or damaged.
    """
    answers = pa.table({"place": np.arange(len(keys)), "key": pa.array(keys, pa.string())})
    with scratch_database(f"join labels with {labels}") as connection:
        create_labels_view(connection, labels)
        create_first_labels_view(connection, now=now)
        create_draws_view(connection, draws)
        connection.register("answers", answers)
        connection.execute(_DRAWN, [version])
        rows = connection.execute(_LABELLED, [positive]).fetchnumpy()
        ((drawn,),) = connection.execute("SELECT count(*) FROM drawn").fetchall()
    return AuditedRows(rows["place"], rows["probability"], rows["label"], drawn)
