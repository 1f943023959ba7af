"""Deletes keys from what monitoring keeps in an account."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from sashiko.account.names import Role, monitor_pipeline_name
from sashiko.base.files import sha256_file
from sashiko.errors import InputError
from sashiko_packs.monitoring.account.files import Copy, MonitorFiles
from sashiko_packs.monitoring.deletion import DeletedRows, delete_rows

DELETED_BY: Final[Role] = "privacy-officer"
_RUNNING: Final = {"Executing", "Stopping"}
_MOST_EXECUTIONS: Final = 100
# S3 deletes what has expired within a day or two ("Expiring objects", Amazon S3 User Guide).
_EXPIRY: Final = dt.timedelta(days=2)


def delete_keys(files: MonitorFiles, keys: Sequence[str], *, now: dt.datetime) -> DeletedRows:
    """Deletes the rows of keys in all stores; whoever was interrupted repeats the command.

    A window's job writes the ledger back as it has read it, whatever was written since. So keys are
    deleted while no window is judged, and whether one was started meanwhile is asked afterwards.

    Args:
        files: of the recipe, as `DELETED_BY`.
        keys: the primary keys.
        now: the time of the deletion.

    Raises:
        InputError: if the caller may not do so, a window is judged, or somebody else changes the
            stores at the same time; then a part may be deleted, and the command is to be repeated.
    """
    known = _executions(files)
    if running := [arn for arn, status in known.items() if status in _RUNNING]:
        raise InputError(
            f"a window is judged at the moment ({running[0]}), whose job would write deleted rows "
            "back: run the command again when it has ended"
        )
    places = files.places
    # In the order of `delete_rows`: draws take over what was judged before the labels go.
    with files.copies(places.draws, places.labels, places.facets, places.ledger) as copies:
        draws, labels, facets, ledger = copies
        before = {path: sha256_file(path) for copy in copies for path in _paths(copy)}
        deleted = delete_rows(
            keys,
            ledger=ledger.folder,
            labels=labels.folder,
            facets=facets.folder,
            draws=draws.folder,
            now=now,
            retention=dt.timedelta(seconds=files.settings.serving.capture.retention) + _EXPIRY,
        )
        etags = {
            copy.uri: copy.etags
            | {
                path.name: files.put(path, copy)
                for path in _paths(copy)
                if sha256_file(path) != before.get(path)
            }
            for copy in copies
        }
    after = _executions(files)
    if after.keys() - known.keys() or _RUNNING.intersection(after.values()):
        raise InputError(
            "a window has started to be judged meanwhile, whose job may have written deleted rows "
            "back: run the command again when it has ended"
        )
    changed = [uri for uri, expected in etags.items() if files.etags(uri) != expected]
    if changed:
        raise InputError(
            f"{changed[0]}: somebody else has just changed it and may have added a deleted key; "
            "run the command again"
        )
    return deleted


def _paths(copy: Copy) -> list[Path]:
    """Returns a copy's files; of the ledger the list of deletions comes first, before its days."""
    return sorted(copy.folder.iterdir(), reverse=True)


def _executions(files: MonitorFiles) -> Mapping[str, str]:
    """Returns ARN -> status of the newest windows."""
    response = files.account.read(
        "sagemaker",
        "list_pipeline_executions",
        absent=("ResourceNotFound",),
        role=files.role,
        PipelineName=monitor_pipeline_name(files.settings, files.recipe.name),
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=_MOST_EXECUTIONS,
    )
    return {
        item["PipelineExecutionArn"]: item["PipelineExecutionStatus"]
        for item in (response or {}).get("PipelineExecutionSummaries", ())
    }
