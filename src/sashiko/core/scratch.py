"""A database for the length of one piece of work: what memory does not hold goes to disk."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from sashiko.errors import InputError

if TYPE_CHECKING:
    import duckdb


@contextmanager
def scratch_database(
    purpose: str, *, memory_mb: int = 256
) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Opens an empty DuckDB database that keeps so much in memory at most.

    Args:
        purpose: what cannot be done where it fails, for the error: "sort the rows of ...".
        memory_mb: in megabytes.

    Raises:
        InputError: if there is no disk left, or a file that DuckDB reads fails it.
    """
    import duckdb

    threads = int(os.environ.get("OMP_NUM_THREADS", "2"))
    with (
        tempfile.TemporaryDirectory(prefix="sashiko-scratch-") as spill,
        duckdb.connect(
            config={
                "threads": threads,
                "memory_limit": f"{memory_mb}MB",
                "temp_directory": spill,
            }
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


def insert(connection: "duckdb.DuckDBPyConnection", table: str, rows: pa.Table) -> None:
    """Appends rows to a table of the database, which the first of them make.

    Args:
        connection: the database.
        table: its name, an identifier of the code's own.
        rows: with the same columns each time.
    """
    connection.register("incoming", rows)
    selected = f"{table} AS SELECT * FROM incoming LIMIT 0"  # noqa: S608 - the code's own name
    connection.execute(f"CREATE TABLE IF NOT EXISTS {selected}")
    connection.execute(f"INSERT INTO {table} SELECT * FROM incoming")  # noqa: S608 - likewise
    connection.unregister("incoming")


def read_back(
    connection: "duckdb.DuckDBPyConnection", sql: str, *, schema: pa.Schema, rows: int
) -> Iterator[pa.RecordBatch]:
    """Runs a query and streams what it finds.

    Args:
        connection: the database.
        sql: the query.
        schema: names and types of its columns, in order; DuckDB's own types are cast to them.
        rows: of a batch.
    """
    for batch in connection.sql(sql).to_arrow_reader(rows):
        # DuckDB labels UTC times with the machine's own zone, and times without a zone with none;
        # the instants are the same.
        yield batch.rename_columns(schema.names).cast(schema)
