"""Requests to and answers of an endpoint, a batch job or a local handler."""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from sashiko.steps.device.sample import Sample

# Maps the body of a request to the body of its response.
Invoke = Callable[[bytes], bytes]
_REPORT_EVERY = 100


class DeviceFailedError(Exception):
    """The device failed or gave an invalid answer; the gate fails with this message."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The device's answers compared with those of the evaluated model."""

    rows: int
    answers: int  # number of answers: each row is sent in a full request, and alone
    agreement: float
    largest_difference: float | None  # of a probability; None if a score was not a number
    # Median latency of a request with one row, milliseconds; None if not measured.
    p50_ms: float | None = None
    p99_ms: float | None = None  # its 99th percentile


class Answer(BaseModel):
    """The device's answer for one row."""

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
        DeviceFailedError: if they are not one label and score per row.
    """
    try:
        answers = tuple(answer for body in bodies for answer in _ANSWERS.validate_json(body))
    except ValidationError as error:
        first_error = error.errors()[0]
        raise DeviceFailedError(
            f"an answer is not a list of labels and scores: {first_error['msg']}"
        ) from error
    if len(answers) != expected:
        raise DeviceFailedError(f"{expected} rows were sent and {len(answers)} answers came back")
    return answers


def measure(invoke: Invoke, sample: Sample, *, batch_rows: int) -> Measurement:
    """Sends the sample in batches, then twice row by row; the last pass measures latency.

    Requests of one row more than the largest compiled batch run a full batch and a padded one. The
    first pass of single rows warms up each compiled length.

    Raises:
        DeviceFailedError: if the device fails or gives an invalid answer.
    """
    batched, _ = _invoke_all(invoke, sample, rows=batch_rows)
    warm_up, _ = _invoke_all(invoke, sample, rows=1)
    single, seconds = _invoke_all(invoke, sample, rows=1)
    p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
    return compare(sample, (batched, warm_up, single), p50_ms=float(p50), p99_ms=float(p99))


def compare(
    sample: Sample,
    passes: Sequence[Sequence[Answer]],
    *,
    p50_ms: float | None = None,
    p99_ms: float | None = None,
) -> Measurement:
    """Compares answers with Evaluate's predictions."""
    equal = [
        answer.label == label
        for answers in passes
        for answer, label in zip(answers, sample.labels, strict=True)
    ]
    scores = np.array([[answer.score for answer in answers] for answers in passes])
    largest = float(np.abs(scores - sample.scores).max())
    return Measurement(
        rows=len(sample.texts),
        answers=len(equal),
        agreement=sum(equal) / len(equal),
        largest_difference=largest if math.isfinite(largest) else None,
        p50_ms=p50_ms,
        p99_ms=p99_ms,
    )


def _invoke_all(
    invoke: Invoke, sample: Sample, *, rows: int
) -> tuple[tuple[Answer, ...], list[float]]:
    bodies, seconds = [], []
    for number, body in enumerate(requests(sample.texts, rows=rows), 1):
        start = time.perf_counter()
        bodies.append(invoke(body))
        seconds.append(time.perf_counter() - start)
        if number % _REPORT_EVERY == 0:
            print(f"{number:,} requests of {rows} row{'s'[: rows > 1]} answered", file=sys.stderr)
    return read_answers(bodies, expected=len(sample.texts)), seconds
