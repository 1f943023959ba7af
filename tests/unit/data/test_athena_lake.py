import hashlib
import io
import json
import os
import signal
from contextlib import ExitStack
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.stub import Stubber

from sashiko.base.aws_calls import Clients
from sashiko.contract.model import Contract
from sashiko.data import athena_lake
from sashiko.data.athena_lake import AthenaLake
from sashiko.errors import InputError
from tests.unit.contract.documents import rows
from tests.unit.data.stubs import add_query, add_states, add_stop, glue_table, stubbed

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
