"""The lake of an account: Glue tables read through Athena, with Lake Formation's permissions."""

import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from sashiko.base import aws_calls as calls
from sashiko.base.job_folders import processing_job_name
from sashiko.base.stopping import Stop, stop_on_signals
from sashiko.contract.derive import Period, check_version, existing_rows, select_sql
from sashiko.contract.glue import AS_OF, LATEST, is_snapshot
from sashiko.contract.glue_job.spec import TYPES
from sashiko.contract.manifest import TableSource
from sashiko.contract.model import Contract, View
from sashiko.data.existing_table import check_columns, pinned, read_table, snapshot_sql
from sashiko.data.lake_reader import check_file, view_rows
from sashiko.errors import InputError

_COMPARE = "compare `sashiko env permissions` with `sashiko env drift`, and ask the lake's owner"
_ADVICE: calls.Advice = (
    (
        ("static equality conditions",),
        "the table needs a value for a partition key other than `as_of`; deploy the DataLake "
        "stack again, which makes the table from the contract",
    ),
    (
        ("COLUMN_NOT_FOUND",),
        f"the table lacks the column, or Lake Formation does not grant it to this role; {_COMPARE}",
    ),
    (("Lake Formation", "LAKE_FORMATION"), f"this role lacks a grant; {_COMPARE}"),
    (
        ("TABLE_NOT_FOUND", "SCHEMA_NOT_FOUND", "EntityNotFound", "is not found"),
        "correct `LakeUri`, or deploy the DataLake and Governance stacks: a role does not see "
        "what it is not granted",
    ),
    (("Bytes scanned limit",), "the workgroup allows a query fewer bytes; raise its limit"),
    (("exhausted resources",), "Athena was short of resources; start the run again"),
    (
        ("HIVE_BAD_DATA", "HIVE_PARTITION_SCHEMA_MISMATCH", "Unsupported Trino column type"),
        "the table's files do not have the types of its columns; run the ETL job again, and start "
        "the run with its new `AsOf`",
    ),
)
connect = partial(calls.connect, "the lake", "athena", "glue", "s3")
translate_errors = partial(calls.translate_errors, advice=_ADVICE)
with_advice = partial(calls.with_advice, advice=_ADVICE)
# Athena ends such a query after 30 minutes; it may wait in a queue before.
_LIMIT_SECONDS = 45 * 60
_STOP_SECONDS = 30
_FIRST_DELAY = 0.5
_LONGEST_DELAY = 5.0
_ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})
_KEYS_A_CALL = 1000


def check_table(glue: Any, database: str, contract: Contract, view: View) -> None:
    """Checks the columns of a table in a Glue database before a query causes cost.

    Lake Formation shows a role only the columns that it is granted, so only the view's columns are
    required. A role may see further columns of the contract: the bias evaluator does, and every
    role without Lake Formation; the SELECT does not name them. A column that is not in the contract
    is an error.

    Raises:
        InputError: if the table or a column is missing or not granted, a column has another type
            or is not in the contract, or the table has no versions.
    """
    name = f"{database}.{contract.table}"
    with translate_errors(f"see table {name} in the Glue catalog"):
        table = glue.get_table(DatabaseName=database, Name=contract.table)["Table"]
    columns = table.get("StorageDescriptor", {}).get("Columns", [])
    types = {column["Name"]: column.get("Type", "") for column in columns}
    if AS_OF not in [key["Name"] for key in table.get("PartitionKeys", [])]:
        raise InputError(
            f"{name} shows this role no partition key `{AS_OF}`, the version of the data; "
            "deploy the DataLake stack, and grant the key to the role"
        )
    for column in contract.view_columns(view):
        expected = TYPES[column.logical_type]
        if column.name not in types:
            raise InputError(
                f"{name} shows this role no column `{column.name}`, which the contract "
                f"`{contract.id}` has: deploy the DataLake stack if the table lacks it, the "
                "Governance stack if Lake Formation does not grant it to this role"
            )
        if types[column.name] != expected:
            raise InputError(
                f"{name}: column `{column.name}` has type {types[column.name]}, the contract "
                f"`{contract.id}` says {column.logical_type} ({expected}); deploy the DataLake "
                "stack and run the ETL job again"
            )
    for extra in sorted(types.keys() - {column.name for column in contract.columns}):
        raise InputError(
            f"{name}: column `{extra}` is not in the contract `{contract.id}`, yet this role "
            "sees it; describe and classify it there, or take it out of the table"
        )


def unload(athena: Any, select: str, *, to: str, workgroup: str, database: str, stop: Stop) -> None:
    """Writes the rows of a SELECT as Parquet files, and waits for the query.

    If the wait ends early, for whatever reason, the query is stopped. `to` is the S3 URI of an
    empty prefix, with a final slash; `stop` ends the process.

    Raises:
        InputError: if the query fails, is cancelled, takes longer than 45 minutes, or AWS refuses
            a call, with the reason and the fix.
    """
    destination = to.replace("'", "''")
    options = "format = 'PARQUET', compression = 'SNAPPY'"
    statement = f"UNLOAD ({select}) TO '{destination}' WITH ({options})"
    run_query(athena, statement, workgroup=workgroup, database=database, stop=stop)


