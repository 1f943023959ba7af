"""Candidates: the runs of a recipe after the one that made a version."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sashiko.account.names import pipeline_name
from sashiko.errors import InputError
from sashiko.pipeline.runner.run_record import RunRecord, read_run
from sashiko.registry.versions import STANDING_TAG, ApprovalStatus, ModelVersion
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe

State = Literal["running", "failed", "blocked", "waiting", "approved", "rejected"]

_EXECUTION: Final = "execution_id"
_DECIDED: Final[Mapping[ApprovalStatus, State]] = {
    "PendingManualApproval": "waiting",
    "Approved": "approved",
    "Rejected": "rejected",
}


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
    first = min((item.tags.get(_EXECUTION, "") for item in approved), default="")
    records = []
    for path in sorted((home / "runs").glob("*/run.json")):
        with suppress(InputError):
            record = read_run(path.parent)
            if record.pipeline == pipeline and record.id > first and record.status != "partial":
                records.append(record)
    return candidates_of(records, versions)


def candidates_of(
    records: Iterable[RunRecord], versions: Sequence[ModelVersion]
) -> tuple[Candidate, ...]:
    """Returns the candidates that runs stand for, in their order.

    `versions` are all of the recipe's model package group.
    """
    made = {item.tags.get(_EXECUTION): item for item in versions}
    candidates = []
    for record in records:
        version = made.get(record.id)
        state: State = "failed"
        if record.status in ("running", "blocked"):
            state = record.status
        elif record.status == "registered":  # without a version: the same model as an earlier one
            state = _DECIDED[version.status] if version else "blocked"
        better = version is not None and version.tags.get(STANDING_TAG) == "better"
        start = dt.datetime.fromisoformat(record.start)
        candidates.append(Candidate(start=start, state=state, is_better=better))
    return tuple(candidates)
