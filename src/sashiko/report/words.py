"""Formats numbers, checks and states as text."""

import math
import re
from collections.abc import Iterable
from typing import Any

from markupsafe import Markup, escape

from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.bias.metrics.bias_table import METRICS
from sashiko.bias.metrics.number_bias import ALL_METRICS
from sashiko.evaluation.gates.verdict import Check
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.report.views import Cell, CheckView, Mark, Table, numeric, row
from sashiko.settings.recipe_quality import TOP_METRICS
from sashiko.steps.evaluation_notes import METRIC_NAMES

MEANINGS = {
    "DI": "predicted positive, group ÷ others",
    "DPPL": "predicted positive, others minus group",
    "DCA": "labelled ÷ predicted positive, others minus group",
    "DCR": "labelled ÷ predicted negative, group minus others",
    "RD": "positives found, others minus group",
    "SD": "negatives found, group minus others",
    "DAR": "positive predictions that are right, others minus group",
    "DRR": "negative predictions that are right, group minus others",
    "AD": "predicted right, others minus group",
    "CDDPL": "group's share of rejected minus of accepted predictions, within strata",
    "TE": "positives missed ÷ negatives missed, group minus others",
    "GE": "how unequally errors fall on single rows, over all groups",
    "CI": "rows, others minus group, ÷ all",
    "DPL": "labelled positive, others minus group",
    "KL": "divergence of the others' labels from the group's, nats",
    "JS": "divergence of both groups' labels from their mean, nats",
    "LP": "distance of the shares of the labels, Euclidean",
    "TVD": "share of labels to change until both are alike",
    "KS": "largest difference of a label's share",
    "CDDL": "group's share of rejected minus of accepted labels, within strata",
    "mean_prediction_difference": "mean predicted number, others minus group",
    "abstention_rate": "share of the group's rows that are not answered",
    "prediction_distance": "largest difference of the shares of rows up to a predicted number",
    "auc": "how often a positive row scores above a negative one",
    "average_precision": "mean precision over the positive rows, each at its own score",
    "accuracy": "share of rows predicted right",
    "balanced_accuracy": "share predicted right, averaged over the labels",
    "precision": "share of the positive predictions that are right",
    "recall": "share of the positive rows that are predicted positive",
    "f1": "F1 of the positive label",
    "macro_f1": "F1 of each class, averaged over the classes",
    "worst_class_recall": "share of rows predicted right, in the class with the lowest share",
    **{
        name: f"share of rows whose class is one of the {k} most probable"
        for k, name in TOP_METRICS.items()
    },
    "coverage": "share of rows that are answered",
    "selective_accuracy": "share of the answered rows that are predicted right",
    "aurc": "mean share of wrong answers over all thresholds",
    "log_loss": "minus the logarithm of the score of the row's class",
    "brier_score": "mean squared distance of score and label",
    "expected_calibration_error": "how far scores lie from the shares that come true",
    "classwise_calibration_error": "how far scores lie from the shares of each class, on average",
    "r2": "share of the variance that the predictions explain; 0 is as good as the mean",
    "rmse": "root of the mean squared error, in the label's unit",
    "mae": "mean of the errors without their signs, in the label's unit",
    "median_absolute_error": "half of the errors are at most this, in the label's unit",
    "interval_coverage": "share of rows whose value lies in the interval around its prediction",
    "mean_error": "mean of predicted minus observed value, in the label's unit",
}
_SUSPICIOUS = 0.99
_TELLING = ("auc", "macro_f1", "r2")  # metrics that tell a leak
_LINEAR = re.compile(r"tfidf_\w+_regression")
_SIGNS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than", "==": "exactly"}