def run_query(athena: Any, statement: str, *, workgroup: str, database: str, stop: Stop) -> str:
    """Runs a statement, waits for it, and returns the query's id; errors as `unload`."""
    with translate_errors(f"start a query in workgroup `{workgroup}`"):
        query: str = athena.start_query_execution(
            QueryString=statement,
            QueryExecutionContext={"Catalog": "AwsDataCatalog", "Database": database},
            WorkGroup=workgroup,
        )["QueryExecutionId"]
    print(f"athena: query {query} in workgroup {workgroup}", file=sys.stderr)

    def status() -> dict[str, Any]:
        with translate_errors(f"follow Athena query {query}"):
            execution = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]
        current: dict[str, Any] = execution["Status"]
        return current

    def end() -> None:
        """Stops the query and waits until it has ended, so that its files can be removed."""
        print(f"athena: stopping query {query}", file=sys.stderr)
        try:
            with translate_errors(f"stop Athena query {query}"):
                athena.stop_query_execution(QueryExecutionId=query)
            deadline = time.monotonic() + _STOP_SECONDS
            while status()["State"] not in _ENDED and time.monotonic() < deadline:
                time.sleep(_FIRST_DELAY)
        except InputError as error:
            print(f"warning: {error}", file=sys.stderr)

    deadline, delay = time.monotonic() + _LIMIT_SECONDS, _FIRST_DELAY
    try:
        stop.exit_if_requested()
        while (last := status())["State"] not in _ENDED:
            if time.monotonic() > deadline:
                raise InputError(
                    f"Athena query {query} is still {last['State'].lower()} after "
                    f"{_LIMIT_SECONDS // 60} minutes and was stopped; check in Athena's console "
                    "whether it waited for others in its workgroup, and start the run again"
                )
            time.sleep(delay)
            delay = min(1.5 * delay, _LONGEST_DELAY)
            stop.exit_if_requested()
    except BaseException:
        end()
        raise
    if last["State"] != "SUCCEEDED":
        reason = last.get("StateChangeReason", "no reason given")
        if last.get("AthenaError", {}).get("Retryable"):
            reason += "; Athena says that another attempt may succeed: start the run again"
        raise InputError(with_advice(f"Athena query {query} {last['State'].lower()}: {reason}"))
    return query


@contextmanager
def scratch_prefix(s3: Any, *, below: str, job: str) -> Iterator[str]:
    """Yields the S3 URI of an unused prefix below another, and removes its objects on every exit.

    UNLOAD refuses a prefix that has objects, and the first attempt of a job that SageMaker restarts
    may have left some. So the prefix has the job's name, which contains the pipeline execution's
    id, and a random part for each attempt. Neither affects the snapshot: its rows are sorted by
    key, and no file or manifest names the prefix.

    Raises:
        InputError: if an object cannot be removed and nothing else failed.
    """
    uri = f"{below}/{job}-{uuid.uuid4().hex}/"
    try:
        yield uri
    except BaseException:
        try:
            _remove(s3, uri)
        except InputError as error:
            print(f"warning: {error}", file=sys.stderr)
        raise
    _remove(s3, uri)


def download(s3: Any, uri: str, folder: Path, *, stop: Stop) -> list[Path]:
    """Downloads the objects below a prefix into a folder; returns the files in the keys' order.

    Raises:
        InputError: if S3 refuses a call.
    """
    files: list[Path] = []
    with translate_errors(f"read {uri}"):
        for key in sorted(_keys(s3, uri)):
            stop.exit_if_requested()
            files.append(folder / f"{len(files):06d}.parquet")
            s3.download_file(urlsplit(uri).netloc, key, str(files[-1]))
    stop.exit_if_requested()
    return files


def _remove(s3: Any, uri: str) -> None:
    bucket = urlsplit(uri).netloc
    with translate_errors(f"remove the scratch objects below {uri}"):
        keys = _keys(s3, uri)
        for start in range(0, len(keys), _KEYS_A_CALL):
            objects = [{"Key": key} for key in keys[start : start + _KEYS_A_CALL]]
            response = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            for failure in response.get("Errors", []):
                raise InputError(
                    f"cannot remove the scratch object s3://{bucket}/{failure['Key']}: "
                    f"{failure.get('Code')}: {failure.get('Message')}; remove it by hand: it has "
                    "rows of the lake"
                )


