"""Whether a window's alarms are a reason to propose a new training run, here and in an account.

Nothing starts by an alarm: a person runs the proposed command, and a person approves its version.
"""

from collections.abc import Iterator
from typing import Literal

from sashiko.base.yaml_models import Frozen
from sashiko_packs.monitoring.result import MonitorResult
from sashiko_packs.monitoring.settings import MonitorSection


class Retraining(Frozen):
    """What is to be done about a window."""

    action: Literal["none", "propose"]
    reasons: tuple[str, ...]  # the alarms, or what speaks against a run


def decide_retraining(settings: MonitorSection, result: MonitorResult) -> Retraining:
    """Decides whether to propose a run."""
    alarms = [check for check in result.checks if check.outcome == "alarm"]
    if settings.retrain == "off" or not alarms:
        reason = "`monitor.retrain` is off" if alarms else "there is no alarm"
        return Retraining(action="none", reasons=(reason,))
    if against := tuple(_obstacles(settings, result, kinds={check.kind for check in alarms})):
        return Retraining(action="none", reasons=against)
    return Retraining(action="propose", reasons=tuple(f"alarm: {check.name}" for check in alarms))


def _obstacles(
    settings: MonitorSection, result: MonitorResult, *, kinds: set[str]
) -> Iterator[str]:
    """Yields why alarms may have a cause that a new model would not cure, or would learn."""
    if "capture" in kinds:
        yield "the capture is dead or damaged: mend it, and judge the window again"
    # Audited labels show a fall whatever else is sent, so no client can hold back a new model.
    if "inputs" in kinds and "accuracy" not in kinds:
        yield "requests break the contract: mend what sends them, a model would learn the fault"
    if kinds == {"bias"}:
        yield "only bias is in alarm: bring it to whoever answers for fairness first"
    if (labels := result.quality.labels.known) < settings.retrain_labels:
        yield f"{labels:,} new labels, {settings.retrain_labels:,} are needed"
