"""Athena unloads: moto's runs no query. DuckDB does here, on a lake's files in S3."""

import io
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.athena.models import AthenaBackend

_UNLOAD = re.compile(r"UNLOAD \((.*)\) TO 's3://([^/]+)/(.*)' WITH \(format = 'PARQUET', .*\)")


def unloading(
    client: Callable[[str, str], Any],
    *,
    lake: str = "",
    rewrite: Callable[[Any, str], str] = lambda _, select: select,
) -> Callable[..., str]:
    """Returns moto's StartQueryExecution that writes the files that Athena would write.

    A table is read as a Hive table with one partition key: the statement's own text decides which
    rows and columns come out. As with Athena, the files come in no order of their own, times are
    milliseconds without a zone, and a prefix that holds something is refused. `client` makes one by
    service and region; `lake` is the tables' bucket, else Glue's; `rewrite` changes a SELECT.
    """
    start: Callable[..., str] = AthenaBackend.start_query_execution

    def start_execution(
        backend: AthenaBackend, query: str, context: Any, *rest: Any, **more: Any
    ) -> str:
        s3, glue = (client(name, backend.region_name) for name in ("s3", "glue"))
        _unload(s3, query, lake or _bucket(glue, context["Database"], query), rewrite)
        return start(backend, query, context, *rest, **more)

    return start_execution


def _bucket(glue: Any, database: str, query: str) -> str:
    tables = glue.get_tables(DatabaseName=database)["TableList"]
    (table,) = (item for item in tables if f'FROM "{item["Name"]}"' in query)
    return str(table["StorageDescriptor"]["Location"]).split("/")[2]


def _unload(s3: Any, statement: str, lake: str, rewrite: Callable[[Any, str], str]) -> None:
    import duckdb
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    parts = _UNLOAD.fullmatch(statement)
    assert parts, statement
    select, bucket, prefix = parts.groups()
    assert not s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["KeyCount"], prefix
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        for item in s3.list_objects_v2(Bucket=lake)["Contents"]:
            file = Path(folder, item["Key"])
            file.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(lake, item["Key"], str(file))
        connection.execute("SET TimeZone = 'UTC'")
        for table in Path(folder).iterdir():
            if files := [str(file) for file in table.glob("*/*.parquet")]:
                connection.read_parquet(files, hive_partitioning=True).create_view(table.name)
        rows = connection.sql(rewrite(connection, select)).to_arrow_table()
    for index, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            utc = pc.cast(rows.column(index), pa.timestamp("us", tz="UTC"))
            rows = rows.set_column(index, field.name, pc.cast(utc, pa.timestamp("ms")))
    # Every other row, each file in the order of the key, and int96 in one of them.
    for number in range(min(2, rows.num_rows)):
        buffer = io.BytesIO()
        part = rows.take(pa.array(range(number, rows.num_rows, 2)))
        pq.write_table(part, buffer, use_deprecated_int96_timestamps=number == 1)
        s3.put_object(Bucket=bucket, Key=f"{prefix}part-{9 - number}", Body=buffer.getvalue())