def number(value: float) -> str:
    """Writes a check's number: a whole one with thousands separators, others as `estimate`."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return estimate(value)


def estimate(value: float) -> str:
    """Writes a metric with three places, a large number with fewer, and never a negative zero."""
    if abs(value) >= 100:
        return f"{value:,.{0 if abs(value) >= 10_000 else 1}f}"
    return f"{round(value, 3) + 0.0:.3f}"


def percent(share: float) -> str:
    """Writes a share as a percentage with one place."""
    return f"{100 * share:.1f} %"


def interval(low: float | None, high: float | None) -> str:
    """Formats an interval in square brackets; empty without one."""
    return "" if low is None or high is None else f"[{estimate(low)}, {estimate(high)}]"


def estimate_cell(figure: Estimate | BiasEstimate | None, undefined: str = "undefined") -> Cell:
    """Returns a cell with a metric and its interval, or why there is none."""
    if figure is None or figure.value is None:
        return numeric(undefined)
    return Cell(estimate(figure.value), interval=interval(figure.low, figure.high), number=True)


def metric_title(metric: str) -> str:
    """Returns a metric in words, a bias metric with its acronym: `Accuracy difference (AD)`."""
    if metric not in ALL_METRICS:
        return METRIC_NAMES.get(metric, metric)
    first, *rest = ALL_METRICS[metric].description.split(" ")
    return " ".join([first, *(word if set("-(") & set(word) else word.lower() for word in rest)])


def check_title(name: str) -> str:
    """Returns a check's name, in which a metric stands in words."""
    metric, _, rest = name.partition(" ")
    if metric in METRICS or (metric in ALL_METRICS and "=" in rest):
        return f"{metric_title(metric)}: {rest}"
    return f"{metric_title(metric)} {_LINEAR.sub('linear', rest)}".strip()


def required(check: Check) -> str:
    """Formats a check's bound; empty without one."""
    if isinstance(check.threshold, tuple):
        return f"{check.threshold[0]:g} to {check.threshold[1]:g}"
    if check.threshold is None:
        return ""
    sign = _SIGNS.get(check.comparison, check.comparison)
    return f"{sign} {check.threshold:g}"


def mark(check: Check) -> Mark:
    """Returns a check's outcome; a number without a bound is only reported."""
    if not check.passed:
        return Mark("waived" if check.waiver else "failed")
    if not check.judged:
        return Mark("unjudged")
    if check.name in _TELLING and is_suspicious(check):
        return Mark("suspicious")
    if check.spans_bound:
        return Mark("spans")
    reported = check.comparison == "none" and check.value is not None
    return Mark("reported" if reported else "passed")


def is_suspicious(figure: Estimate | Check | None) -> bool:
    """Returns whether an AUC, macro F1 or R² on the test split is too good to be true."""
    return figure is not None and figure.value is not None and figure.value >= _SUSPICIOUS


def check_view(check: Check) -> CheckView:
    """Returns the view of a check; one of a metric, or of metric and group, has a meaning."""
    metric, _, group = check.name.partition(" ")
    value, reason, waiver = "", check.reason, check.waiver
    if check.value is not None:
        value = number(check.value) if check.low is None else estimate(check.value)
    if waiver:
        reason += f". Waived by {waiver.owner} until {waiver.expires}: {waiver.reason}"
    return CheckView(
        name=check_title(check.name),
        meaning=MEANINGS.get(metric, "") if not group or "=" in group else "",
        value=value,
        interval=interval(check.low, check.high),
        required=required(check),
        mark=mark(check),
        reason=reason,
        advice=check.try_,
    )


def check_table(title: str, checks: Iterable[CheckView], **more: Any) -> Table:
    """Lists checks with their numbers, bounds, outcomes, reasons, and what to try."""
    rows = (
        row(
            Cell(view.name, meaning=view.meaning),
            Cell(view.value, interval=view.interval, number=True),
            view.required,
            Cell("", mark=view.mark),
            Cell(view.reason, meaning=view.advice and f"Try: {view.advice}"),
            style="failed" if view.mark.kind in ("failed", "waived") else "",
        )
        for view in checks
    )
    heads = ("check", "number [95 %]", "required", "outcome", "why")
    return Table(title, heads, tuple(rows), **more)


def duration(seconds: float) -> str:
    """Formats a duration: `0.4 s`, `38 s`, `2 min 5 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def inline_code(text: str) -> Markup:
    """Escapes a text, and sets text between backticks in a fixed-width font."""
    # The text is escaped first; what is added is fixed.
    return Markup(re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped first
