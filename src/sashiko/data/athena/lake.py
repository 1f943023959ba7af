"""The lake of an account: Glue tables read through Athena, with Lake Formation's permissions."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from sashiko.base.job_folders import processing_job_name
from sashiko.base.stopping import stop_on_signals
from sashiko.contract.derive import select_sql
from sashiko.contract.model import Contract, View
from sashiko.data.athena.aws import connect, translate_errors
from sashiko.data.athena.catalog import check_table
from sashiko.data.athena.query import unload
from sashiko.data.athena.scratch import download, scratch_prefix
from sashiko.data.duckdb_lake import check_file, view_rows
from sashiko.errors import InputError


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

    def query(self, contract: Contract, view: View, *, as_of: str) -> str:
        """Returns the governed SELECT of one version of the table."""
        return select_sql(contract, view, as_of=as_of)

    @contextmanager
    def rows(
        self, contract: Contract, view: View, *, as_of: str, is_sorted: bool = True
    ) -> Iterator[Iterator[pa.RecordBatch]]:
        """Streams a view's rows; see `Lake.rows`."""
        select = self.query(contract, view, as_of=as_of)
        with tempfile.TemporaryDirectory() as folder:
            files = self._fetch(select, contract, view, Path(folder))
            if not sum(check_file(file, contract, view, zoneless=True) for file in files):
                raise InputError(
                    f"{self.database}.{contract.table} has no rows as of `{as_of}` for this role: "
                    "start the run with the `AsOf` of a load that succeeded; if it did, a row "
                    "filter hides its rows"
                )
            # UNLOAD writes files in parallel: only the rows within a file are sorted by key.
            with view_rows(files, contract, view, is_sorted=is_sorted) as batches:
                yield batches

    def _fetch(self, select: str, contract: Contract, view: View, folder: Path) -> list[Path]:
        """Downloads the rows of a SELECT into a folder, as the files that UNLOAD wrote."""
        aws = connect()
        with stop_on_signals() as stop:
            check_table(aws.glue, self.database, contract, view)
            # A folder for each view: policies grant access by view.
            workgroup = f"{self.workgroup}-{view}"
            below = f"s3://{_bucket(aws.athena, workgroup)}/{view}/scratch"
            with scratch_prefix(aws.s3, below=below, job=processing_job_name()) as uri:
                unload(
                    aws.athena,
                    select,
                    to=uri,
                    workgroup=workgroup,
                    database=self.database,
                    stop=stop,
                )
                return download(aws.s3, uri, folder, stop=stop)


def _bucket(athena: Any, workgroup: str) -> str:
    """Returns the bucket that a workgroup writes to."""
    with translate_errors(f"read workgroup `{workgroup}`"):
        group = athena.get_work_group(WorkGroup=workgroup)["WorkGroup"]
    results = group.get("Configuration", {}).get("ResultConfiguration", {})
    location = urlsplit(str(results.get("OutputLocation", "")))
    if location.scheme != "s3":
        raise InputError(
            f"Athena workgroup `{workgroup}` has no output location of its own; name the one that "
            "the DataLake stack makes"
        )
    return location.netloc
