"""JudgeMonitor: judges a window by all of its checks together.

    python -m sashiko_packs.monitoring.steps.judge --group NAME --recipe NAME --version 7 [--sleeps]

Inputs `config` (the recipe's monitor), `summary` (`capture.json`), `checks` (InputQuality's
`inputs.json`), `drift` (`drift.json`), `quality` (`quality.json`), `reference` (`reference.json`),
`history` (each earlier window's `monitor.json`) and, where the recipe judges bias, `bias`
(`measurements.json`). Output `result`: `monitor.json`.
"""

import argparse
import datetime as dt
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sashiko.base.files import sha256_file
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.evaluation.reference import REFERENCE_FILE, Reference, read_reference
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_section
from sashiko_packs.monitoring.audited import Quality
from sashiko_packs.monitoring.capture.record import CaptureSummary, LineProblem, SourceProblem
from sashiko_packs.monitoring.checks import (
    INPUTS_SHARE,
    OTHER_VERSION,
    ROWS,
    MonitorCheck,
    Outcome,
    describe_alarm,
    gaps,
    judge_measurements,
    overall,
)
from sashiko_packs.monitoring.result import Drift, Inputs, MonitorBias, MonitorResult, read_history
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
    evidence: WindowEvidence,
    section: MonitorSection,
    *,
    group: str,
    recipe: str,
    version: int,
    sleeps: bool = False,
) -> MonitorResult:
    """Judges rules of inputs together, drift and bias together, and adds the audit's check.

    Equal evidence gives an equal outcome. An endpoint that `sleeps` may be asked nothing: then
    nothing is judged, and what was in alarm before is so again when it is asked.
    """
    drift, bias, capture = evidence.drift, evidence.bias, evidence.capture
    inputs = judge_measurements(
        evidence.inputs.measurements, false_alarms=section.false_alarms * INPUTS_SHARE
    )
    judged = judge_measurements(
        [*drift.measurements, *(bias.measurements if bias else ())],
        false_alarms=section.false_alarms * (1 - INPUTS_SHARE),
    )
    quality = _quality_of_now(evidence)
    before = (result for result in evidence.history if result.end < capture.end)
    earlier = [result for result in before if result.version == version]
    now = judged
    if all(item.version != version for item in capture.versions):
        # What is `ok` by pooled decisions of earlier windows alone.
        now = tuple(_withdrawn(check, "no row of this window") for check in judged)
    checks = tuple(
        _standing(check, earlier, start=capture.start)
        for check in (
            *capture_checks(capture),
            *version_checks(capture, version=version, history=evidence.history),
            *inputs,
            *now,
            *quality.checks,
        )
    )
    silent = sleeps and capture.lines == capture.count("outside-window")
    if silent:
        checks = tuple(_unasked(check) for check in checks)
    return MonitorResult(
        group=group, version=version, recipe=recipe, start=capture.start, end=capture.end,
        outcome="no requests" if silent else overall(checks),
        summary=_SILENT if silent else summarise(checks),
        alarms=tuple(describe_alarm(check) for check in checks if check.outcome == "alarm"),
        checks=checks, capture=capture, distributions=drift.distributions,
        disparities=bias.disparities if bias else None,
        without_facets=bias.without_facets if bias else None,
        audited_groups=bias.audited if bias else (), quality=quality,
        reference_accuracy=evidence.reference.accuracy, reference_sha256=evidence.reference_sha256,
    )  # fmt: skip


_SILENT: Final = "No requests: the endpoint was asked nothing."


def _unasked(check: MonitorCheck) -> MonitorCheck:
    reason = f"no request in this window; {check.reason}"
    update = {"outcome": "not judged", "reason": reason, "since": None, "windows": 0}
    return check.model_copy(update=update)


def summarise(checks: Sequence[MonitorCheck]) -> str:
    """Says in one sentence what came out of a window's checks, and what was not judged."""
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


def _quality_of_now(evidence: WindowEvidence) -> Quality:
    """Withdraws an `ok` of the audit that rests on labels of earlier windows alone.

    An alarm stays until the next deploy.
    """
    quality, start = evidence.quality, evidence.capture.start
    verdict = max((period.closed for period in quality.periods if period.closed), default=None)
    if verdict is not None and verdict >= start:
        return quality
    since = "no period of this version is labelled"
    if verdict is not None:
        since = f"no period was labelled since {verdict:%Y-%m-%d}"
    checks = tuple(_withdrawn(check, since) for check in quality.checks)
    return quality.model_copy(update={"checks": checks})


def _withdrawn(check: MonitorCheck, reason: str) -> MonitorCheck:
    if check.outcome != "ok":
        return check
    reason = f"{reason}; until then, {check.reason}"
    return check.model_copy(update={"outcome": "not judged", "reason": reason})


