"""Runs UNLOAD statements, which moto's Athena lacks, over the Parquet files of moto's S3."""

import io
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from moto.athena.models import AthenaBackend

_UNLOAD = re.compile(r"UNLOAD \((.*)\) TO 's3://([^/]+)/(.*)' WITH \(format = 'PARQUET', .*\)")


def run_unloads(monkeypatch: pytest.MonkeyPatch, *, endpoint: str) -> None:
    """Makes a query to moto write the files that Athena would write.

    The table is read as a Hive table with the partition key `as_of`: the statement's own text
    decides which rows and columns come out. As with Athena, the files come in no order of their
    own, times are milliseconds without a zone, and a prefix that holds something is refused.
    """
    start: Callable[..., str] = AthenaBackend.start_query_execution

    def start_execution(backend: AthenaBackend, query: str, *rest: Any, **more: Any) -> str:
        _unload(boto3.client("s3", endpoint_url=endpoint), query)
        return start(backend, query, *rest, **more)

    monkeypatch.setattr(AthenaBackend, "start_query_execution", start_execution)


def _unload(s3: Any, statement: str) -> None:
    parts = _UNLOAD.fullmatch(statement)
    assert parts, statement
    select, bucket, prefix = parts.groups()
    assert not s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["KeyCount"], prefix
    with tempfile.TemporaryDirectory() as folder:
        for item in s3.list_objects_v2(Bucket="curated")["Contents"]:
            file = Path(folder, item["Key"])
            file.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file("curated", item["Key"], str(file))
        with duckdb.connect() as connection:
            for table in Path(folder).iterdir():
                connection.read_parquet(f"{table}/*/*.parquet", hive_partitioning=True).create_view(
                    table.name
                )
            rows = _as_athena_writes(connection.sql(select).to_arrow_table())
    # Every other row, each file in the order of the key, and int96 in one of them.
    for number in range(min(2, rows.num_rows)):
        buffer = io.BytesIO()
        part = rows.take(pa.array(range(number, rows.num_rows, 2)))
        pq.write_table(part, buffer, use_deprecated_int96_timestamps=number == 1)
        s3.put_object(Bucket=bucket, Key=f"{prefix}part-{9 - number}", Body=buffer.getvalue())


def _as_athena_writes(rows: pa.Table) -> pa.Table:
    for index, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            utc = pc.cast(rows.column(index), pa.timestamp("us", tz="UTC"))
            rows = rows.set_column(index, field.name, pc.cast(utc, pa.timestamp("ms")))
    return rows