def _keys(s3: Any, uri: str) -> list[str]:
    parts = urlsplit(uri)
    prefix = {"Bucket": parts.netloc, "Prefix": parts.path.lstrip("/")}
    pages = s3.get_paginator("list_objects_v2").paginate(**prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


@dataclass(frozen=True, kw_only=True)
class AthenaLake:
    """A Glue database, and the workgroups that its tables are read through.

    Each view has a workgroup of its own, `<workgroup>-<view>`, so that only the view's readers can
    read the results of its queries.

    Each load of a table is a complete extract with its own value of the partition key `as_of`. A
    version never changes, so both snapshots of a run read the same rows.
    """

    workgroup: str
    database: str

    def query(
        self, contract: Contract, view: View, *, as_of: str, period: Period | None = None
    ) -> str:
        """Returns the governed SELECT of one version of the table."""
        if contract.lake is None:
            return select_sql(contract, view, as_of=as_of, period=period)
        source = existing_rows(contract.lake, contract.view_columns(view), as_of=as_of)
        return select_sql(contract, view, period=period, source=source)

    def source(self, contract: Contract, view: View, *, as_of: str) -> TableSource | None:
        """Returns the table of another owner, and the snapshot that `as_of` pins; `Lake.source`."""
        lake = contract.lake
        if lake is None:
            return None
        check_version(as_of)
        with translate_errors(f"see table {lake.full_name} in the Glue catalog"):
            table = read_table(connect().glue.get_table, lake)
        if as_of != LATEST and is_snapshot(as_of) != table.is_iceberg:
            kind = "an Iceberg table, whose versions are" if table.is_iceberg else "no table with"
            raise InputError(f"AsOf `{as_of}`: {lake.full_name} is {kind} ids of snapshots")
        columns = contract.view_columns(view)
        if gained := check_columns(table.types, contract, columns, name=lake.full_name):
            print(f"{lake.full_name}: not read: {', '.join(gained)}", file=sys.stderr)
        if not table.is_iceberg:
            return TableSource(table=lake.full_name, snapshot_id=None, committed_at=None)
        with tempfile.TemporaryDirectory() as folder:
            files = self._fetch(snapshot_sql(lake, as_of), view, Path(folder))
            rows = [row for file in files for row in pq.read_table(file).to_pylist()]
        if len(rows) != 1:
            raise InputError(
                f"{lake.full_name} has no snapshot {as_of}: it has expired, or is another table's; "
                "start the run without --as-of"
            )
        return pinned(lake.full_name, rows[0]["snapshot_id"], rows[0]["committed_at"])

    @contextmanager
    def rows(
        self,
        contract: Contract,
        view: View,
        *,
        as_of: str,
        is_sorted: bool = True,
        period: Period | None = None,
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        """Streams a view's rows; see `Lake.rows`."""
        if as_of == LATEST and (source := self.source(contract, view, as_of=as_of)):
            as_of = source.snapshot_id or LATEST
        select, aws = self.query(contract, view, as_of=as_of, period=period), connect()
        if contract.lake is None:
            check_table(aws.glue, self.database, contract, view)
        with tempfile.TemporaryDirectory() as folder:
            files = self._fetch(select, view, Path(folder))
            rows = sum(check_file(file, contract, view, zoneless=True) for file in files)
            if not rows and period:
                yield iter(())
                return
            if not rows:
                name = contract.lake.full_name if contract.lake else None
                name = name or f"{self.database}.{contract.table}"
                raise InputError(
                    f"{name} has no rows as of `{as_of}` for this role: "
                    "start the run with the `AsOf` of a load that succeeded; if it did, a row "
                    "filter hides its rows"
                )
            # UNLOAD writes files in parallel: only the rows within a file are sorted by key.
            with view_rows(files, contract, view, is_sorted=is_sorted) as batches:
                yield batches

    def _fetch(self, select: str, view: View, folder: Path) -> list[Path]:
        """Downloads the rows of a SELECT into a folder, as the files that UNLOAD wrote."""
        aws, database = connect(), self.database
        with stop_on_signals() as stop:
            # A folder for each view: policies grant access by view. What is scored has the columns
            # of the training view.
            folder_of = "training" if view == "scoring" else view
            workgroup = f"{self.workgroup}-{folder_of}"
            with translate_errors(f"read workgroup `{workgroup}`"):
                group = aws.athena.get_work_group(WorkGroup=workgroup)["WorkGroup"]
            results = group.get("Configuration", {}).get("ResultConfiguration", {})
            location = urlsplit(str(results.get("OutputLocation", "")))
            if location.scheme != "s3":
                raise InputError(
                    f"Athena workgroup `{workgroup}` has no output location of its own; name the "
                    "one that the DataLake stack makes"
                )
            below = f"s3://{location.netloc}/{folder_of}/scratch"
            with scratch_prefix(aws.s3, below=below, job=processing_job_name()) as uri:
                run = {"to": uri, "workgroup": workgroup, "database": database}
                unload(aws.athena, select, **run, stop=stop)
                return download(aws.s3, uri, folder, stop=stop)