# Lines that no version is judged by, although somebody was answered.
_LOST: Final[tuple[LineProblem | SourceProblem, ...]] = (
    "cut-line", "not-a-record", "future", "unreadable", "mismatched", "without-version",
)  # fmt: skip
# Which requests are lost is not chance: those with long texts are cut first. So few may be.
_MOST_LOST: Final = 0.01


def capture_checks(capture: CaptureSummary) -> tuple[MonitorCheck, MonitorCheck]:
    """Judges whether a window's capture can be believed, of whatever version.

    That is whether a row was captured, and whether the lines could be read. Both count all lines
    and estimate nothing, so there is no interval, and no part in the window's error rate.
    """
    last = max((version.last for version in capture.versions), default=None)
    reason = "no row was captured: see whether the version is called, and its capture works"
    captured = MonitorCheck(
        name="captured requests", kind="capture", outcome="ok" if capture.rows else "alarm",
        rows=capture.rows, rows_needed=1, effect=ROWS, value=capture.rows, tolerance=1,
        reason=reason if last is None else f"the last one at {last:%Y-%m-%d %H:%M} UTC",
    )  # fmt: skip
    lines = capture.lines - capture.count("outside-window")
    counts = {kind: count for kind in _LOST if (count := capture.count(kind))}
    lost = sum(counts.values())
    outcome: Outcome = "alarm" if lost > _MOST_LOST * lines else "ok"
    parts = ", ".join(f"{kind} {count:,}" for kind, count in counts.items())
    reason = f"{lost:,} of {lines:,} lines could not be used" + (f": {parts}" if parts else "")
    whole = MonitorCheck(
        name="captured lines are whole", kind="capture", outcome=outcome if lines else "not judged",
        rows=lines, rows_needed=1, effect="share of lines that could not be used",
        value=lost / lines if lines else None, tolerance=_MOST_LOST,
        reason=reason if lines else "0 lines, 1 is needed",
    )  # fmt: skip
    return captured, whole


def version_checks(
    capture: CaptureSummary, *, version: int, history: Sequence[MonitorResult]
) -> Iterator[MonitorCheck]:
    """Yields a check for each other version that answered, such as the one before a deploy.

    The window's other checks judge the answers of `version` alone. `history` has the windows that
    have been judged, those of other versions among them.
    """
    window = capture.start, capture.end
    judged = {result.version for result in history if (result.start, result.end) == window}
    for answered in capture.versions:
        # Lines without a version are a problem of the capture instead.
        if answered.version in (None, version):
            continue
        is_judged = answered.version in judged
        others = f"the other checks are of version {version} only"
        yield MonitorCheck(
            name=f"answers of version {answered.version} are judged",
            kind="capture",
            outcome="ok" if is_judged else "not judged",
            rows=answered.rows,
            rows_needed=1,
            effect=OTHER_VERSION,
            value=answered.rows / capture.rows,
            tolerance=0.0,
            reason=f"{answered.rows:,} of {capture.rows:,} rows are of version {answered.version}, "
            f"up to {answered.last:%Y-%m-%d %H:%M} UTC; "
            + ("they have been judged by themselves" if is_judged else others),
        )


def main() -> None:
    """Writes the outcome, and prints it with its alarms."""
    parser = argparse.ArgumentParser(description="Judges a window of a deployed model.")
    parser.add_argument("--group", required=True)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--version", type=int, required=True)
    parser.add_argument("--sleeps", action="store_true", help="nobody has to ask")
    arguments = parser.parse_args()

    result = judge_window(
        read_evidence(),
        read_section(MonitorSection, "monitor"),
        group=arguments.group,
        recipe=arguments.recipe,
        version=arguments.version,
        sleeps=arguments.sleeps,
    )
    result.write(processing_output("result"))
    print(result.summary, file=sys.stderr)
    for line in result.alarms:
        print(f"alarm: {line}", file=sys.stderr)


def read_evidence() -> WindowEvidence:
    """Reads the inputs; without an input `bias` the recipe does not judge it.

    Raises:
        InputError: if a file is missing or invalid.
    """
    bias, reference = processing_input("bias"), processing_input("reference") / REFERENCE_FILE
    return WindowEvidence(
        capture=CaptureSummary.read(processing_input("summary")),
        inputs=Inputs.read(processing_input("checks")),
        drift=Drift.read(processing_input("drift")),
        bias=MonitorBias.read(bias) if bias.exists() else None,
        quality=Quality.read(processing_input("quality")),
        reference=read_reference(reference),
        reference_sha256=sha256_file(reference),
        history=read_history(processing_input("history")),
    )


if __name__ == "__main__":
    run_step(main)
