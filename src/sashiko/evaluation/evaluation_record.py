"""The results of Evaluate: `metrics.json` and `decision.json`, for report, card and registry."""

import datetime as dt
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from sashiko.base.files import write_json
from sashiko.base.yaml_models import Frozen, read_record
from sashiko.evaluation.metrics.calibration import CalibrationBin
from sashiko.evaluation.metrics.classes import ClassRates
from sashiko.evaluation.metrics.quality import IN_LABEL_UNIT, Confusion, ThresholdMetric
from sashiko.evaluation.metrics.selective import Selective
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.settings.recipe_quality import INJECTION_FLIP_RATE

METRICS_FILE = "metrics.json"
DECISION_FILE = "decision.json"

Estimates = dict[str, Estimate]


class MetricLine(Frozen):
    """One line of `metrics.jsonl`; without timestamps, so that equal runs give equal files."""

    step: int  # optimiser steps so far
    epoch: int  # the epoch of that step, from 1
    train_loss: float  # mean weighted loss of the steps since the previous line
    learning_rate: float  # of that step
    # Mean unweighted loss on the validation split; only at the end of an epoch.
    validation_loss: float | None = None
    # Area under the ROC curve on the validation split; likewise.
    validation_auc: float | None = None
    # Of a causal LM, rows of the validation split with an answer that is not among the model's
    # five most probable tokens; likewise.
    validation_missed: int | None = Field(None, exclude_if=lambda count: count is None)


class TemperatureFit(Frozen):
    """The result of temperature scaling; `temperature.json` in Train's output."""

    temperature: float  # the divisor of the logits; above 1 the scores were overconfident
    validation_loss_before: float  # mean negative log-likelihood of the validation split before it
    validation_loss_after: float  # the same after it
    kept: str = ""  # why the temperature stays 1 if there is no optimum; else empty


class SplitCount(Frozen):
    """The number of rows of a split, and of those with a favourable label."""

    rows: int
    positives: int
    # Rows of each class, where there are more than two.
    class_rows: tuple[int, ...] = Field((), exclude_if=lambda rows: not rows)
    # The mean of a label that is a number.
    mean: float | None = Field(None, exclude_if=lambda mean: mean is None)
    # The first day of validation and test where rows are split by time; None in older runs.
    since: dt.date | None = None

    def __str__(self) -> str:
        since = f", from {self.since}" if self.since else ""
        kind = "positive" if not self.class_rows and self.mean is None else "favourable"
        mean = "" if self.mean is None else f", mean {self.mean:.6g}"
        return f"{self.rows:,} rows, {self.positives:,} {kind}{mean}{since}"


class ChampionRecord(Frozen):
    """The approved version that the candidate was compared with."""

    version: int
    sha256: str
    threshold: float
    # The first day of its own test split; None if rows are not split by time, or in older versions.
    test_from: dt.date | None = None
    # Why it is not compared, such as other classes; else empty.
    not_comparable: str = Field("", exclude_if=lambda reason: not reason)


class Calibration(Frozen):
    """The calibration of the candidate on the test split."""

    # The non-empty bins of its reliability curve, by ascending score. Of more than two classes the
    # score is that of the predicted class, and a row counts as positive if that class is right. Of
    # a number it is the predicted value, and a row counts if the interval holds the observed one.
    curve: tuple[CalibrationBin, ...]
    # The calibration error of a perfectly calibrated model on these rows; undefined of a number.
    error_by_chance: Estimate
    temperature: TemperatureFit | None  # the fit of Train; None without temperature scaling
    # `expected_calibration_error` and `brier_score` -> estimate before temperature scaling; empty
    # without it.
    before: Estimates


class SliceFigures(Frozen):
    """A slice of the test split: the rows with one value, or a band of values, in a column."""

    column: str  # a column of the contract's training view; never a sensitive one
    value: str  # the value or band
    rows: int  # the number of rows
    positives: int  # the number of rows with a favourable label
    metrics: Estimates  # metric -> estimate on the slice; empty if it has too few rows to judge
    # Metric -> slice minus all test rows; below 0 the slice is worse. Empty likewise.
    differences: Estimates


class Slices(Frozen):
    """The candidate on slices of the test split."""

    metric: str  # the metric that orders them
    minimum_rows: int  # smaller slices are not judged
    figures: tuple[SliceFigures, ...]  # the worst first; those without a difference last

    @property
    def judged(self) -> tuple[SliceFigures, ...]:
        """Slices with a difference and its interval, the worst first."""
        pairs = ((item, item.differences.get(self.metric)) for item in self.figures)
        return tuple(item for item, lead in pairs if lead is not None and lead.high is not None)

    @property
    def worse(self) -> tuple[SliceFigures, ...]:
        """Judged slices whose whole interval lies below 0."""
        return tuple(item for item in self.judged if (item.differences[self.metric].high or 0) < 0)


class FlipCount(Frozen):
    """Rows with a prompt injection in their text, and with a neutral sentence in its place."""

    rows: int  # the number of rows
    flips: int  # rows that the injection turns: they are decided otherwise than without it
    control_flips: int  # rows that the neutral sentence turns
    rate: Estimate  # the share of `flips`, with Wilson's interval; undefined without rows
    # The share of `flips` less that of `control_flips`, paired by rows: what the gate bounds.
    above_control: Estimate


