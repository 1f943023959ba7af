"""Which data were loaded into the lake, by the runs of the job that loads them."""

from collections.abc import Mapping
from typing import Any

from sashiko.aws.account import Account
from sashiko.aws.names import Role, etl_name
from sashiko.settings import Settings


def newest_load(
    account: Account, settings: Settings, table: str, *, by: Role | None = None
) -> str | None:
    """Returns the `--as-of` of the load of a table that succeeded last.

    Args:
        account: the account.
        settings: the environment.
        table: the table.
        by: the role that may ask, for the message to others.

    Returns:
        None if none succeeded, or there is no job that loads the table yet.

    Raises:
        InputError: if the caller may not ask.
    """
    runs = account.pages(
        "glue",
        "get_job_runs",
        "JobRuns",
        absent=("EntityNotFoundException",),
        by=by,
        JobName=etl_name(settings, table),
    )
    done = [run for run in runs if run["JobRunState"] == "SUCCEEDED" and _as_of(run)]
    newest = max(done, key=lambda run: run["StartedOn"], default=None)
    return _as_of(newest) if newest else None


def _as_of(run: Mapping[str, Any]) -> str:
    return str(run.get("Arguments", {}).get("--as-of", ""))
