"""Candidates: the runs of a recipe after the one that made a version."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from sashiko.aws.functions.retraining.decision import Candidate
from sashiko.aws.resources.names import pipeline_name
from sashiko.errors import InputError
from sashiko.pipeline.runner.record import RunRecord, read_run
from sashiko.registry.versions import STANDING_TAG, ModelVersion
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe

_EXECUTION = "execution_id"


def local_candidates(
    home: Path,
    settings: Settings,
    recipe: Recipe,
    *,
    version: ModelVersion,
    versions: Sequence[ModelVersion],
) -> tuple[Candidate, ...]:
    """Returns the candidates since a version was made, by their start.

    Args:
        home: the folder of all local state.
        settings: the environment.
        recipe: whose pipeline ran.
        version: the one that is monitored.
        versions: all of its group.
    """
    pipeline = pipeline_name(settings, recipe.name)
    records = (
        record
        for record in _runs(home)
        if record.pipeline == pipeline
        and record.id > version.tags[_EXECUTION]
        and record.status != "partial"
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


def _state(
    record: RunRecord, version: ModelVersion | None
) -> Literal["running", "failed", "blocked", "waiting", "rejected"]:
    if record.status in ("running", "blocked"):
        return record.status
    if record.status != "registered":
        return "failed"
    if version is None:  # the same model as an earlier version
        return "blocked"
    return "waiting" if version.status == "PendingManualApproval" else "rejected"
