import hashlib
import io
import json
import os
import re
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.stub import Stubber

from sashiko.base.aws_calls import Clients
from sashiko.base.stopping import Stop
from sashiko.contract.model import Contract
from sashiko.data import athena_lake
from sashiko.data.athena_lake import AthenaLake, check_table, scratch_prefix
from sashiko.errors import InputError
from tests.unit.contract.documents import rows
from tests.unit.data.stubs import QUERY, add_query, add_states, add_stop, glue_table, stubbed

_TYPES = {"loan_id": "string", "age": "string", "late": "string"}


@dataclass(frozen=True)
class _Account:
    """The stubs of an account's services, and what its bucket holds."""

    athena: Stubber
    glue: Stubber
    s3: Stubber

    def ready(self, output: str = "s3://snapshots/facets/athena/") -> None:
        """A table that fits, and a workgroup."""
        self.glue.add_response("get_table", glue_table(_TYPES))
        results = {"OutputLocation": output} if output else {}
        group = {"Name": "group-facets", "Configuration": {"ResultConfiguration": results}}
        self.athena.add_response(
            "get_work_group", {"WorkGroup": group}, {"WorkGroup": "group-facets"}
        )

    def holds(self, *files: bytes) -> list[str]:
        """Objects in the scratch prefix, listed in another order than that of their keys."""
        keys = [f"facets/scratch/{number}" for number in range(len(files))]
        contents = [{"Key": key} for key in reversed(keys)]
        self.s3.add_response("list_objects_v2", {"Contents": contents} if keys else {})
        for content in files:
            size = {"ContentLength": len(content), "ETag": hashlib.sha256(content).hexdigest()}
            self.s3.add_response("head_object", size)
            self.s3.add_response("get_object", size | {"Body": io.BytesIO(content)})
        return keys

    def removes(self, *keys: str) -> None:
        contents = [{"Key": key} for key in keys]
        self.s3.add_response("list_objects_v2", {"Contents": contents} if keys else {})
        if keys:
            gone = {"Bucket": "snapshots", "Delete": {"Objects": contents, "Quiet": True}}
            self.s3.add_response("delete_objects", {}, gone)


@pytest.fixture
def account(monkeypatch, tmp_path):
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    config = tmp_path / "config" / "processingjobconfig.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"ProcessingJobName": "job"}))
    monkeypatch.setattr(athena_lake.time, "sleep", lambda _: None)
    with ExitStack() as stack:
        pairs = {name: stack.enter_context(stubbed(name)) for name in ("athena", "glue", "s3")}
        clients = Clients(**{name: client for name, (client, _) in pairs.items()})
        monkeypatch.setattr(athena_lake, "connect", lambda: clients)
        yield _Account(**{name: stub for name, (_, stub) in pairs.items()})


def _parquet(contract: Contract, *, start: int = 0, count: int = 4) -> bytes:
    file = io.BytesIO()
    pq.write_table(rows(contract).select(list(_TYPES)).slice(start, count), file)
    return file.getvalue()


def _read(contract: Contract) -> pa.Table:
    lake = AthenaLake(workgroup="group", database="lake")
    with lake.rows(contract, "facets", as_of="load-1") as batches:
        return pa.Table.from_batches(batches)


def test_the_files_of_an_unload_become_one_stream_in_the_order_of_the_key(account, contract):
    account.ready()
    add_query(account.athena, "SUCCEEDED")
    keys = account.holds(_parquet(contract, count=2), _parquet(contract, start=2))
    account.removes(*keys)
    table = _read(contract)
    assert table["loan_id"].to_pylist() == ["a", "b", "c", "d"]
    assert table["age"].to_pylist() == ["old", "young", "young", "old"]


@pytest.mark.parametrize("empty_file", [True, False])
def test_a_version_without_rows_is_an_error_and_leaves_nothing_behind(
    empty_file, account, contract
):
    account.ready()
    add_query(account.athena, "SUCCEEDED")
    keys = account.holds(_parquet(contract, count=0)) if empty_file else account.holds()
    account.removes(*keys)
    with pytest.raises(InputError, match=r"lake\.loans has no rows as of `load-1` for this role"):
        _read(contract)


