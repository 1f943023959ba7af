"""Deletes what monitoring keeps of some keys: answers, labels, and their names in draws.

A drawn row that was labelled stays as a count: whether its decision agrees with its label, without
key, score or time; of a number also how far off it was, without the number. Else a verdict could be
undone by deleting one of its rows.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa

from sashiko.account.names import Role
from sashiko.base.files import sha256_file
from sashiko.base.parquet import ROW_GROUP_ROWS, open_parquet, write_batches
from sashiko.base.scratch import Connection, scratch_database, stream_query
from sashiko.base.yaml_models import Frozen
from sashiko.errors import InputError
from sashiko_packs.monitoring.account import MonitorFiles
from sashiko_packs.monitoring.labels import create_counted_labels_view, create_labels_view
from sashiko_packs.monitoring.ledger import (
    DRAW_SCHEMA,
    NUMBER_DRAW_SCHEMA,
    create_ledger_view,
    delete_keys,
)
from sashiko_packs.monitoring.places import PRIVACY_OFFICER, monitor_pipeline_name

_WITHOUT: Final = """
SELECT * FROM kept WHERE key IS NULL OR key NOT IN (SELECT key FROM requested) ORDER BY rowid
"""
# A draw keeps its number of rows, from which its period and the chance of a row follow.
_NAMELESS: Final = """
SELECT CASE WHEN requested.key IS NULL THEN kept.key END, probability, kept.version, start, "end",
answers,
CASE WHEN requested.key IS NULL OR counted_labels.label IS NULL THEN kept.decision
ELSE ledger.decision END,
CASE WHEN requested.key IS NULL OR ledger.decision IS NULL THEN kept.label
ELSE counted_labels.label END{error}
FROM kept LEFT JOIN requested USING (key) LEFT JOIN counted_labels USING (key)
LEFT JOIN ledger ON ledger.key = kept.key AND ledger.version = kept.version
ORDER BY kept.rowid
"""
_ERROR: Final = """,
CASE WHEN requested.key IS NULL OR ledger.decision IS NULL THEN kept.error
ELSE abs(counted_labels.value - ledger.score) END
"""


class DeletedRows(Frozen):
    """How many rows each store had of the keys."""

    answers: int
    labels: int
    draws: int  # drawn rows, which stay without their key


def delete_rows(
    keys: Sequence[str],
    *,
    ledger: Path,
    labels: Path,
    draws: Path,
    now: dt.datetime,
    retention: dt.timedelta,
    above: float | None = None,
) -> DeletedRows:
    """Deletes the rows of keys in all stores; repeat it if it was interrupted.

    The ledger keeps the keys out while a capture may hold them, for the time of the retention.
    `above` is the bound of a label that is a number.

    Raises:
        InputError: if a file is damaged or cannot be written.
    """
    with scratch_database("delete keys of the monitor's stores") as connection:
        names = pa.array(sorted(set(keys)), pa.string())
        connection.from_arrow(pa.table({"key": names})).create("requested")
        create_ledger_view(connection, ledger)
        create_labels_view(connection, labels)
        create_counted_labels_view(connection, above=above)
        nameless = _NAMELESS.format(error="" if above is None else _ERROR)
        drawn = DRAW_SCHEMA if above is None else NUMBER_DRAW_SCHEMA
        # Draws first: they take over what was judged from the labels and the answers.
        counts = {
            name: sum(
                _rewrite(connection, file, sql, schema) for file in sorted(folder.glob("*.parquet"))
            )
            for name, folder, sql, schema in (
                # A draw that was written before has no columns for what was judged.
                ("draws", draws, nameless, drawn),
                ("labels", labels, _WITHOUT, None),
            )
        }
    # Last, and it keeps the keys out: a window that is read meanwhile brings none back.
    answers = delete_keys(ledger, keys, now=now, retention=retention)
    return DeletedRows(answers=answers, **counts)


def _rewrite(connection: Connection, path: Path, sql: str, schema: pa.Schema | None) -> int:
    """Rewrites a file that has some of the keys, in its order; returns how many rows had one.

    `schema` is that of the new file; None for the old one's.
    """
    with open_parquet(path) as file:
        schema = schema or file.schema_arrow
    connection.from_arrow(schema.empty_table()).create_view("columns", replace=True)
    connection.read_parquet(str(path)).create_view("store", replace=True)
    ((count,),) = connection.execute(
        "SELECT count(*) FROM store SEMI JOIN requested USING (key)"
    ).fetchall()
    if count:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE kept AS FROM columns UNION ALL BY NAME FROM store"
        )
        batches = stream_query(connection, sql, schema=schema, rows=ROW_GROUP_ROWS)
        write_batches(path, batches, schema=schema)
    return int(count)


DELETED_BY: Final[Role] = PRIVACY_OFFICER
_RUNNING: Final = {"Executing", "Stopping"}
_MOST_EXECUTIONS: Final = 100
# S3 deletes what has expired within a day or two ("Expiring objects", Amazon S3 User Guide).
_EXPIRY: Final = dt.timedelta(days=2)


def delete_account_rows(
    files: MonitorFiles, keys: Sequence[str], *, now: dt.datetime, above: float | None = None
) -> DeletedRows:
    """Deletes the rows of keys in all stores of an account; repeat it if it was interrupted.

    A window's job writes the ledger back as it has read it, whatever was written since. So keys are
    deleted while no window is judged, and whether one was started meanwhile is asked afterwards.
    Files are those of the recipe, as `DELETED_BY`. `above` is as for `delete_rows`.

    Raises:
        InputError: if the caller may not do so, a window is judged, or somebody else changes the
            stores at the same time; then a part may be deleted, and the command is to be repeated.
    """
    known = _executions(files)
    if running := [arn for arn, status in known.items() if status in _RUNNING]:
        raise InputError(
            f"a window is being judged ({running[0]}), and its job would write deleted rows back: "
            "run the command again when it has ended"
        )
    places = files.places
    # In the order of `delete_rows`: draws take over what was judged before the labels go.
    with files.copies(places.draws, places.labels, places.ledger) as copies:
        draws, labels, ledger = copies
        before = {path: sha256_file(path) for copy in copies for path in copy.folder.iterdir()}
        deleted = delete_rows(
            keys, ledger=ledger.folder, labels=labels.folder, draws=draws.folder, now=now,
            above=above,
            retention=dt.timedelta(seconds=files.settings.serving.capture.retention) + _EXPIRY,
        )  # fmt: skip
        etags = {copy.uri: dict(copy.etags) for copy in copies}
        for copy in copies:
            # Of the ledger the list of deletions comes first, before its days.
            for path in sorted(copy.folder.iterdir(), reverse=True):
                if sha256_file(path) != before.get(path):
                    etags[copy.uri][path.name] = files.put(path, copy)
    after = _executions(files)
    if after.keys() - known.keys() or _RUNNING.intersection(after.values()):
        raise InputError(
            "a window has been started meanwhile, and its job may have written deleted rows "
            "back: run the command again when it has ended"
        )
    changed = [uri for uri, expected in etags.items() if files.etags(uri) != expected]
    if changed:
        raise InputError(
            f"{changed[0]}: somebody else has just changed it and may have added a deleted key; "
            "run the command again"
        )
    return deleted


def _executions(files: MonitorFiles) -> Mapping[str, str]:
    response = files.account.read(
        "sagemaker", "list_pipeline_executions", absent=("ResourceNotFound",), role=files.role,
        PipelineName=monitor_pipeline_name(files.settings, files.recipe.name),
        SortBy="CreationTime", SortOrder="Descending", MaxResults=_MOST_EXECUTIONS,
    )  # fmt: skip
    return {
        item["PipelineExecutionArn"]: item["PipelineExecutionStatus"]
        for item in (response or {}).get("PipelineExecutionSummaries", ())
    }
