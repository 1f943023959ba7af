"""Candidates: the runs of a recipe after the one that made a version."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from sashiko.account.names import pipeline_name
from sashiko.errors import InputError
from sashiko.pipeline.runner.record import RunRecord, read_run
from sashiko.registry.versions import STANDING_TAG, ApprovalStatus, ModelVersion
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_packs.monitoring.retraining import Candidate, State

_EXECUTION: Final = "execution_id"
_DECIDED: Final[Mapping[ApprovalStatus, State]] = {
    "PendingManualApproval": "waiting",
    "Approved": "approved",
    "Rejected": "rejected",
}


def local_candidates(
    home: Path, settings: Settings, recipe: Recipe, versions: Sequence[ModelVersion]
) -> tuple[Candidate, ...]:
    """Returns a recipe's candidates by their start: its runs after the first approved version's.

    Args:
        home: the folder of all local state.
        settings: the environment.
        recipe: whose pipeline ran.
        versions: all of its group.
    """
    pipeline = pipeline_name(settings, recipe.name)
    approved = (item for item in versions if item.status == "Approved")
    # Ids begin with their time. An imported version has none, and every run is after it.
    first = min((item.tags.get(_EXECUTION, "") for item in approved), default="")
    records = (
        record
        for record in _runs(home)
        if record.pipeline == pipeline and record.id > first and record.status != "partial"
    )
    return candidates_of(records, versions)


def candidates_of(
    records: Iterable[RunRecord], versions: Sequence[ModelVersion]
) -> tuple[Candidate, ...]:
    """Returns the candidates that runs stand for, in their order.

    Args:
        records: the runs.
        versions: all of the recipe's model package group.
    """
    made = {item.tags.get(_EXECUTION): item for item in versions}
    return tuple(
        Candidate(
            start=dt.datetime.fromisoformat(record.start),
            state=_state(record, made.get(record.id)),
            is_better=record.id in made and made[record.id].tags.get(STANDING_TAG) == "better",
        )
        for record in records
    )


def _runs(home: Path) -> Iterator[RunRecord]:
    """Yields all runs by their start; records of other versions of this code are left out."""
    for path in sorted((home / "runs").glob("*/run.json")):
        with suppress(InputError):
            yield read_run(path.parent)


def _state(record: RunRecord, version: ModelVersion | None) -> State:
    if record.status in ("running", "blocked"):
        return record.status
    if record.status != "registered":
        return "failed"
    if version is None:  # the same model as an earlier version
        return "blocked"
    return _DECIDED[version.status]
