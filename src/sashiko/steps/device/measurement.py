"""A sample of the test split, what a device answers to it, and the checks of these answers."""

import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from sashiko.base.parquet import open_parquet, read_columns
from sashiko.base.yaml_models import Excerpt, validate
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check
from sashiko.evaluation.metrics.arrays import Floats
from sashiko.serving.container.tar_reader import read_files
from sashiko.settings.recipe_train import DeviceSection
from sashiko.training.examples import read_split

_CONFIG_FILE = "serving.json"
_LARGEST_FILE = 1 << 20  # bytes
_REPORT_EVERY = 100
_CAUSES = (
    "look into the endpoint's log group, which outlives it: a Neuron SDK that the driver of "
    "`InferenceAmiVersion` is too old for, more workers than NeuronCores, an artifact of another "
    "compiler than the image's, or a load longer than the start-up timeout all end like this"
)
_NUMBERS = (
    "compile without casting to a smaller type, compare with `largest_difference` in the compile "
    "lock, or allow more in the recipe's `device` section"
)
_SLOW = (
    "smaller `compile.sequence_lengths`, a larger instance for serving, or a bound that the use "
    "allows in the recipe's `device` section"
)
# Maps the body of a request to the body of its response.
Invoke = Callable[[bytes], bytes]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Rows with Evaluate's scores and labels."""

    texts: tuple[str, ...]
    classes: tuple[str, ...]
    # Of the evaluated model, float64: the probability of the second of two classes, (rows, 1), or
    # of all classes, (rows, classes); or the predicted number, (rows, 1).
    scores: Floats
    labels: tuple[str | None, ...]  # that it gives; None where it does not answer
    number: "_Number | None" = None  # None if the label has classes


class _Bucket(Excerpt):
    batch: int


class _Number(Excerpt):
    scale: float  # standard deviation of the train split's labels
    above: float  # the bound of the second outcome


class ServingConfig(Excerpt):
    """The artifact's `serving.json`."""

    target: str
    labels: tuple[str, ...]
    buckets: tuple[_Bucket, ...]
    number: _Number | None = None

    @property
    def largest_batch(self) -> int:
        """The largest batch that it was compiled for."""
        return max(bucket.batch for bucket in self.buckets)


def read_serving_config(archive: Path) -> ServingConfig:
    """Reads an artifact's `serving.json` without unpacking or running the artifact.

    Raises:
        InputError: if the archive is missing, damaged, or not an artifact of this project.
    """
    try:
        files = read_files(archive, (_CONFIG_FILE,), at_most=_LARGEST_FILE)
        value = json.loads(files[_CONFIG_FILE])
    except KeyError as error:
        raise InputError(f"{archive} holds no readable {_CONFIG_FILE}: it has none") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{archive} holds no readable {_CONFIG_FILE}: {error}") from error
    return validate(ServingConfig, value, source=f"{archive}: {_CONFIG_FILE}")


def draw_sample(
    section: DeviceSection, *, test: Path, predictions: Path, config: ServingConfig
) -> Sample:
    """Samples rows of the test split, reproducibly by seed.

    Raises:
        InputError: if a file is missing or damaged, or Evaluate scored other rows.
    """
    split, labels = read_split(test), config.labels
    name = "score" if len(labels) == 2 else "scores"
    more = {"answered"} & {*open_parquet(predictions).schema_arrow.names}
    table = read_columns(predictions, ("key", "split", name, "predicted", *more))
    table = table.filter(pc.equal(table["split"], "test"))
    scored = {
        row["key"]: (row[name], labels[row["predicted"]] if row.get("answered", True) else None)
        for row in table.to_pylist()
    }
    size = min(section.rows, split.num_rows)
    generator = np.random.default_rng(section.seed)
    sampled = split.take(np.sort(generator.choice(split.num_rows, size=size, replace=False)))
    keys = sampled["key"].to_pylist()
    unscored = [key for key in keys if key not in scored]
    if unscored:
        raise InputError(
            f"{predictions.name} has no score of the test row with key {unscored[0]}: Evaluate "
            "judged another split; run the pipeline again"
        )
    return Sample(
        texts=tuple(sampled["text"].to_pylist()),
        classes=labels,
        scores=np.array([scored[key][0] for key in keys], dtype=np.float64).reshape(size, -1),
        labels=tuple(scored[key][1] for key in keys),
        number=config.number,
    )


class DeviceFailedError(Exception):
    """The device failed or gave an invalid answer; the gate fails with this message."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The device's answers compared with those of the evaluated model."""

    rows: int
    answers: int  # number of answers: each row is sent in a full request, and alone
    agreement: float
    # Of a probability, or of a number in standard deviations; None if a score was not a number.
    largest_difference: float | None
    # Median latency of a request with one row, milliseconds; None if not measured.
    p50_ms: float | None = None
    p99_ms: float | None = None  # its 99th percentile


