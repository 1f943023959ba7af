"""The results of Evaluate: `metrics.json` and `decision.json`, for report, card and registry."""

from functools import partial
from pathlib import Path
from typing import Literal

from sashiko.core.files import write_json
from sashiko.core.yaml_models import Frozen, read_record
from sashiko.evaluation.metrics.calibration import CalibrationBin
from sashiko.evaluation.metrics.quality import Confusion, ThresholdMetric
from sashiko.evaluation.metrics.uncertainty import Estimate

METRICS_FILE = "metrics.json"
DECISION_FILE = "decision.json"

Estimates = dict[str, Estimate]


class MetricLine(Frozen):
    """One line of `metrics.jsonl`; without timestamps, so that equal runs give equal files.

    Attributes:
        step: optimiser steps so far.
        epoch: the epoch of that step, from 1.
        train_loss: mean weighted loss of the steps since the previous line.
        learning_rate: of that step.
        validation_loss: mean unweighted loss on the validation split; only at the end of an epoch.
        validation_auc: area under the ROC curve on the validation split; likewise.
    """

    step: int
    epoch: int
    train_loss: float
    learning_rate: float
    validation_loss: float | None = None
    validation_auc: float | None = None


class TemperatureFit(Frozen):
    """The result of temperature scaling; `temperature.json` in Train's output.

    Attributes:
        temperature: the divisor of the logits; above 1 the scores were overconfident.
        validation_loss_before: mean negative log-likelihood of the validation split before it.
        validation_loss_after: the same after it.
        kept: why the temperature stays 1 if there is no optimum; else empty.
    """

    temperature: float
    validation_loss_before: float
    validation_loss_after: float
    kept: str = ""


class SplitCount(Frozen):
    """The number of rows of a split, and of those with the positive label."""

    rows: int
    positives: int


class ChampionRecord(Frozen):
    """The approved version that the candidate was compared with."""

    version: int
    sha256: str
    threshold: float


class Calibration(Frozen):
    """The calibration of the candidate on the test split.

    Attributes:
        curve: the non-empty bins of its reliability curve, by ascending score.
        error_by_chance: the calibration error of a perfectly calibrated model on these rows.
        temperature: the fit of Train; None without temperature scaling.
        before: `expected_calibration_error` and `brier_score` -> estimate before temperature
            scaling; empty without it.
    """

    curve: tuple[CalibrationBin, ...]
    error_by_chance: Estimate
    temperature: TemperatureFit | None
    before: Estimates


class SliceFigures(Frozen):
    """A slice of the test split: the rows with one value, or a band of values, in a column.

    Attributes:
        column: a column of the contract's training view; never a sensitive one.
        value: the value or band.
        rows: the number of rows.
        positives: the number of rows with the positive label.
        metrics: metric -> estimate on the slice; empty if it has too few rows to judge.
        differences: metric -> slice minus all test rows; below 0 the slice is worse. Empty
            likewise.
    """

    column: str
    value: str
    rows: int
    positives: int
    metrics: Estimates
    differences: Estimates


class Slices(Frozen):
    """The candidate on slices of the test split.

    Attributes:
        metric: the metric that orders them.
        minimum_rows: smaller slices are not judged.
        figures: the worst first; those without a difference last.
    """

    metric: str
    minimum_rows: int
    figures: tuple[SliceFigures, ...]

    @property
    def judged(self) -> tuple[SliceFigures, ...]:
        """Slices with a difference and its interval, the worst first."""
        pairs = ((item, item.differences.get(self.metric)) for item in self.figures)
        return tuple(item for item, lead in pairs if lead is not None and lead.high is not None)

    @property
    def worse(self) -> tuple[SliceFigures, ...]:
        """Judged slices whose whole interval lies below 0."""
        return tuple(item for item in self.judged if (item.differences[self.metric].high or 0) < 0)


class SeenTextFigures(Frozen):
    """Candidate and linear baseline on the test rows with only words of the train split, or others.

    Attributes:
        seen: whether each word and each pair of adjacent words of these rows occurs in train.
        rows: the number of rows.
        positives: the number of rows with the positive label.
        candidate: metric -> estimate; empty if there are too few rows to judge.
        linear: the same of `tfidf_logistic_regression`.
        lead: metric -> the candidate's lead, paired by rows; above 0 the candidate is better.
    """

    seen: bool
    rows: int
    positives: int
    candidate: Estimates
    linear: Estimates
    lead: Estimates


class Evaluation(Frozen):
    """All results on the model quality of a run.

    Attributes:
        splits: train, validation, test -> their size.
        labels: the negative and the positive label.
        threshold: rows with at least this score are predicted positive.
        bootstrap_replicates: resamples of each 95 % interval.
        candidate: metric -> estimate on the test split.
        validation: the same on the validation split, on which the threshold was chosen.
        others: `majority`, `tfidf_logistic_regression` (reweighed like the candidate),
            `tfidf_logistic_regression_unmitigated` if the candidate was reweighed, and `champion`
            if there is one -> metric -> estimate on the test split.
        thresholds: name of each of `others` -> its threshold.
        leads: name of each of `others` except the unmitigated one -> metric -> the candidate's
            lead, paired by rows; above 0 the candidate is better.
        minimum_effect: the smallest lead that counts as better (`standing`).
        champion: the champion's version; None if no version is approved.
        confusion: the candidate's, on the test split.
        calibration: the calibration of its scores.
        slices: its metrics on slices of the test split.
        seen_text: its metrics on text with only words of the train split and on other text,
            together with the linear baseline; empty in older runs.
        learning_curve: Train's metrics, by step.
        notes: important notes for the reader.
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
    minimum_effect: float
    champion: ChampionRecord | None
    confusion: Confusion
    calibration: Calibration
    slices: Slices
    seen_text: tuple[SeenTextFigures, ...] = ()
    learning_curve: tuple[MetricLine, ...]
    notes: tuple[str, ...]


class Decision(Frozen):
    """The decision threshold and its origin.

    Attributes:
        threshold: rows with at least this score are predicted positive; independent of facets.
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


read_evaluation = partial(read_record, Evaluation)


def write_decision(decision: Decision, folder: Path) -> None:
    """Writes `decision.json`."""
    write_json(folder / DECISION_FILE, decision.model_dump(mode="json"))


read_decision = partial(read_record, Decision)