def test_a_signal_stops_the_query_and_then_removes_what_it_wrote(account, contract, monkeypatch):
    monkeypatch.setattr(athena_lake.time, "sleep", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    account.ready()
    add_query(account.athena, "RUNNING")
    add_stop(account.athena)
    add_states(account.athena, "CANCELLED")
    account.removes("facets/scratch/0")
    with pytest.raises(SystemExit) as exit_:
        _read(contract)
    assert exit_.value.code == 128 + signal.SIGTERM


def test_a_file_with_a_column_more_than_the_select_is_refused(account, contract):
    account.ready()
    add_query(account.athena, "SUCCEEDED")
    file = io.BytesIO()
    pq.write_table(rows(contract).select([*_TYPES, "reader"]), file)
    account.removes(*account.holds(file.getvalue()))
    with pytest.raises(InputError, match="column `reader` is not in the contract"):
        _read(contract)


def test_a_workgroup_without_a_place_for_results_is_refused(account, contract):
    account.ready(output="")
    with pytest.raises(
        InputError, match="workgroup `group-facets` has no output location of its own"
    ):
        _read(contract)


def test_a_workgroup_that_does_not_exist_is_refused(account, contract):
    account.glue.add_response("get_table", glue_table(_TYPES))
    account.athena.add_client_error(
        "get_work_group", "InvalidRequestException", "WorkGroup group-facets is not found."
    )
    with pytest.raises(
        InputError, match=r"cannot read workgroup `group-facets`: .* correct `LakeUri`"
    ):
        _read(contract)


def test_objects_that_may_not_be_read_are_reported_and_removed(account, contract):
    account.ready()
    add_query(account.athena, "SUCCEEDED")
    account.s3.add_response("list_objects_v2", {"Contents": [{"Key": "facets/scratch/0"}]})
    account.s3.add_client_error("head_object", "403", "Forbidden", http_status_code=403)
    account.removes("facets/scratch/0")
    with pytest.raises(InputError, match=r"cannot read s3://snapshots/facets/scratch/job-.*403"):
        _read(contract)


@pytest.mark.parametrize("as_of", ["' OR '1'='1", "2025-03-01 12:00", "", "../other", "ü", "a/b"])
def test_a_version_that_is_none_never_reaches_a_statement(as_of, account, contract):
    lake = AthenaLake(workgroup="group", database="lake")
    with (
        pytest.raises(InputError, match=r"AsOf `.*`: expected up to 128 letters"),
        lake.rows(contract, "facets", as_of=as_of),
    ):
        pass


def test_a_missing_region_is_refused(contract, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_REGION", raising=False)
    with pytest.raises(InputError, match="AWS_REGION is not set"):
        _read(contract)


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
        client, 'SELECT "a" FROM "loans"', to="s3://scratch/it's/", workgroup="group",
        database="lake", stop=stop or Stop(),
    )  # fmt: skip


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
         "lacks a grant; compare `sashiko env permissions` with `sashiko env drift`"),
        ("COLUMN_NOT_FOUND: line 1:8: Column 'age' cannot be resolved or requester is not "
         "authorized to access requested resources",
         "lacks the column, or Lake Formation does not grant it"),
        ("TABLE_NOT_FOUND: line 1:30: Table 'awsdatacatalog.lake.loans' does not exist",
         "deploy the DataLake and Governance stacks"),
        ("CONSTRAINT_VIOLATION: For the injected projected partition column day, the WHERE "
         "clause must contain only static equality conditions, and at least one such condition "
         "must be present.",
         "a partition key other than `as_of`"),
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


def test_a_query_that_fails_is_cancelled_or_may_not_start_is_an_error_with_the_fix(athena):
    client, stub = athena
    status = {
        "State": "FAILED",
        "StateChangeReason": "GENERIC_INTERNAL_ERROR: x",
        "AthenaError": {"ErrorCategory": 1, "Retryable": True},
    }
    add_query(stub, status)
    with pytest.raises(InputError, match="another attempt may succeed: start the run again"):
        _unload(client)

    reason = "Query cancelled! : Bytes scanned limit was exceeded"
    add_query(stub, {"State": "CANCELLED", "StateChangeReason": reason})
    with pytest.raises(InputError, match=r"cancelled: .* exceeded; .* raise its limit"):
        _unload(client)

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


# What Lake Formation shows the broker: neither `reader` (pii) nor `age` (sensitive).
_BROKER = {
    "loan_id": "string", "lent_at": "timestamp", "pages": "bigint", "price": "double",
    "title": "string", "late": "string",
}  # fmt: skip


@pytest.fixture
def glue():
    with stubbed("glue") as pair:
        yield pair


def _check(
    glue: tuple[Any, Stubber], contract: Contract, view: Any, answer: dict[str, Any]
) -> None:
    client, stub = glue
    stub.add_response("get_table", answer, {"DatabaseName": "lake", "Name": "loans"})
    check_table(client, "lake", contract, view)


