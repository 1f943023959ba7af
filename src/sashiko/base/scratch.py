"""A temporary DuckDB database that spills to disk."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from sashiko.errors import InputError

Connection = Any  # `duckdb.DuckDBPyConnection`; DuckDB has no types, and is loaded late


@contextmanager
def scratch_database(purpose: str, *, memory_mb: int = 256) -> Iterator[Connection]:
    """Opens an empty DuckDB database with a memory limit.

    `purpose` follows "cannot" in errors, such as "sort the rows of ...".

    Raises:
        InputError: if the disk is full, or DuckDB cannot read a file.
    """
    import duckdb

    threads = int(os.environ.get("OMP_NUM_THREADS", "2"))
    with (
        tempfile.TemporaryDirectory(prefix="sashiko-scratch-") as spill,
        duckdb.connect(
            config={"threads": threads, "memory_limit": f"{memory_mb}MB", "temp_directory": spill}
        ) as connection,
    ):
        try:
            yield connection
        except duckdb.IOException as error:
            raise InputError(f"cannot {purpose}: {' '.join(str(error).split())}") from error
        except duckdb.OutOfMemoryException as error:
            raise InputError(
                f"cannot {purpose}: {' '.join(str(error).split())}; free some space below "
                f"{Path(spill).parent}"
            ) from error


def insert(connection: Connection, table: str, rows: pa.Table) -> None:
    """Appends rows to a table, created by the first call.

    `table` is a trusted identifier.
    """
    connection.register("incoming", rows)
    definition = f"{table} AS SELECT * FROM incoming LIMIT 0"  # noqa: S608 - the code's own name
    connection.execute(f"CREATE TABLE IF NOT EXISTS {definition}")
    connection.execute(f"INSERT INTO {table} SELECT * FROM incoming")  # noqa: S608 - likewise
    connection.unregister("incoming")


def create_file_view(
    connection: Connection, view: str, files: Sequence[Path], *, schema: pa.Schema
) -> None:
    """Creates a view of Parquet files; a column that an older file lacks is null there.

    `view` is a trusted identifier.
    """
    connection.from_arrow(schema.empty_table()).create(f"{view}_columns")
    paths = [str(file) for file in files]
    connection.read_parquet(paths, union_by_name=True).create_view(f"{view}_files")
    connection.execute(
        f"CREATE VIEW {view} AS FROM {view}_columns UNION ALL BY NAME FROM {view}_files"
    )


def stream_query(
    connection: Connection, sql: str, *, schema: pa.Schema, rows: int
) -> Iterator[pa.RecordBatch]:
    """Runs a query and streams its result.

    `schema` has names and types of its columns, in order; DuckDB's types are cast to them.
    """
    for batch in connection.sql(sql).to_arrow_reader(rows):
        # DuckDB labels UTC times with the machine's time zone; the instants are the same.
        yield batch.rename_columns(schema.names).cast(schema)
