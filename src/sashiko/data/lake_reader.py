"""Reads a table of the local lake through DuckDB, and nothing that its contract does not know."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from sashiko.contract.derive import arrow_schema
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.files import sha256_tree
from sashiko.parquet import ROW_GROUP_ROWS, open_parquet

# DuckDB sorts what is larger on disk.
_MEMORY = "1GB"


def lake_folder(uri: str) -> Path:
    """Returns the folder of a `duckdb://<folder>` lake.

    Raises:
        InputError: for any other lake; `athena://` arrives with the cloud stacks.
    """
    scheme, separator, rest = uri.partition("://")
    if scheme == "duckdb" and separator and rest:
        return Path(rest)
    if scheme == "athena":
        raise InputError(
            f"lake {uri}: reading through Athena arrives with the cloud stacks; "
            "use duckdb://<folder of the local lake>"
        )
    raise InputError(f"lake {uri}: expected duckdb://<folder of the local lake>")


def check_table(folder: Path, contract: Contract, *, as_of: str) -> None:
    """Checks that a table has the contract's columns and is of the expected version.

    Args:
        folder: the table's folder, with Parquet files.
        contract: the data contract.
        as_of: the content hash that the pipeline was started with.

    Raises:
        InputError: if the table is missing or empty, a file is cut off, a column is missing, too
            many or of another type, or the data are not those of `as_of`.
    """
    files = _files(folder, contract)
    rows = sum(_check_file(file, contract) for file in files)
    if not rows:
        raise InputError(f"{folder}: the table has no rows; load the data into the lake again")
    found = sha256_tree(folder)
    if found != as_of:
        raise InputError(
            f"{folder}: the lake holds version {found[:12]} and the run was started for "
            f"{as_of[:12]}; start a new run, and load no data while one is going on"
        )


@contextmanager
def query(folder: Path, contract: Contract, sql: str) -> Iterator[Iterator[pa.RecordBatch]]:
    """Runs a SELECT over a table of the lake and streams its rows.

    Memory does not grow with the rows: what DuckDB cannot hold while it sorts goes to a temporary
    folder.

    Args:
        folder: the table's folder.
        contract: the data contract; the table's name in `sql` is the contract's.
        sql: the SELECT.

    Yields:
        Record batches with the contract's Arrow types, in the order of the SELECT.

    Raises:
        InputError: if there is no disk left to sort on.
    """
    import duckdb

    threads = int(os.environ.get("OMP_NUM_THREADS", "2"))
    with (
        tempfile.TemporaryDirectory() as spill,
        duckdb.connect(
            config={"threads": threads, "memory_limit": _MEMORY, "temp_directory": spill}
        ) as connection,
    ):
        try:
            files = [str(file) for file in _files(folder, contract)]
            connection.read_parquet(files).create_view(contract.table)
            reader = connection.sql(sql).to_arrow_reader(ROW_GROUP_ROWS)
            names = set(reader.schema.names)
            schema = pa.schema(f for f in arrow_schema(contract, "all") if f.name in names)
            # DuckDB labels UTC times with the machine's own zone; the instants are the same.
            yield (batch.select(schema.names).cast(schema) for batch in reader)
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            raise InputError(f"cannot read {folder}: {' '.join(str(error).split())}") from error


def _files(folder: Path, contract: Contract) -> list[Path]:
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise InputError(
            f"{folder}: no Parquet files; load table `{contract.table}` into the lake first"
        )
    return files


def _check_file(file: Path, contract: Contract) -> int:
    """Checks a file's columns and returns its number of rows."""
    with open_parquet(file) as parquet:
        found = {field.name: field.type for field in parquet.schema_arrow}
        rows = int(parquet.metadata.num_rows)
    wanted = {field.name: field.type for field in arrow_schema(contract, "all")}
    for name, kind in wanted.items():
        if name not in found:
            raise InputError(
                f"{file}: column `{name}` is missing; the contract `{contract.id}` asks for it"
            )
        if found[name] != kind:
            raise InputError(
                f"{file}: column `{name}` has type {found[name]}, the contract `{contract.id}` "
                f"says {contract.column(name).logical_type} ({kind}); load it again as that"
            )
    extra = sorted(set(found) - set(wanted))
    if extra:
        raise InputError(
            f"{file}: column `{extra[0]}` is not in the contract `{contract.id}`; "
            "describe and classify it there, or leave it out of the table"
        )
    return rows
