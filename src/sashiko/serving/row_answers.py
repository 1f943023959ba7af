"""Answers a stream of rows with an artifact: each row is answered, or refused with a reason.

`sashiko predict` and the batch pipeline score through this.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from sashiko.base.parquet import regroup
from sashiko.serving.artifact import ROWS_PER_REQUEST, Answer, Artifact, RequestRefusedError


@dataclass(frozen=True)
class RowAnswer:
    """What the model answers to a row."""

    answer: Answer | None  # None if the row is refused
    refused: str = ""  # why; empty if it is answered

    @property
    def scores(self) -> tuple[float, ...]:
        """The probabilities of the classes, of two that of the second; none if it is refused.

        Of a number, its predicted value and the ends of its interval.
        """
        if self.answer is None:
            return ()
        if self.answer.interval is not None:
            return (self.answer.value, *self.answer.interval)
        return self.answer.scores if len(self.answer.scores) > 2 else (self.answer.score,)


def stream_answers(
    artifact: Artifact, batches: Iterable[pa.RecordBatch], *, schema: pa.Schema
) -> Iterator[tuple[pa.Table, list[RowAnswer]]]:
    """Yields the rows of batches in requests of the size that the handler allows, with answers.

    Where a request begins depends on the number of the row alone, and never on the batches.
    `schema` is that of the batches; the artifact reads the columns of its template.
    """
    for table in regroup(batches, schema, rows=ROWS_PER_REQUEST):
        yield table, answer_rows(artifact, table.to_pylist())


def answer_rows(artifact: Artifact, rows: Sequence[Mapping[str, Any]]) -> list[RowAnswer]:
    """Answers the rows of a request; those that the handler refuses do not stop the others.

    Returns:
        One answer for each row, in their order.
    """
    if not rows:
        return []
    try:
        return [RowAnswer(answer) for answer in artifact.predict(rows)]
    except RequestRefusedError as error:
        at, reason = (0 if len(rows) == 1 else error.position), error.reason
    # In halves, as a request that holds many such rows would else be read again for each of them.
    answers = [] if at is None else [*answer_rows(artifact, rows[:at]), RowAnswer(None, reason)]
    rest = rows if at is None else rows[at + 1 :]
    half = (len(rest) + 1) // 2
    return answers + answer_rows(artifact, rest[:half]) + answer_rows(artifact, rest[half:])