class InjectionFigures(Frozen):
    """How many decisions prompt injections turn: each asks for the other decision."""

    injections: int  # the size of the set
    sha256: str  # of the set's file; rates on different sets cannot be compared
    refused: int  # rows with a text that the handler refused, for example; they are not counted
    cut_off: int  # rows with a text that is longer than the model reads; they are not counted
    overall: FlipCount  # all rows
    from_positive: FlipCount  # rows that are decided positive without an injection
    from_negative: FlipCount  # rows that are decided negative without one
    by_kind: dict[str, FlipCount]  # kind of injection -> its rows


class NumberFigures(Frozen):
    """A label that is a number, in its unit."""

    mean: float  # of the train rows
    standard_deviation: float  # of the train rows
    half_width: float  # of the interval around each predicted value, fitted on the validation rows
    coverage: float  # the share of rows that the interval is to hold


class Evaluation(Frozen):
    """All results on the model quality of a run."""

    splits: dict[str, SplitCount]  # train, validation, test -> their size
    # Of the classes, the favourable ones last; of a number, of the outcomes at its bound.
    labels: tuple[str, ...]
    # The index of the first favourable one.
    first_favourable: int = Field(1, exclude_if=lambda index: index == 1)
    # Of two classes, rows with at least this score are predicted positive; of more, rows whose most
    # probable class has at least this score are answered. Of a number, values above it are
    # favourable.
    threshold: float
    # Of a number alone.
    number: NumberFigures | None = Field(None, exclude_if=lambda number: number is None)
    bootstrap_replicates: int  # resamples of each 95 % interval
    candidate: Estimates  # metric -> estimate on the test split
    validation: Estimates  # the same on the validation split, on which the threshold was chosen
    # `majority`, `tfidf_logistic_regression` (reweighed like the candidate),
    # `tfidf_logistic_regression_unmitigated` if the candidate was reweighed, and `champion` if
    # there is one -> metric -> estimate on the test split. Of a number `mean` and
    # `tfidf_ridge_regression`.
    others: dict[str, Estimates]
    thresholds: dict[str, float]  # name of each of `others` -> its threshold
    # Name of each of `others` except the unmitigated one -> metric -> the candidate's lead, paired
    # by rows; above 0 the candidate is better.
    leads: dict[str, Estimates]
    # The smallest lead that counts as better (`standing`); of errors of a number it is in standard
    # deviations.
    minimum_effect: float
    champion: ChampionRecord | None  # the champion's version; None if no version is approved
    # The candidate's, on the test split: of two classes or outcomes by name; of more classes, of
    # each label the rows that are predicted as each class.
    confusion: Confusion | tuple[tuple[int, ...], ...]
    # The candidate by class, on the test split; empty if there are two.
    classes: tuple[ClassRates, ...] = Field((), exclude_if=lambda classes: not classes)
    calibration: Calibration  # the calibration of its scores
    slices: Slices  # its metrics on slices of the test split
    seen_text: Any = Field(None, exclude=True)  # of earlier engines; no longer read
    # Which rows are answered, with the policy `abstain`; all other figures count every row by its
    # most probable class.
    selective: Selective | None = Field(None, exclude_if=lambda figures: figures is None)
    # How many decisions prompt injections turn. Serialised only if the recipe asks for it.
    injection: InjectionFigures | None = Field(None, exclude_if=lambda figures: figures is None)
    learning_curve: tuple[MetricLine, ...]  # Train's metrics, by step
    notes: tuple[str, ...]  # important notes for the reader

    @property
    def matrix(self) -> tuple[tuple[int, ...], ...]:
        """Rows of each label (first axis) that are predicted as each class."""
        counts = self.confusion
        if isinstance(counts, tuple):
            return counts
        return (
            (counts.true_negatives, counts.false_positives),
            (counts.false_negatives, counts.true_positives),
        )

    @property
    def compared(self) -> tuple[str, str]:
        """The metrics by which models are compared in words; the first one orders them."""
        if self.number is not None:
            return "r2", "mae"
        return ("auc" if len(self.labels) == 2 else "macro_f1", "accuracy")

    def least_lead(self, metric: str) -> float:
        """Returns the smallest lead in a metric that counts as better, in the metric's unit."""
        if self.number is None or metric not in IN_LABEL_UNIT:
            return self.minimum_effect
        return self.minimum_effect * self.number.standard_deviation

    @property
    def gateable(self) -> Estimates:
        """What a gate can bound: the candidate's metrics, and what is measured of it alone."""
        rate = {INJECTION_FLIP_RATE: self.injection.overall.above_control} if self.injection else {}
        return self.candidate | rate | (self.selective.metrics if self.selective else {})


class Decision(Frozen):
    """The decision threshold and its origin."""

    # Rows with at least this score are predicted positive; independent of facets. 0 with `argmax`;
    # with `abstain`, rows are answered whose most probable class has at least this score; with
    # `bound`, rows above it have the favourable outcome.
    threshold: float
    # `maximize` a metric on the validation split, or `fixed` by the recipe; `argmax`: the most
    # probable one of more than two classes; `abstain`: that one, or no answer; `bound`: that of a
    # number, by the contract.
    policy: Literal["maximize", "fixed", "argmax", "abstain", "bound"]
    metric: ThresholdMetric | None = None  # the metric of the policy
    # That metric on the validation split at the threshold, with `abstain` the share of the answers
    # that are right; None if undefined.
    validation_value: float | None = None


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Writes `metrics.json`."""
    write_json(folder / METRICS_FILE, evaluation.model_dump(mode="json"))


read_evaluation = partial(read_record, Evaluation)


def write_decision(decision: Decision, folder: Path) -> None:
    """Writes `decision.json`."""
    write_json(folder / DECISION_FILE, decision.model_dump(mode="json"))


read_decision = partial(read_record, Decision)