def test_a_role_may_read_a_view_whose_columns_it_sees(glue, contract):
    _check(glue, contract, "training", glue_table(_BROKER))
    for view in ("training", "facets"):
        _check(glue, contract, view, glue_table(_BROKER | {"reader": "string", "age": "string"}))
    with pytest.raises(InputError, match=r"no column `age`.* the Governance stack if Lake Form"):
        _check(glue, contract, "facets", glue_table(_BROKER))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (glue_table(_BROKER | {"pages": "int"}),
         r"lake.loans: column `pages` has type int, .* says integer \(bigint\)"),
        (glue_table(_BROKER | {"shoe_size": "int"}),
         r"column `shoe_size` is not in the contract `library-loans`, yet this role sees it"),
        (glue_table(_BROKER, keys=()), r"no partition key `as_of`"),
        (glue_table({}), r"lake.loans shows this role no column `loan_id`"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_is_refused_before_a_query_is_paid_for(
    answer, message, glue, contract
):
    with pytest.raises(InputError, match=message):
        _check(glue, contract, "training", answer)


@pytest.mark.parametrize(
    ("code", "message", "fix"),
    [
        ("EntityNotFoundException", "Entity Not Found", "correct `LakeUri`, or deploy"),
        ("AccessDeniedException",
         "Insufficient Lake Formation permission(s): Required Describe on loans", "lacks a grant"),
        ("AccessDeniedException",
         "User is not authorized to perform: glue:GetTable on resource: x",
         "allow that action to this role"),
    ],
)  # fmt: skip
def test_a_table_that_the_catalog_does_not_show_is_refused_with_the_fix(
    code, message, fix, glue, contract
):
    client, stub = glue
    stub.add_client_error("get_table", code, message)
    with pytest.raises(
        InputError, match=r"cannot see table lake.loans in the Glue catalog"
    ) as error:
        check_table(client, "lake", contract, "training")
    assert message in str(error.value)
    assert fix in str(error.value)


_BELOW = "s3://bucket/training/scratch"


@pytest.fixture
def s3():
    with stubbed("s3") as pair:
        yield pair


def _holds(stub: Stubber, *keys: str) -> None:
    contents = [{"Key": key} for key in keys]
    stub.add_response("list_objects_v2", {"Contents": contents} if keys else {})


def _removes(stub: Stubber, *keys: str, refused: str = "") -> None:
    stub.add_response(
        "delete_objects",
        {"Errors": [{"Key": refused, "Code": "AccessDenied", "Message": "no"}]} if refused else {},
        {"Bucket": "bucket", "Delete": {"Objects": [{"Key": key} for key in keys], "Quiet": True}},
    )


def test_two_attempts_of_one_job_never_share_a_prefix(s3):
    client, stub = s3
    prefixes = []
    for _ in range(2):
        _holds(stub)
        with scratch_prefix(client, below=_BELOW, job="pipelines-abc-Snapshot-1") as uri:
            prefixes.append(uri)
    assert prefixes[0] != prefixes[1]
    assert re.fullmatch(rf"{_BELOW}/pipelines-abc-Snapshot-1-[0-9a-f]{{32}}/", prefixes[0])


@pytest.mark.parametrize("leaves", [None, InputError("query failed"), SystemExit(143)])
def test_what_was_written_is_removed_on_every_exit(leaves, s3):
    client, stub = s3
    _holds(stub, "a/1", "a/2")
    _removes(stub, "a/1", "a/2")
    try:
        with scratch_prefix(client, below=_BELOW, job="job"):
            if leaves:
                raise leaves
    except BaseException as error:
        assert error is leaves
    stub.assert_no_pending_responses()


def test_more_objects_than_one_call_may_name_are_all_removed(s3):
    client, stub = s3
    keys = [f"a/{number:04d}" for number in range(1001)]
    stub.add_response(
        "list_objects_v2",
        {
            "Contents": [{"Key": key} for key in keys[:1000]],
            "IsTruncated": True,
            "NextContinuationToken": "more",
        },
    )
    _holds(stub, keys[1000])
    _removes(stub, *keys[:1000])
    _removes(stub, keys[1000])
    with scratch_prefix(client, below=_BELOW, job="job"):
        pass


def test_an_object_that_stays_is_an_error_that_hides_no_earlier_one(s3, capsys):
    client, stub = s3
    _holds(stub, "a/1")
    _removes(stub, "a/1", refused="a/1")
    with (
        pytest.raises(InputError, match=r"s3://bucket/a/1: AccessDenied: no; remove it by hand"),
        scratch_prefix(client, below=_BELOW, job="job"),
    ):
        pass

    stub.add_client_error("list_objects_v2", "AccessDenied", "no")
    with (
        pytest.raises(InputError, match="query failed"),
        scratch_prefix(client, below=_BELOW, job="job"),
    ):
        raise InputError("query failed")
    assert "warning: cannot remove the scratch objects" in capsys.readouterr().err
