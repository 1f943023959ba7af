"""Whether a window's alarms are a reason to propose a new training run, here and in an account.

Nothing starts by an alarm: a person runs the proposed command, and a person approves its version.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sashiko.account.names import pipeline_name
from sashiko.base.yaml_models import Frozen
from sashiko.errors import InputError
from sashiko.pipeline.runner.run_record import read_run
from sashiko.registry.versions import STANDING_TAG, ApprovalStatus, ModelVersion
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_packs.monitoring.checks import MonitorCheck
from sashiko_packs.monitoring.result import MonitorResult
from sashiko_packs.monitoring.settings import MonitorSection

State = Literal["running", "failed", "blocked", "waiting", "approved", "rejected"]
EXECUTION: Final = "execution_id"  # tag of a version, and metadata of a package: its run
DECIDED: Final[Mapping[ApprovalStatus, State]] = {
    "PendingManualApproval": "waiting",
    "Approved": "approved",
    "Rejected": "rejected",
}
_FRUITLESS: Final = 2  # candidates in a row after which nothing is proposed until an approval
_YEAR: Final = dt.timedelta(days=365)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A run of the recipe's training pipeline after the one of its first approved version."""

    start: dt.datetime
    # `blocked` by a gate; `waiting`, `approved` and `rejected` are what a person decided on its
    # version.
    state: State
    # Whether its version was shown to be better than the one before (`standing`).
    is_better: bool = False

    @property
    def is_fruitless(self) -> bool:
        """Whether it came to nothing, though it ran to its end."""
        return self.state in ("blocked", "rejected") or (
            self.state == "waiting" and not self.is_better
        )


def local_candidates(
    home: Path, settings: Settings, recipe: Recipe, versions: Sequence[ModelVersion]
) -> tuple[Candidate, ...]:
    """Returns a recipe's candidates by their start: its runs after the first approved version's.

    `versions` are all of its group. Records of other versions of this code are left out.
    """
    pipeline = pipeline_name(settings, recipe.name)
    approved = (item for item in versions if item.status == "Approved")
    # Ids begin with their time. An imported version has none, and every run is after it.
    first = min((item.tags.get(EXECUTION, "") for item in approved), default="")
    made = {item.tags.get(EXECUTION): item for item in versions}
    candidates = []
    for path in sorted((home / "runs").glob("*/run.json")):
        with suppress(InputError):
            record = read_run(path.parent)
            if record.pipeline != pipeline or record.id <= first or record.status == "partial":
                continue
            version = made.get(record.id)
            state: State = "failed"
            if record.status in ("running", "blocked"):
                state = record.status
            elif record.status == "registered":  # without a version: an earlier one's model
                state = DECIDED[version.status] if version else "blocked"
            better = version is not None and version.tags.get(STANDING_TAG) == "better"
            start = dt.datetime.fromisoformat(record.start)
            candidates.append(Candidate(start=start, state=state, is_better=better))
    return tuple(candidates)


class Retraining(Frozen):
    """What is to be done about a window."""

    action: Literal["none", "propose"]
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
