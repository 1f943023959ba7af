"""Judges a window by everything that was measured of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sashiko.errors import InputError
from sashiko.monitoring.capture.record import CaptureSummary
from sashiko.monitoring.checks import MonitorCheck, judge_measurements, overall
from sashiko.monitoring.label_free import LabelFreeAccuracy, label_free_accuracy
from sashiko.monitoring.quality import Quality
from sashiko.monitoring.reference import Reference
from sashiko.monitoring.result import (
    DRIFT_FILE,
    SCORES_DRIFT,
    Checks,
    Drift,
    MonitorBias,
    MonitorResult,
)
from sashiko.settings.monitor import MonitorSection


@dataclass(frozen=True, kw_only=True)
class WindowEvidence:
    """What the steps before measured of a window."""

    capture: CaptureSummary
    inputs: Checks
    drift: Drift
    bias: MonitorBias | None  # None if the recipe does not judge bias
    quality: Quality
    reference: Reference
    reference_sha256: str  # of `reference.json`


def judge_window(
    evidence: WindowEvidence, section: MonitorSection, *, group: str, recipe: str, version: int
) -> MonitorResult:
    """Judges drift and bias together, and adds the checks that are judged by themselves.

    Args:
        evidence: what was measured.
        section: the recipe's error rate.
        group: the model package group.
        recipe: its name.
        version: the version that answered.

    Returns:
        The window's outcome; equal evidence gives an equal one.

    Raises:
        InputError: if no measurement is that of the scores.
    """
    drift, bias, capture = evidence.drift, evidence.bias, evidence.capture
    judged = judge_measurements(
        [*drift.measurements, *(bias.measurements if bias else ())],
        false_alarms=section.false_alarms,
    )
    drift_checks = judged[: len(drift.measurements)]
    checks = (*evidence.inputs.checks, *judged, evidence.quality.check)
    return MonitorResult(
        group=group,
        version=version,
        recipe=recipe,
        start=capture.start,
        end=capture.end,
        outcome=overall(checks),
        summary=summarise(checks, rows=capture.rows),
        checks=checks,
        capture=capture,
        distributions=drift.distributions,
        disparities=bias.disparities if bias else None,
        without_facets=bias.without_facets if bias else None,
        quality=evidence.quality,
        label_free=_estimate_accuracy(evidence, drift_checks),
        reference_accuracy=evidence.reference.accuracy,
        reference_sha256=evidence.reference_sha256,
    )


def summarise(checks: Sequence[MonitorCheck], *, rows: int) -> str:
    """Says in one sentence what came out of a window's checks.

    Args:
        checks: all of them.
        rows: that were captured.
    """
    alarms = [check.name for check in checks if check.outcome == "alarm"]
    judged = sum(check.outcome != "not judged" for check in checks)
    others = len(checks) - judged
    count = "1 check" if judged == 1 else f"{judged} checks"
    if alarms:
        verb = "raises" if len(alarms) == 1 else "raise"
        rest = f", and {others} could not be judged" if others else ""
        return f"{len(alarms)} of {count} {verb} an alarm{rest}: {'; '.join(alarms)}."
    if judged:
        rest = f", {others} could not be judged" if others else ""
        return f"No alarm: {count} judged{rest}."
    if not rows:
        return "Nothing could be judged: no row was captured."
    return f"Nothing could be judged, such as {checks[0].name}: {checks[0].reason}."


def alarm_line(check: MonitorCheck) -> str:
    """Describes an alarm with its size."""
    value = "" if check.value is None else f" ({check.effect} {check.value:.3g})"
    return f"alarm: {check.name}: {check.reason}{value}"


def _estimate_accuracy(
    evidence: WindowEvidence, drift_checks: Sequence[MonitorCheck]
) -> LabelFreeAccuracy:
    """Estimates the accuracy; broken rules of the inputs withdraw it, and kept ones add nothing."""
    inputs = [check for check in drift_checks if check.name != SCORES_DRIFT]
    if len(inputs) != len(drift_checks) - 1:
        raise InputError(
            f"{DRIFT_FILE} needs one measurement `{SCORES_DRIFT}`, but has "
            f"{len(drift_checks) - len(inputs)}; run Drift again"
        )
    broken = [check for check in evidence.inputs.checks if check.outcome == "alarm"]
    return label_free_accuracy(
        rows=np.array(evidence.reference.scores.counts),
        right=np.array(evidence.reference.right),
        window=np.array(evidence.drift.scores),
        input_checks=[*broken, *inputs],
    )
