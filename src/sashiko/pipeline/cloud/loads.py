"""Versions of the lake's data: instants, and the runs of the job that loaded them."""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

from sashiko.account.account import Account
from sashiko.account.names import Role, etl_name
from sashiko.errors import InputError
from sashiko.settings.environment import Settings

_AS_OF = re.compile(r"\d{8}T\d{6}Z")
_FORM = "%Y%m%dT%H%M%SZ"


def check_as_of(as_of: str, *, option: str) -> None:
    """Checks that a text is an instant in the form of the lake's versions.

    Raises:
        InputError: naming the option, if it is not.
    """
    try:
        if _AS_OF.fullmatch(as_of) is None:
            raise ValueError
        dt.datetime.strptime(as_of, _FORM)
    except ValueError as error:
        raise InputError(
            f"{option} {as_of}: expected an instant in UTC such as 20261125T104500Z"
        ) from error


def newest_load(
    account: Account, settings: Settings, table: str, *, role: Role | None = None
) -> str | None:
    """Returns the `--as-of` of the last successful load of a table.

    Returns:
        None if none succeeded, or there is no job that loads the table yet.

    Raises:
        InputError: if the caller lacks the permission.
    """
    runs = account.pages(
        "glue",
        "get_job_runs",
        "JobRuns",
        absent=("EntityNotFoundException",),
        role=role,
        JobName=etl_name(settings, table),
    )
    succeeded = [run for run in runs if run["JobRunState"] == "SUCCEEDED" and _as_of(run)]
    newest = max(succeeded, key=lambda run: run["StartedOn"], default=None)
    return _as_of(newest) if newest else None


def _as_of(run: Mapping[str, Any]) -> str:
    return str(run.get("Arguments", {}).get("--as-of", ""))
