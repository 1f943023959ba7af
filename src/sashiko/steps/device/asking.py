"""Requests and answers, the same for an endpoint, a batch job and a handler on this machine."""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from sashiko.steps.device.sample import Sample

# The body of a request in, the body of its response out.
Invoke = Callable[[bytes], bytes]
_REPORT_EVERY = 100


class DeviceFailedError(Exception):
    """The device does not answer as it must; the message says what it did, and the gate fails."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How the device's answers compare with those of the model that was judged.

    Attributes:
        rows: how many rows were compared.
        answers: how many answers: each row is asked in a full request, and alone.
        agreement: share of the answers whose label is the same.
        largest_difference: of a probability; None if a score was no number.
        p50_ms: median latency of a request with one row, milliseconds; None if not measured.
        p99_ms: its 99th percentile.
    """

    rows: int
    answers: int
    agreement: float
    largest_difference: float | None
    p50_ms: float | None = None
    p99_ms: float | None = None


class Answer(BaseModel):
    """What the device says of one row."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    label: str
    score: float


_ANSWERS = TypeAdapter(tuple[Answer, ...])


def requests(texts: Sequence[str], *, rows: int) -> Iterator[bytes]:
    """Yields the bodies of the requests for some texts, in their order."""
    for start in range(0, len(texts), rows):
        yield json.dumps({"inputs": list(texts[start : start + rows])}).encode()


def read_answers(bodies: Sequence[bytes], *, expected: int) -> tuple[Answer, ...]:
    """Reads the bodies of the responses, in the order of the requests.

    Raises:
        DeviceFailedError: if they are not one label and score for each row.
    """
    try:
        answers = tuple(answer for body in bodies for answer in _ANSWERS.validate_json(body))
    except ValidationError as error:
        said = error.errors()[0]
        raise DeviceFailedError(
            f"an answer is not a list of labels and scores: {said['msg']}"
        ) from error
    if len(answers) != expected:
        raise DeviceFailedError(f"{expected} rows were sent and {len(answers)} answers came back")
    return answers


def measure(invoke: Invoke, sample: Sample, *, batch_rows: int) -> Measured:
    """Asks for the sample in requests of many rows, and twice alone; the last time counts.

    What only some shapes get wrong shows: requests of one row more than the largest compiled batch
    run a full batch and a padded one. The first time alone warms up each compiled length.

    Args:
        invoke: the device.
        sample: what it is asked.
        batch_rows: rows of the larger requests.

    Raises:
        DeviceFailedError: if the device does not answer as it must.
    """
    many, _ = _asked(invoke, sample, rows=batch_rows)
    warm, _ = _asked(invoke, sample, rows=1)
    alone, seconds = _asked(invoke, sample, rows=1)
    p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
    return compared(sample, (many, warm, alone), p50_ms=float(p50), p99_ms=float(p99))


def compared(
    sample: Sample,
    passes: Sequence[Sequence[Answer]],
    *,
    p50_ms: float | None = None,
    p99_ms: float | None = None,
) -> Measured:
    """Compares answers with what Evaluate found.

    Args:
        sample: n rows.
        passes: n answers each.
        p50_ms: median latency, if it was measured.
        p99_ms: 99th percentile.
    """
    equal = [
        answer.label == label
        for answers in passes
        for answer, label in zip(answers, sample.labels, strict=True)
    ]
    scores = np.array([[answer.score for answer in answers] for answers in passes])
    worst = float(np.abs(scores - sample.scores).max())
    return Measured(
        rows=len(sample.texts),
        answers=len(equal),
        agreement=sum(equal) / len(equal),
        largest_difference=worst if math.isfinite(worst) else None,
        p50_ms=p50_ms,
        p99_ms=p99_ms,
    )


def _asked(invoke: Invoke, sample: Sample, *, rows: int) -> tuple[tuple[Answer, ...], list[float]]:
    bodies, seconds = [], []
    for number, body in enumerate(requests(sample.texts, rows=rows), 1):
        start = time.perf_counter()
        bodies.append(invoke(body))
        seconds.append(time.perf_counter() - start)
        if number % _REPORT_EVERY == 0:
            print(f"{number:,} requests of {rows} row{'s'[: rows > 1]} answered", file=sys.stderr)
    return read_answers(bodies, expected=len(sample.texts)), seconds
