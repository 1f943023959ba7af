"""Judges a window by everything that was measured of it."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sashiko.errors import InputError
from sashiko.evaluation.reference import Reference
from sashiko_packs.monitoring.audited_quality import last_verdict
from sashiko_packs.monitoring.capture.record import CaptureSummary
from sashiko_packs.monitoring.capture_health import capture_checks, version_checks
from sashiko_packs.monitoring.check_words import describe_alarm
from sashiko_packs.monitoring.checks import (
    INPUTS_SHARE,
    MonitorCheck,
    gaps,
    judge_measurements,
    overall,
)
from sashiko_packs.monitoring.label_free import LabelFreeAccuracy, label_free_accuracy
from sashiko_packs.monitoring.quality import Quality
from sashiko_packs.monitoring.result import (
    DRIFT_FILE,
    SCORES_DRIFT,
    Drift,
    Inputs,
    MonitorBias,
    MonitorResult,
)
from sashiko_packs.monitoring.settings import MonitorSection


@dataclass(frozen=True, kw_only=True)
class WindowEvidence:
    """What the steps before measured of a window."""

    capture: CaptureSummary
    inputs: Inputs
    drift: Drift
    bias: MonitorBias | None  # None if the recipe does not judge bias
    quality: Quality
    reference: Reference
    reference_sha256: str  # of `reference.json`
    # Of earlier windows, and of this one by other versions, by their ends.
    history: Sequence[MonitorResult]


def judge_window(
    evidence: WindowEvidence, section: MonitorSection, *, group: str, recipe: str, version: int
) -> MonitorResult:
    """Judges rules of inputs together, drift and bias together, and adds the audit's check.

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
    inputs = judge_measurements(
        evidence.inputs.measurements, false_alarms=section.false_alarms * INPUTS_SHARE
    )
    judged = judge_measurements(
        [*drift.measurements, *(bias.measurements if bias else ())],
        false_alarms=section.false_alarms * (1 - INPUTS_SHARE),
    )
    drift_checks = judged[: len(drift.measurements)]
    quality = _quality_of_now(evidence)
    earlier = [
        result
        for result in evidence.history
        if result.version == version and result.end < capture.end
    ]
    checks = tuple(
        _standing(check, earlier, start=capture.start)
        for check in (
            *capture_checks(capture),
            *version_checks(capture, version=version, history=evidence.history),
            *inputs,
            *_with_rows(judged, capture, version=version),
            *quality.checks,
        )
    )
    return MonitorResult(
        group=group,
        version=version,
        recipe=recipe,
        start=capture.start,
        end=capture.end,
        outcome=overall(checks),
        summary=summarise(checks),
        alarms=tuple(describe_alarm(check) for check in checks if check.outcome == "alarm"),
        checks=checks,
        capture=capture,
        distributions=drift.distributions,
        disparities=bias.disparities if bias else None,
        without_facets=bias.without_facets if bias else None,
        audited_groups=bias.audited if bias else (),
        quality=quality,
        label_free=_estimate_accuracy(evidence, inputs, drift_checks),
        reference_accuracy=evidence.reference.accuracy,
        reference_sha256=evidence.reference_sha256,
    )


def summarise(checks: Sequence[MonitorCheck]) -> str:
    """Says in one sentence what came out of a window's checks, and what was not judged.

    Args:
        checks: all of them.
    """
    alarms = [check.name for check in checks if check.outcome == "alarm"]
    unjudged = gaps(checks)
    if alarms:
        verb = "raises" if len(alarms) == 1 else "raise"
        text = f"{len(alarms)} of {len(checks)} checks {verb} an alarm: {'; '.join(alarms)}"
        return f"{text} - {unjudged}." if unjudged else f"{text}."
    if unjudged:
        return f"No alarm - {unjudged}."
    return f"No alarm: all {len(checks)} checks are ok."


def _standing(
    check: MonitorCheck, earlier: Sequence[MonitorResult], *, start: dt.datetime
) -> MonitorCheck:
    """Says since when a check is in alarm; windows that could not judge it are passed over."""
    if check.outcome != "alarm":
        return check
    since, windows = start, 1
    for result in reversed(earlier):
        outcomes = [item.outcome for item in result.checks if item.name == check.name]
        if outcomes == ["ok"]:
            break
        if outcomes == ["alarm"]:
            since, windows = result.start, windows + 1
    return check.model_copy(update={"since": since, "windows": windows})


def _with_rows(
    checks: Sequence[MonitorCheck], capture: CaptureSummary, *, version: int
) -> Iterator[MonitorCheck]:
    """Withdraws what is `ok` by pooled decisions of earlier windows alone."""
    has_rows = any(item.version == version for item in capture.versions)
    for check in checks:
        if has_rows or check.outcome != "ok":
            yield check
        else:
            reason = f"no row of this window; until then, {check.reason}"
            yield check.model_copy(update={"outcome": "not judged", "reason": reason})


def _quality_of_now(evidence: WindowEvidence) -> Quality:
    """Withdraws an `ok` of the audit that rests on labels of earlier windows alone.

    An alarm stays until the next deploy.
    """
    quality, start = evidence.quality, evidence.capture.start
    verdict = last_verdict(quality.periods)
    if verdict is not None and verdict >= start:
        return quality
    since = (
        "no period of this version is labelled"
        if verdict is None
        else f"no period was labelled since {verdict:%Y-%m-%d}"
    )
    checks = tuple(
        check.model_copy(
            update={"outcome": "not judged", "reason": f"{since}; until then, {check.reason}"}
        )
        if check.outcome == "ok"
        else check
        for check in quality.checks
    )
    return quality.model_copy(update={"checks": checks})


def _estimate_accuracy(
    evidence: WindowEvidence,
    input_checks: Sequence[MonitorCheck],
    drift_checks: Sequence[MonitorCheck],
) -> LabelFreeAccuracy:
    """Estimates the accuracy; broken rules of the inputs withdraw it, and kept ones add nothing."""
    inputs = [check for check in drift_checks if check.name != SCORES_DRIFT]
    if len(inputs) != len(drift_checks) - 1:
        raise InputError(
            f"{DRIFT_FILE} needs one measurement `{SCORES_DRIFT}`, but has "
            f"{len(drift_checks) - len(inputs)}; run Drift again"
        )
    broken = [check for check in input_checks if check.outcome == "alarm"]
    return label_free_accuracy(
        rows=np.array(evidence.reference.scores.counts),
        right=np.array(evidence.reference.right),
        window=np.array(evidence.drift.scores),
        input_checks=[*broken, *inputs],
    )
