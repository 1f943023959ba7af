"""Athena's queries: moto's runs none. DuckDB does here, on the tables' files in S3."""

import io
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.athena.models import AthenaBackend, QueryResults

_UNLOAD = re.compile(r"UNLOAD \((.*)\) TO 's3://([^/]+)/(.*)' WITH \(format = 'PARQUET', .*\)")
# The version as "Perform time travel and version travel queries" of the Athena User Guide has it.
_FROM = re.compile(r'FROM (?:"(\w+)"\.)?"(\w+)(\$\w+)?"(?: FOR VERSION AS OF (\d+))?')
_TRINO = """SET TimeZone = 'UTC'; CREATE MACRO to_unixtime(time) AS epoch(time);
CREATE MACRO to_utf8(text) AS text; CREATE MACRO xxhash64(text) AS hash(text)"""
# Of an Iceberg table: each load is a snapshot of its name, and `main` refers to the newest.
_METADATA = {
    "$snapshots": "SELECT DISTINCT as_of::BIGINT AS snapshot_id, "
    "make_timestamptz(as_of::BIGINT * 1000000) AS committed_at",
    "$refs": "SELECT 'main' AS name, max(as_of::BIGINT) AS snapshot_id",
}


def unloading(client: Callable[[str, str], Any]) -> Callable[..., str]:
    """Returns moto's StartQueryExecution that runs a SELECT or an UNLOAD of one.

    A table is read as a Hive table with one partition key: the statement's own text decides which
    rows and columns come out. An Iceberg table is read with a version alone. As with Athena, the
    files come in no order of their own, times are milliseconds without a zone, and a prefix that
    holds something is refused. `client` makes one by service and region.
    """
    start: Callable[..., str] = AthenaBackend.start_query_execution

    def start_execution(
        backend: AthenaBackend, query: str, context: Any, *rest: Any, **more: Any
    ) -> str:
        s3, glue = (client(name, backend.region_name) for name in ("s3", "glue"))
        unload = _UNLOAD.fullmatch(query)
        rows = _rows(s3, glue, unload[1] if unload else query, context["Database"])
        if unload:
            _write(s3, rows, *unload.groups()[1:])
        execution = start(backend, query, context, *rest, **more)
        if not unload:
            texts = [rows.column_names, *(map(str, row.values()) for row in rows.to_pylist())]
            data = [{"Data": [{"VarCharValue": text} for text in line]} for line in texts]
            backend.query_results[execution] = QueryResults(data, [])
        return execution

    return start_execution


def _rows(s3: Any, glue: Any, select: str, database: str) -> Any:
    """Returns the rows of a SELECT as an Arrow table."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute(_TRINO)

        def source(match: re.Match[str]) -> str:
            other, name, metadata, version = match.groups()
            table = _table(glue, other or database, name)
            view = f"at_{match.start()}"
            files = _files(s3, table["StorageDescriptor"]["Location"], Path(folder, view))
            connection.read_parquet(files, hive_partitioning=True).create_view(view)
            if table.get("Parameters", {}).get("table_type") != "ICEBERG":
                return f"FROM {view}"
            if metadata:
                return f"FROM ({_METADATA[metadata]} FROM {view})"
            rows = f"FROM {view} WHERE as_of = '{version}'"
            assert connection.sql(rows).limit(1).fetchall(), (
                f"no Iceberg snapshot {version}: {select}"
            )
            return f"FROM (SELECT * EXCLUDE (as_of) {rows})"

        return connection.sql(_FROM.sub(source, select)).to_arrow_table()


def _table(glue: Any, database: str, name: str) -> Any:
    """Returns a table, or the one that a resource link leads to."""
    table = glue.get_table(DatabaseName=database, Name=name)["Table"]
    if target := table.get("TargetTable"):
        return _table(glue, target["DatabaseName"], target["Name"])
    return table


def _files(s3: Any, location: str, folder: Path) -> list[str]:
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
        if item["Key"].endswith(".parquet"):
            file = folder / item["Key"].removeprefix(prefix)
            file.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, item["Key"], str(file))
    return [*map(str, folder.rglob("*.parquet"))]


def _write(s3: Any, rows: Any, bucket: str, prefix: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    assert not s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["KeyCount"], prefix
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
