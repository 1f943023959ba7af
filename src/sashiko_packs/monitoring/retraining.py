"""Whether a window's alarms are a reason to propose a new training run, here and in an account.

Nothing starts by an alarm: a person runs the proposed command, and a person approves its version.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from sashiko.base.yaml_models import Frozen
from sashiko.pipeline.candidates import Candidate
from sashiko_packs.monitoring.checks import MonitorCheck
from sashiko_packs.monitoring.result import MonitorResult
from sashiko_packs.monitoring.settings import MonitorSection

_FRUITLESS: Final = 2  # candidates in a row after which nothing is proposed until an approval
_YEAR: Final = dt.timedelta(days=365)
Action = Literal["none", "propose"]


class Retraining(Frozen):
    """What is to be done about a window."""

    action: Action
    reasons: tuple[str, ...]  # the alarms, or what speaks against a run


def decide_retraining(
    settings: MonitorSection,
    result: MonitorResult,
    candidates: Sequence[Candidate],
    *,
    now: dt.datetime,
) -> Retraining:
    """Decides whether to propose a run.

    Candidates are the recipe's, whichever version is monitored.
    """
    alarms = [check for check in result.checks if check.outcome == "alarm"]
    if settings.retrain == "off" or not alarms:
        reason = "`monitor.retrain` is off" if alarms else "there is no alarm"
        return Retraining(action="none", reasons=(reason,))
    against = (
        *_causes(alarms),
        *_limits(candidates, settings, labels=result.quality.labels.known, now=now),
    )
    if against:
        return Retraining(action="none", reasons=against)
    return Retraining(action="propose", reasons=tuple(f"alarm: {check.name}" for check in alarms))


def _causes(alarms: Sequence[MonitorCheck]) -> Iterator[str]:
    """Yields why alarms may have a cause that a new model would not cure, or would learn."""
    kinds = {check.kind for check in alarms}
    if "capture" in kinds:
        yield "the capture is dead or damaged: mend it, and judge the window again"
    # Audited labels show a fall whatever else is sent, so no client can hold back a new model.
    if "inputs" in kinds and "accuracy" not in kinds:
        yield "requests break the contract: mend what sends them, a model would learn the fault"
    if kinds == {"bias"}:
        yield "only bias is in alarm: bring it to whoever answers for fairness first"


def _limits(
    candidates: Sequence[Candidate], settings: MonitorSection, *, labels: int, now: dt.datetime
) -> Iterator[str]:
    states = [candidate.state for candidate in candidates]
    if "running" in states:
        yield "a candidate is being trained"
    if "waiting" in states:
        yield "a candidate waits for approval: approve or reject it"
    fruitless = 0
    for candidate in sorted(candidates, key=lambda item: item.start, reverse=True):
        if candidate.is_fruitless:
            fruitless += 1
        elif candidate.state not in ("running", "failed"):
            break
    if fruitless >= _FRUITLESS:
        yield (
            f"the last {fruitless} candidates were blocked, rejected or no better: find out why; "
            "the next approved version ends this"
        )
    starts = [candidate.start for candidate in candidates]
    if starts and now - max(starts) < dt.timedelta(days=settings.retrain_cooldown_days):
        yield f"the last candidate is younger than {settings.retrain_cooldown_days} days"
    recent = sum(now - start < _YEAR for start in starts)
    if recent >= settings.retrain_most_per_year:
        yield f"{recent} candidates in a year, {settings.retrain_most_per_year} are allowed"
    if labels < settings.retrain_labels:
        yield f"{labels:,} new labels, {settings.retrain_labels:,} are needed"
