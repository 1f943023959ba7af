import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from sashiko.base.stopping import Stop, stop_on_signals
from sashiko.data import athena_lake
from sashiko.errors import InputError
from tests.unit.data.stubs import QUERY, add_query, add_states, add_stop, stubbed


@pytest.fixture
def athena():
    with stubbed("athena") as pair:
        yield pair


class _Clock:
    """A clock that goes on only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)
        self.meanwhile()


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = _Clock()
    monkeypatch.setattr(athena_lake.time, "sleep", clock.sleep)
    monkeypatch.setattr(athena_lake.time, "monotonic", lambda: clock.now)
    return clock


def _unload(client: Any, stop: Stop | None = None) -> None:
    athena_lake.unload(
        client,
        'SELECT "a" FROM "loans"',
        to="s3://scratch/it's/",
        workgroup="group",
        database="lake",
        stop=stop or Stop(),
    )


def test_an_unload_is_started_in_the_workgroup_and_waited_for(athena, clock):
    client, stub = athena
    expected = {
        "QueryString": "UNLOAD (SELECT \"a\" FROM \"loans\") TO 's3://scratch/it''s/' "
        "WITH (format = 'PARQUET', compression = 'SNAPPY')",
        "QueryExecutionContext": {"Catalog": "AwsDataCatalog", "Database": "lake"},
        "WorkGroup": "group",
    }
    stub.add_response("start_query_execution", {"QueryExecutionId": QUERY}, expected)
    add_states(stub, "QUEUED", "RUNNING", "RUNNING", "SUCCEEDED")
    _unload(client)
    assert clock.slept == sorted(clock.slept)
    assert clock.slept[0] < clock.slept[-1]


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("Insufficient Lake Formation permission(s): Required Select on loans",
         "lacks a grant; compare `sashiko permissions` with `sashiko audit`"),
        ("COLUMN_NOT_FOUND: line 1:8: Column 'age' cannot be resolved or requester is not "
         "authorized to access requested resources",
         "lacks the column, or Lake Formation does not grant it"),
        ("TABLE_NOT_FOUND: line 1:30: Table 'awsdatacatalog.lake.loans' does not exist",
         "deploy the DataLake and Governance stacks"),
        ("CONSTRAINT_VIOLATION: For the injected projected partition column day, the WHERE "
         "clause must contain only static equality conditions, and at least one such condition "
         "must be present.",
         "another partition key than `as_of`"),
        ("HIVE_BAD_DATA: Field pages's type BINARY is incompatible", "run the ETL job again"),
        ("Access Denied (Service: Amazon S3; Status Code: 403)", "allow that action"),
        ("not authorized to perform: kms:GenerateDataKey on resource", "may not use the key"),
        ("Query exhausted resources at this scale factor", "start the run again"),
        ("SOMETHING_NEW: unheard of", "failed: SOMETHING_NEW: unheard of$"),
    ],
)  # fmt: skip
def test_a_query_that_fails_says_why_and_what_to_do(reason, message, athena):
    client, stub = athena
    add_query(stub, "RUNNING", {"State": "FAILED", "StateChangeReason": reason})
    with pytest.raises(InputError, match=message) as error:
        _unload(client)
    assert str(error.value).startswith(f"Athena query {QUERY} failed: {reason}")


def test_a_failure_that_athena_calls_passing_says_so(athena):
    client, stub = athena
    status = {
        "State": "FAILED",
        "StateChangeReason": "GENERIC_INTERNAL_ERROR: x",
        "AthenaError": {"ErrorCategory": 1, "Retryable": True},
    }
    add_query(stub, status)
    with pytest.raises(InputError, match="another attempt may succeed: start the run again"):
        _unload(client)


def test_a_query_that_somebody_cancels_is_an_error(athena):
    client, stub = athena
    reason = "Query cancelled! : Bytes scanned limit was exceeded"
    add_query(stub, {"State": "CANCELLED", "StateChangeReason": reason})
    with pytest.raises(InputError, match=r"cancelled: .* exceeded; .* raise its limit"):
        _unload(client)


def test_a_role_that_may_start_no_query_is_refused_with_the_fix(athena):
    client, stub = athena
    stub.add_client_error(
        "start_query_execution",
        "AccessDeniedException",
        "You are not authorized to perform: athena:StartQueryExecution on the resource.",
    )
    with pytest.raises(InputError) as error:
        _unload(client)
    assert "cannot start a query in workgroup `group`" in str(error.value)
    assert "athena:StartQueryExecution" in str(error.value)
    assert str(error.value).endswith("allow that action to this role")


def test_a_query_that_never_ends_is_stopped(athena, clock, monkeypatch):
    client, stub = athena
    monkeypatch.setattr(athena_lake, "_LIMIT_SECONDS", 1)
    add_query(stub, "QUEUED", "QUEUED", "QUEUED")
    add_stop(stub)
    add_states(stub, "CANCELLED")
    with pytest.raises(InputError, match="still queued after 0 minutes and was stopped"):
        _unload(client)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_query_and_waits_until_it_writes_no_more(number, athena, clock):
    client, stub = athena
    add_query(stub, "RUNNING")
    add_stop(stub)
    add_states(stub, "RUNNING", "CANCELLED")
    clock.meanwhile = lambda: os.kill(os.getpid(), number)
    with pytest.raises(SystemExit) as exit_, stop_on_signals() as stop:
        _unload(client, stop)
    assert exit_.value.code == 128 + number


def test_a_query_that_cannot_be_followed_is_stopped(athena):
    client, stub = athena
    stub.add_response("start_query_execution", {"QueryExecutionId": QUERY})
    stub.add_client_error("get_query_execution", "AccessDeniedException", "not authorized")
    add_stop(stub)
    add_states(stub, "CANCELLED")
    with pytest.raises(InputError, match=f"cannot follow Athena query {QUERY}"):
        _unload(client)


def test_a_query_that_cannot_be_stopped_does_not_hide_the_first_error(athena, capsys):
    client, stub = athena
    stub.add_response("start_query_execution", {"QueryExecutionId": QUERY})
    stub.add_client_error("get_query_execution", "InternalServerException", "first")
    stub.add_client_error("stop_query_execution", "AccessDeniedException", "second")
    with pytest.raises(InputError, match="first"):
        _unload(client)
    assert f"warning: cannot stop Athena query {QUERY}" in capsys.readouterr().err
