"""The lake that the snapshot steps read, local or in an account."""

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from sashiko.base.files import read_json, sha256_tree
from sashiko.base.parquet import ROW_GROUP_ROWS, open_parquet
from sashiko.base.scratch import scratch_database, stream_query
from sashiko.base.yaml_models import validate
from sashiko.contract.derive import ARROW_TYPES, Period, arrow_schema, select_sql
from sashiko.contract.glue import NOTHING_LOADED
from sashiko.contract.manifest import TableSource
from sashiko.contract.model import Contract, View
from sashiko.errors import InputError

_ATHENA = re.compile(r"([A-Za-z0-9._-]{1,128})/([a-z0-9_]{1,255})")


class Lake(Protocol):
    """A lake with governed views."""

    def source(self, contract: Contract, view: View, *, as_of: str) -> TableSource | None:
        """Checks and returns the table of another owner that is read; None of the lake's own."""
        ...

    def query(
        self, contract: Contract, view: View, *, as_of: str, period: Period | None = None
    ) -> str:
        """Returns the SELECT of a view, which `rows` runs."""
        ...

    def rows(
        self,
        contract: Contract,
        view: View,
        *,
        as_of: str,
        is_sorted: bool = True,
        period: Period | None = None,
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        """Checks the table against its contract and streams a view's rows, sorted by key.

        The record batches have the contract's Arrow types; memory does not grow with the rows.
        `as_of` is the version of the table's data. Without `is_sorted` the rows come in any order,
        and take half the memory. With a `period` there may be none.

        Raises:
            InputError: if the table is missing, empty or does not fit the contract, cannot be read,
                or has no such version.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class DuckDbLake:
    """The local lake: a folder of Parquet files per table; a table's version is their digest."""

    folder: Path

    def version(self, table: str) -> str:
        """Returns the version of a table; `NOTHING_LOADED` if it has none yet."""
        folder = self.folder / table
        return sha256_tree(folder) if any(folder.glob("*.parquet")) else NOTHING_LOADED

    def source(self, contract: Contract, view: View, *, as_of: str) -> TableSource | None:  # noqa: ARG002 - the protocol's
        """Returns the folder that the table was copied from, if it was."""
        record = self.folder / f"{contract.table}.source.json"
        source = read_json(record).get("folder") if record.is_file() else None
        return None if source is None else validate(TableSource, source, source=str(record))

    def query(
        self,
        contract: Contract,
        view: View,
        *,
        as_of: str,  # noqa: ARG002 - the files are the version
        period: Period | None = None,
    ) -> str:
        """Returns the governed SELECT."""
        return select_sql(contract, view, period=period)

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
        folder = self.folder / contract.table
        files = sorted(folder.glob("*.parquet"))
        if not files:
            raise InputError(
                f"{folder}: no Parquet files; load table `{contract.table}` into the lake first"
            )
        if not sum(check_file(file, contract, "all") for file in files):
            raise InputError(f"{folder}: the table has no rows; load the data into the lake again")
        version = self.version(contract.table)
        if version != as_of:
            raise InputError(
                f"{folder}: the lake has version {version[:12]} and the run was started for "
                f"{as_of[:12]}; start a new run, and load no data during a run"
            )
        with view_rows(files, contract, view, is_sorted=is_sorted, period=period) as batches:
            yield batches


@contextmanager
def view_rows(
    files: Sequence[Path],
    contract: Contract,
    view: View,
    *,
    is_sorted: bool,
    period: Period | None = None,
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Runs a view's governed SELECT over Parquet files and streams its rows, sorted by key or not.

    The record batches have the contract's Arrow types. DuckDB sorts in a temporary folder, so
    memory does not grow with the rows. The files may have other columns too.

    Raises:
        InputError: if the disk is full.
    """
    with scratch_database(f"read {files[0].parent}") as connection:
        if period:
            connection.execute("SET TimeZone = 'UTC'")
        connection.read_parquet([str(file) for file in files]).create_view(contract.table)
        yield stream_query(
            connection,
            select_sql(contract, view, is_sorted=is_sorted, period=period),
            schema=arrow_schema(contract, view),
            rows=ROW_GROUP_ROWS,
        )


def check_file(file: Path, contract: Contract, view: View, *, zoneless: bool = False) -> int:
    """Checks that a Parquet file has a view's columns only, in the contract's types; counts rows.

    With `zoneless`, times have any unit and no zone, and mean UTC.

    Raises:
        InputError: if the file is cut off, or a column is missing, unknown or of another type.
    """
    with open_parquet(file) as parquet:
        types = {field.name: field.type for field in parquet.schema_arrow}
        rows = int(parquet.metadata.num_rows)
    expected = {field.name: field.type for field in arrow_schema(contract, view)}
    for name, kind in expected.items():
        if name not in types:
            raise InputError(
                f"{file}: column `{name}` is missing; the contract `{contract.id}` asks for it"
            )
        time = zoneless and pa.types.is_timestamp(types[name])
        if (ARROW_TYPES["timestamp"] if time else types[name]) != kind:
            raise InputError(
                f"{file}: column `{name}` has type {types[name]}, the contract `{contract.id}` "
                f"says {contract.column(name).logical_type} ({kind}); load it again as that"
            )
    for extra in sorted(types.keys() - expected.keys()):
        raise InputError(
            f"{file}: column `{extra}` is not in the contract `{contract.id}`; "
            "describe and classify it there, or leave it out of the table"
        )
    return rows


def open_lake(uri: str) -> Lake:
    """Returns the lake of a `LakeUri` without reading it.

    Raises:
        InputError: if the URI is neither `duckdb://<folder>` nor `athena://<workgroup>/<database>`.
    """
    from sashiko.data.athena_lake import AthenaLake

    scheme, _, rest = uri.partition("://")
    if scheme == "duckdb" and rest:
        return DuckDbLake(folder=Path(rest))
    if scheme == "athena" and (match := _ATHENA.fullmatch(rest)):
        return AthenaLake(workgroup=match[1], database=match[2])
    raise InputError(
        f"lake {uri}: expected duckdb://<folder of the local lake> or "
        "athena://<workgroup>/<database>"
    )
