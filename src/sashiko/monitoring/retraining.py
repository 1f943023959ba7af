"""Whether a window's alarms are a reason to train again: proposed or started, never approved.

What starts is one execution of the fine-tuning pipeline, with all of its gates. Its version waits
for a person as any other does. The guards here are outside of that run, so that a false alarm that
does not end cannot start runs without an end.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from sashiko.core.files import sha256_bytes
from sashiko.core.yaml_models import Frozen
from sashiko.monitoring.checks import MonitorCheck
from sashiko.monitoring.result import MonitorResult
from sashiko.settings.monitor import MonitorSection

_FRUITLESS: Final = 2  # candidates in a row after which nothing is proposed until a new deploy
_YEAR: Final = dt.timedelta(days=365)
_TOKEN: Final = 64  # characters; of a ClientRequestToken SageMaker takes 32 to 128
_INPUTS: Final = "inputs: "  # begins the names of InputQuality's checks

Action = Literal["none", "propose", "start"]


class Candidate(Frozen):
    """An execution of the fine-tuning pipeline after the one that made the monitored version."""

    start: dt.datetime
    # `blocked` by a gate; `waiting` and `rejected` are what a person has decided on its version.
    state: Literal["running", "failed", "blocked", "waiting", "rejected"]
    # Whether its version was shown to be better than the monitored one (`standing`).
    is_better: bool = False

    @property
    def is_fruitless(self) -> bool:
        """Whether it came to nothing, though it ran to its end."""
        return self.state in ("blocked", "rejected") or (
            self.state == "waiting" and not self.is_better
        )


class Retraining(Frozen):
    """What is to be done about a window."""

    action: Action
    token: str  # names the start; the same for the same window, so it starts one run at most
    reasons: tuple[str, ...]  # the alarms, or what speaks against a run


def decide_retraining(
    settings: MonitorSection,
    result: MonitorResult,
    candidates: Sequence[Candidate],
    *,
    now: dt.datetime,
) -> Retraining:
    """Decides whether to train again.

    Args:
        settings: the mode and the guards' limits.
        result: of the window.
        candidates: all since the monitored version was made, by their start.
        now: the time of the decision.
    """
    token = sha256_bytes(f"{result.group} {result.version} {result.end}".encode())[:_TOKEN]
    alarms = [check for check in result.checks if check.outcome == "alarm"]
    if settings.retrain == "off" or not alarms:
        reason = "`monitor.retrain` is off" if alarms else "there is no alarm"
        return Retraining(action="none", token=token, reasons=(reason,))
    objections = tuple(_objections(settings, result, alarms, candidates, now=now))
    if objections:
        return Retraining(action="none", token=token, reasons=objections)
    reasons = tuple(f"alarm: {check.name}" for check in alarms)
    return Retraining(action=settings.retrain, token=token, reasons=reasons)


def _objections(
    settings: MonitorSection,
    result: MonitorResult,
    alarms: Sequence[MonitorCheck],
    candidates: Sequence[Candidate],
    *,
    now: dt.datetime,
) -> Iterator[str]:
    if any(check.name.startswith(_INPUTS) for check in alarms):
        yield "requests break the contract: mend what sends them, a model would learn the fault"
    states = [candidate.state for candidate in candidates]
    if "running" in states:
        yield "a candidate is being trained"
    if "waiting" in states:
        yield "a candidate waits for approval: approve or reject it"
    fruitless = _fruitless_in_a_row(candidates)
    if fruitless >= _FRUITLESS:
        yield (
            f"the last {fruitless} candidates were blocked, rejected or no better: find out why; "
            "the next approved version ends this"
        )
    starts = [candidate.start for candidate in candidates]
    cooldown = dt.timedelta(days=settings.retrain_cooldown_days)
    if starts and now - max(starts) < cooldown:
        yield f"the last candidate is younger than {settings.retrain_cooldown_days} days"
    recent = sum(now - start < _YEAR for start in starts)
    if recent >= settings.retrain_most_per_year:
        yield f"{recent} candidates in a year, {settings.retrain_most_per_year} are allowed"
    labels = result.quality.labels.known
    if labels < settings.retrain_labels:
        yield f"{labels:,} new labels, {settings.retrain_labels:,} are needed"


def _fruitless_in_a_row(candidates: Sequence[Candidate]) -> int:
    count = 0
    for candidate in sorted(candidates, key=lambda item: item.start, reverse=True):
        if candidate.state in ("running", "failed"):
            continue
        if not candidate.is_fruitless:
            break
        count += 1
    return count