class Answer(BaseModel):
    """The device's answer for one row."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    label: str | None = None  # of classes
    score: float | None = None  # of two classes
    scores: dict[str, float] = {}  # of more: class -> probability
    value: float | None = None  # of a number
    interval: tuple[float, float] | None = None  # of a number

    def listed(self, sample: Sample) -> list[float]:
        """Returns the score, the scores of all classes in their order, or the number.

        Raises:
            DeviceFailedError: if one is missing.
        """
        classes, what = sample.classes, "a label and the score of each class"
        scores = [self.score] if len(classes) == 2 else [self.scores.get(name) for name in classes]
        if sample.number:
            scores, what = [self.value], "a number"
        known = [score for score in scores if score is not None]
        if len(known) < len(scores) or not (sample.number or "label" in self.model_fields_set):
            raise DeviceFailedError(f"an answer is not {what}")
        return known

    def decision(self, sample: Sample) -> str | None:
        """Returns the label, or the outcome of a number; None if the model does not answer."""
        if sample.number and self.value is not None:
            return sample.classes[int(self.value > sample.number.above)]
        return self.label


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
        problem = error.errors()[0]["msg"]
        raise DeviceFailedError(
            f"an answer is not a list of labels and scores: {problem}"
        ) from error
    if len(answers) != expected:
        raise DeviceFailedError(f"{expected} rows were sent and {len(answers)} answers came back")
    return answers


def measure(
    invoke: Invoke, sample: Sample, *, batch_rows: int, is_judged_by_latency: bool
) -> Measurement:
    """Sends the sample in batches, then row by row; the last pass measures latency.

    Requests of one row more than the largest compiled batch run a full batch and a padded one.
    Where latency is judged, a first pass of single rows warms up each compiled length.

    Raises:
        DeviceFailedError: if the device fails or gives an invalid answer.
    """
    passes = []
    seconds: list[float] = []
    for rows in (batch_rows, 1, 1) if is_judged_by_latency else (batch_rows, 1):
        bodies, seconds = [], []
        for number, body in enumerate(requests(sample.texts, rows=rows), 1):
            start = time.perf_counter()
            bodies.append(invoke(body))
            seconds.append(time.perf_counter() - start)
            if number % _REPORT_EVERY == 0:
                texts = "row" if rows == 1 else "rows"
                print(f"{number:,} requests of {rows} {texts} answered", file=sys.stderr)
        passes.append(read_answers(bodies, expected=len(sample.texts)))
    p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
    return compare(sample, passes, p50_ms=float(p50), p99_ms=float(p99))


def compare(
    sample: Sample,
    passes: Sequence[Sequence[Answer]],
    *,
    p50_ms: float | None = None,
    p99_ms: float | None = None,
) -> Measurement:
    """Compares answers with Evaluate's predictions."""
    equal = [
        answer.decision(sample) == label
        for answers in passes
        for answer, label in zip(answers, sample.labels, strict=True)
    ]
    scores = np.array([[answer.listed(sample) for answer in part] for part in passes])
    scale = sample.number.scale if sample.number else 1.0
    largest = float(np.abs(scores - sample.scores).max() / scale)
    return Measurement(
        rows=len(sample.texts),
        answers=len(equal),
        agreement=sum(equal) / len(equal),
        largest_difference=largest if math.isfinite(largest) else None,
        p50_ms=p50_ms,
        p99_ms=p99_ms,
    )


def device_checks(
    section: DeviceSection, measurement: Measurement, *, latency_not_judged: str
) -> list[Check]:
    """Compares a measurement with the recipe's bounds.

    Returns:
        Agreement, largest difference and latency, in this order.
    """
    agreement, difference = measurement.agreement, measurement.largest_difference
    agrees = agreement >= section.minimum_agreement
    checks = [
        Check(
            name="agreement of labels",
            value=agreement,
            threshold=section.minimum_agreement,
            comparison=">=",
            passed=agrees,
            reason=f"{measurement.answers:,} answers about {measurement.rows:,} rows of the test "
            "split against those of the model that was judged",
            try_="" if agrees else _NUMBERS,
        ),
        _at_most(
            "largest difference of a score",
            difference,
            section.maximum_difference,
            reason="over the same answers" if difference is not None else "a score was no number",
            advice=_NUMBERS,
        ),
    ]
    if latency_not_judged:
        unjudged = Check(name="latency", passed=True, reason=latency_not_judged, judged=False)
        return [*checks, unjudged]
    bounds = (
        ("p50 latency, ms", measurement.p50_ms, section.maximum_p50_ms),
        ("p99 latency, ms", measurement.p99_ms, section.maximum_p99_ms),
    )
    for name, value, maximum in bounds:
        reason = "requests of one row, one after the other, as a job in the VPC sees them"
        checks.append(_at_most(name, value, maximum, reason=reason, advice=_SLOW))
    return checks


def failed_check(reason: str) -> Check:
    """Returns the failed check of a device that did not answer."""
    return Check(name="answers on the device", passed=False, reason=reason, try_=_CAUSES)


def _at_most(name: str, value: float | None, maximum: float, *, reason: str, advice: str) -> Check:
    passed = value is not None and value <= maximum
    return Check(
        name=name,
        value=value,
        threshold=maximum,
        comparison="<=",
        passed=passed,
        reason=reason,
        try_="" if passed else advice,
    )
