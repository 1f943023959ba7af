"""Runs one UNLOAD through an Athena workgroup; on every exit, no query is left running."""

import sys
import time
from typing import Any

from sashiko.base.stopping import Stop
from sashiko.data.athena.aws import translate_errors, with_advice
from sashiko.errors import InputError

# Athena ends such a query after 30 minutes; it may wait in a queue before.
_LIMIT_SECONDS = 45 * 60
_STOP_SECONDS = 30
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 5.0
_ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})


def unload(athena: Any, select: str, *, to: str, workgroup: str, database: str, stop: Stop) -> None:
    """Writes the rows of a SELECT as Parquet files, and waits for the query.

    If the wait ends early, for whatever reason, the query is stopped. `to` is the S3 URI of an
    empty prefix, with a final slash; `stop` ends the process.

    Raises:
        InputError: if the query fails, is cancelled, takes longer than 45 minutes, or AWS refuses
            a call, with the reason and the fix.
    """
    destination = to.replace("'", "''")
    statement = (
        f"UNLOAD ({select}) TO '{destination}' WITH (format = 'PARQUET', compression = 'SNAPPY')"
    )
    with translate_errors(f"start a query in workgroup `{workgroup}`"):
        query = athena.start_query_execution(
            QueryString=statement,
            QueryExecutionContext={"Catalog": "AwsDataCatalog", "Database": database},
            WorkGroup=workgroup,
        )["QueryExecutionId"]
    print(f"athena: query {query} in workgroup {workgroup}", file=sys.stderr)
    try:
        status = _wait(athena, query, stop=stop)
    except BaseException:
        _end(athena, query)
        raise
    if status["State"] != "SUCCEEDED":
        reason = status.get("StateChangeReason", "no reason given")
        if status.get("AthenaError", {}).get("Retryable"):
            reason += "; Athena says that another attempt may succeed: start the run again"
        raise InputError(with_advice(f"Athena query {query} {status['State'].lower()}: {reason}"))


def _wait(athena: Any, query: str, *, stop: Stop) -> dict[str, Any]:
    """Returns the status of a query that has ended."""
    deadline = time.monotonic() + _LIMIT_SECONDS
    delay = _FIRST_DELAY
    while True:
        stop.exit_if_requested()
        status = _status(athena, query)
        if status["State"] in _ENDED:
            return status
        if time.monotonic() > deadline:
            raise InputError(
                f"Athena query {query} is still {status['State'].lower()} after "
                f"{_LIMIT_SECONDS // 60} minutes and was stopped; check in Athena's console "
                "whether it waited for others in its workgroup, and start the run again"
            )
        time.sleep(delay)
        delay = min(1.5 * delay, _LONGEST_DELAY)


def _end(athena: Any, query: str) -> None:
    """Stops a query and waits until it has ended, so that its files can be removed."""
    print(f"athena: stopping query {query}", file=sys.stderr)
    try:
        with translate_errors(f"stop Athena query {query}"):
            athena.stop_query_execution(QueryExecutionId=query)
        deadline = time.monotonic() + _STOP_SECONDS
        while _status(athena, query)["State"] not in _ENDED and time.monotonic() < deadline:
            time.sleep(_FIRST_DELAY)
    except InputError as error:
        print(f"warning: {error}", file=sys.stderr)


def _status(athena: Any, query: str) -> dict[str, Any]:
    with translate_errors(f"follow Athena query {query}"):
        execution = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]
    status: dict[str, Any] = execution["Status"]
    return status
