"""What Evaluate found: `metrics.json` and `decision.json`, read by report, card and registry."""

from pathlib import Path
from typing import Literal

from sashiko.files import read_json, write_json
from sashiko.metrics.quality import CalibrationBin, Confusion, ThresholdMetric
from sashiko.metrics.uncertainty import Estimate
from sashiko.training.checkpoint import MetricLine
from sashiko.yaml_models import Frozen, validate

METRICS_FILE = "metrics.json"
DECISION_FILE = "decision.json"

Estimates = dict[str, Estimate]


class SplitCount(Frozen):
    """How many rows a split has, and how many of them carry the positive label."""

    rows: int
    positives: int


class ChampionRecord(Frozen):
    """The approved version that the candidate was held against."""

    version: int
    sha256: str
    threshold: float


class Evaluation(Frozen):
    """Every figure of a run's model quality.

    Attributes:
        splits: train, validation, test -> their size.
        labels: the negative and the positive label.
        threshold: the score from which on a row is predicted positive.
        bootstrap_replicates: resamples behind each 95 % interval.
        candidate: metric -> estimate on the test split.
        validation: the same on the validation split, where the threshold was chosen.
        others: `majority`, `tfidf_logistic_regression` and, if there is one, `champion` -> metric
            -> estimate on the test split.
        thresholds: name of each of `others` -> its threshold.
        leads: name of each of `others` -> metric -> the candidate's lead, paired by rows; above 0
            the candidate is better.
        champion: which version that was; None if none is approved yet.
        confusion: the candidate's, on the test split.
        calibration: the bins of its reliability diagram, on the test split.
        learning_curve: Train's metrics, by step.
        notes: what a reader must not miss, in plain words.
    """

    splits: dict[str, SplitCount]
    labels: tuple[str, str]
    threshold: float
    bootstrap_replicates: int
    candidate: Estimates
    validation: Estimates
    others: dict[str, Estimates]
    thresholds: dict[str, float]
    leads: dict[str, Estimates]
    champion: ChampionRecord | None
    confusion: Confusion
    calibration: tuple[CalibrationBin, ...]
    learning_curve: tuple[MetricLine, ...]
    notes: tuple[str, ...]


class Decision(Frozen):
    """The decision threshold, and how it came about.

    Attributes:
        threshold: the score from which on a row is predicted positive; blind to facets.
        policy: `maximize` a metric on the validation split, or `fixed` by the recipe.
        metric: the metric of the policy.
        validation_value: that metric on the validation split at the threshold; None if undefined.
    """

    threshold: float
    policy: Literal["maximize", "fixed"]
    metric: ThresholdMetric
    validation_value: float | None


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Writes `metrics.json`."""
    write_json(folder / METRICS_FILE, evaluation.model_dump(mode="json"))


def read_evaluation(path: Path) -> Evaluation:
    """Reads a `metrics.json`.

    Raises:
        InputError: if it is missing or holds something else.
    """
    return validate(Evaluation, read_json(path), source=path.name)


def write_decision(decision: Decision, folder: Path) -> None:
    """Writes `decision.json`."""
    write_json(folder / DECISION_FILE, decision.model_dump(mode="json"))


def read_decision(path: Path) -> Decision:
    """Reads a `decision.json`.

    Raises:
        InputError: if it is missing or holds something else.
    """
    return validate(Decision, read_json(path), source=path.name)
