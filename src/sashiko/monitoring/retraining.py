"""Whether a window's alarms are a reason to train again: proposed or started, never approved.

What starts is one execution of the fine-tuning pipeline, with all of its gates. Its version waits
for a person as any other does.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Literal

from sashiko.aws.functions.retraining.decision import Alarms, Candidate, Guards, objections
from sashiko.core.yaml_models import Frozen
from sashiko.monitoring.result import MonitorResult
from sashiko.settings.monitor import MonitorSection

Action = Literal["none", "propose", "start"]


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
    alarms = Alarms(
        group=result.group,
        version=result.version,
        end=result.end,
        names=[check.name for check in result.checks if check.outcome == "alarm"],
        labels=result.quality.labels.known,
    )
    if settings.retrain == "off" or not alarms.names:
        reason = "`monitor.retrain` is off" if alarms.names else "there is no alarm"
        return Retraining(action="none", token=alarms.token, reasons=(reason,))
    against = objections(alarms, candidates, guards_of(settings), now=now)
    if against:
        return Retraining(action="none", token=alarms.token, reasons=against)
    reasons = tuple(f"alarm: {name}" for name in alarms.names)
    return Retraining(action=settings.retrain, token=alarms.token, reasons=reasons)


def guards_of(settings: MonitorSection) -> Guards:
    """Returns the guards' limits."""
    return Guards(
        cooldown_days=settings.retrain_cooldown_days,
        most_per_year=settings.retrain_most_per_year,
        labels=settings.retrain_labels,
    )
