"""What Evaluate found: `metrics.json` and `decision.json`, read by report, card and registry."""

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
    """One line of `metrics.jsonl`; without times, so that equal runs give equal files.

    Attributes:
        step: optimiser steps so far.
        epoch: the epoch of that step, from 1.
        train_loss: mean weighted loss of the steps since the line before.
        learning_rate: of that step.
        validation_loss: mean unweighted loss on the validation split; at the end of an epoch only.
        validation_auc: area under its ROC curve, likewise.
    """

    step: int
    epoch: int
    train_loss: float
    learning_rate: float
    validation_loss: float | None = None
    validation_auc: float | None = None


class TemperatureFit(Frozen):
    """What temperature scaling did; `temperature.json` in Train's output.

    Attributes:
        temperature: what the logits are divided by; above 1 the scores were too sure.
        validation_loss_before: mean negative log-likelihood of the validation split before it.
        validation_loss_after: and after it.
        kept: why the temperature is 1, where there is no best one; else empty.
    """

    temperature: float
    validation_loss_before: float
    validation_loss_after: float
    kept: str = ""


class SplitCount(Frozen):
    """How many rows a split has, and how many of them carry the positive label."""

    rows: int
    positives: int


class ChampionRecord(Frozen):
    """The approved version that the candidate was held against."""

    version: int
    sha256: str
    threshold: float


class Calibration(Frozen):
    """How far the candidate's scores are from probabilities, on the test split.

    Attributes:
        curve: the filled bins of its reliability curve, by ascending score.
        error_by_chance: the calibration error of a perfectly calibrated model on these rows.
        temperature: what Train fitted; None where the recipe asks for none.
        before: `expected_calibration_error` and `brier_score` -> estimate without the temperature;
            empty where there is none.
    """

    curve: tuple[CalibrationBin, ...]
    error_by_chance: Estimate
    temperature: TemperatureFit | None
    before: Estimates


class SliceFigures(Frozen):
    """Some rows of the test split: those with one value, or a band of values, in a column.

    Attributes:
        column: of the contract's training view; never a sensitive one.
        value: what these rows have in it.
        rows: how many.
        positives: how many of them carry the positive label.
        metrics: metric -> estimate on the slice; empty where it has too few rows to judge.
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
    """The candidate on parts of the test split.

    Attributes:
        metric: by which they are ordered.
        minimum_rows: below, a slice is too small to judge.
        figures: the worst first; those without a difference last.
    """

    metric: str
    minimum_rows: int
    figures: tuple[SliceFigures, ...]

    @property
    def judged(self) -> tuple[SliceFigures, ...]:
        """Those with a difference, and an interval to it; the worst first."""
        found = ((item, item.differences.get(self.metric)) for item in self.figures)
        return tuple(item for item, lead in found if lead is not None and lead.high is not None)

    @property
    def worse(self) -> tuple[SliceFigures, ...]:
        """Those of `judged` whose whole interval lies below all rows."""
        return tuple(item for item in self.judged if (item.differences[self.metric].high or 0) < 0)


class SeenTextFigures(Frozen):
    """Candidate and linear baseline on the test rows of which train has each word, or on the rest.

    Attributes:
        seen: whether each word and each pair of adjacent words of these rows occurs in train.
        rows: how many.
        positives: how many of them carry the positive label.
        candidate: metric -> estimate; empty where there are too few rows to judge.
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
    """Every figure of a run's model quality.

    Attributes:
        splits: train, validation, test -> their size.
        labels: the negative and the positive label.
        threshold: the score from which on a row is predicted positive.
        bootstrap_replicates: resamples behind each 95 % interval.
        candidate: metric -> estimate on the test split.
        validation: the same on the validation split, where the threshold was chosen.
        others: `majority`, `tfidf_logistic_regression` (reweighed as the candidate was), where
            it was, `tfidf_logistic_regression_unmitigated`, and, if there is one, `champion` ->
            metric -> estimate on the test split.
        thresholds: name of each of `others` -> its threshold.
        leads: name of each of `others` but the unmitigated one -> metric -> the candidate's lead,
            paired by rows; above 0 the candidate is better.
        minimum_effect: the least lead that is called better (`standing`).
        champion: which version that was; None if none is approved yet.
        confusion: the candidate's, on the test split.
        calibration: whether its scores are probabilities.
        slices: how it does on parts of the test split.
        seen_text: how it does on text that train has the words of, and on other text, beside the
            linear baseline; empty in a run from before this was measured.
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
    minimum_effect: float
    champion: ChampionRecord | None
    confusion: Confusion
    calibration: Calibration
    slices: Slices
    seen_text: tuple[SeenTextFigures, ...] = ()
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


read_evaluation = partial(read_record, Evaluation)


def write_decision(decision: Decision, folder: Path) -> None:
    """Writes `decision.json`."""
    write_json(folder / DECISION_FILE, decision.model_dump(mode="json"))


read_decision = partial(read_record, Decision)
