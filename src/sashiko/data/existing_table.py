"""Tables of another owner: what a catalog says of them, and copies of them on this machine."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sashiko.contract.glue import is_snapshot, table_sql
from sashiko.contract.manifest import TableSource
from sashiko.contract.model import Column, Contract, ExistingTable, LogicalType
from sashiko.errors import InputError

# A contract's type -> those of Glue, Iceberg and DuckDB that a query casts to it without a loss.
_TYPES: Mapping[LogicalType, str] = {
    "string": "string varchar char", "integer": "tinyint smallint int integer bigint long",
    "number": "float double real decimal", "boolean": "boolean", "date": "date",
    "timestamp": "timestamp timestamptz timestamp_ms timestamp_ns",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CatalogTable:
    """A table as its owner's catalog describes it."""

    lake: ExistingTable  # its own names, where a resource link was followed
    columns: Sequence[Mapping[str, Any]]  # as Glue describes them, the partition keys among them
    is_iceberg: bool  # whether it has snapshots
    properties: Mapping[str, Any]  # Glue's answer

    @property
    def types(self) -> dict[str, str]:
        """Column -> type, both in lower case."""
        return {item["Name"].lower(): item.get("Type", "") for item in self.columns}


def read_table(get_table: Callable[..., Any], lake: ExistingTable) -> CatalogTable:
    """Reads a table by Glue's GetTable, or what calls it.

    The answer for a resource link may lack the columns, so its target's catalog is asked
    ("Accessing the underlying data of a shared table", Lake Formation Developer Guide). A column
    that Iceberg has dropped stays in the answer, with the parameter `iceberg.field.current: false`.

    Raises:
        InputError: if it is a view: it has no snapshots, and no role is granted what it reads.
    """
    own = {"CatalogId": lake.catalog} if lake.catalog else {}
    table = get_table(DatabaseName=lake.database, Name=lake.table, **own)["Table"]
    if target := table.get("TargetTable"):
        names = {"database": target["DatabaseName"], "table": target["Name"]}
        link = lake.model_copy(update=names | {"catalog": target["CatalogId"], "link": lake.place})
        return read_table(get_table, link)
    if table.get("TableType") == "VIRTUAL_VIEW":  # as botocore has it at `ViewOriginalText`
        raise InputError(
            f"{lake.full_name} is a view, which has no snapshots: name the table that it reads"
        )
    columns = table.get("StorageDescriptor", {}).get("Columns", [])
    current = [
        c for c in columns if c.get("Parameters", {}).get("iceberg.field.current") != "false"
    ]
    current += table.get("PartitionKeys", ())
    kind: str = table.get("Parameters", {}).get("table_type", "")
    is_iceberg = kind.upper() == "ICEBERG"
    return CatalogTable(lake=lake, columns=current, is_iceberg=is_iceberg, properties=table)


def logical_type(kind: str) -> LogicalType | None:
    """Returns the contract's type of a catalog's or an engine's, such as `decimal(10,2)`."""
    base = kind.lower().partition("<")[0].partition("(")[0].removesuffix(" with time zone").strip()
    return next((logical for logical, types in _TYPES.items() if base in types.split()), None)


def check_columns(
    types: Mapping[str, str], contract: Contract, columns: Sequence[Column], *, name: str
) -> tuple[str, ...]:
    """Holds a table's columns, name in lower case -> type, against those that are to be read.

    Returns:
        The columns that the contract does not know; they are not read.

    Raises:
        InputError: one line per column that is missing or has another type.
    """
    gained = tuple(sorted(types.keys() - {one.physical_name.lower() for one in contract.columns}))
    more = f"; it has {', '.join(gained)}, which the contract does not name" if gained else ""
    problems = []
    for column in columns:
        kind = types.get(column.physical_name.lower())
        if kind is None:
            problems.append(
                f"{name} shows this reader no column `{column.physical_name}`, which the contract "
                f"`{contract.id}` has: it was dropped or renamed, or its owner does not grant it "
                f"(sashiko env permissions --for-owner){more}"
            )
        elif logical_type(kind) != column.logical_type:
            problems.append(
                f"{name}: column `{column.physical_name}` has type {kind}, the contract "
                f"`{contract.id}` says {column.logical_type}: ask its owner what has changed, and "
                "correct the contract"
            )
    if problems:
        raise InputError("\n".join(problems))
    return gained


def snapshot_sql(lake: ExistingTable, as_of: str) -> str:
    """Returns the query of an Iceberg snapshot's id and commit time, in seconds since 1970.

    Without an id it is that of the branch `main`, which a rollback moves back: the newest commit
    may not be it ("Query Iceberg table metadata", Athena User Guide).
    """
    snapshots, refs = table_sql(lake, "$snapshots"), table_sql(lake, "$refs")
    newest = f"(SELECT snapshot_id FROM {refs} WHERE name = 'main')"  # noqa: S608 - names are quoted
    snapshot = as_of if is_snapshot(as_of) else newest
    columns = "snapshot_id, to_unixtime(committed_at) AS committed_at"
    return f"SELECT {columns} FROM {snapshots} WHERE snapshot_id = {snapshot}"  # noqa: S608 - as above


def pinned(name: str, snapshot_id: object, committed: float) -> TableSource:
    """Returns the record of a snapshot; `committed` is in seconds since 1970."""
    time = dt.datetime.fromtimestamp(round(committed, 3), dt.UTC).isoformat(timespec="milliseconds")
    return TableSource(table=name, snapshot_id=str(snapshot_id), committed_at=time)


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        # Of DuckDB, Arrow, pyiceberg and pydantic, whose errors have no class in common.
        reason = str(error).partition("\n")[0].partition(" Detail:")[0]
        raise InputError(f"{folder} cannot be read: {reason}; copy it again, as a whole") from error


def folder_source(folder: Path, *, as_of: str | None) -> TableSource:
    """Returns what a folder is, and its snapshot `as_of`, by default the newest one.

    Raises:
        InputError: if it has no such snapshot, or nothing to read.
    """
    name = folder.name
    if not any(folder.glob("metadata/*.metadata.json")):
        if as_of is not None or not any(folder.rglob("*.parquet")):
            why = "so no snapshots: leave --as-of out" if as_of else "and no Parquet files"
            raise InputError(f"{folder} has no metadata of an Iceberg table, {why}")
        return TableSource(table=name, snapshot_id=None, committed_at=None)
    with _reading(folder):
        table = _open_iceberg(folder)
    snapshots = {str(one.snapshot_id): one for one in table.snapshots()}
    current = table.current_snapshot()
    version = as_of or str(current.snapshot_id if current else "")
    if version not in snapshots:
        raise InputError(f"{folder} has no snapshot {version}; it has {', '.join(snapshots)}")
    return pinned(name, version, snapshots[version].timestamp_ms / 1000)


def copy_folder(
    folder: Path, contract: Contract, columns: Sequence[Column], source: TableSource, path: Path
) -> int:
    """Copies a version of a table to a Parquet file with the contract's columns; counts the rows.

    Of the contract's columns those that are not in `columns` are empty: no step here reads them.

    Raises:
        InputError: if a column is missing or has another type.
    """
    from sashiko.base.parquet import ROW_GROUP_ROWS, write_batches
    from sashiko.base.scratch import scratch_database, stream_query
    from sashiko.contract.derive import FOLDER_CASTS, arrow_schema, typed_columns

    schema = arrow_schema(contract, "all")
    with _reading(folder), scratch_database(f"read {folder}") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        if source.snapshot_id is None:
            files = [str(file) for file in sorted(folder.rglob("*.parquet"))]
            rows = connection.read_parquet(files, hive_partitioning=True, union_by_name=True)
        else:
            rows = connection.from_arrow(_read_iceberg(folder, int(source.snapshot_id), columns))
        names = [name.lower() for name in rows.columns]
        types = dict(zip(names, map(str, rows.types), strict=True))
        check_columns(types, contract, columns, name=str(folder))
        rows.project(typed_columns(columns, FOLDER_CASTS)).create_view("read")
        connection.from_arrow(schema.empty_table()).create("empty")
        sql = "FROM empty UNION ALL BY NAME FROM read"
        return write_batches(
            path, stream_query(connection, sql, schema=schema, rows=ROW_GROUP_ROWS), schema=schema
        )


def _read_iceberg(folder: Path, snapshot_id: int, columns: Sequence[Column]) -> Any:
    """Streams those of the columns that a snapshot has, as Arrow record batches."""
    table = _open_iceberg(folder)
    schema = table.schemas().get(table.snapshot_by_id(snapshot_id).schema_id, table.schema())
    physical = {column.physical_name.lower() for column in columns}
    names = tuple(field.name for field in schema.fields if field.name.lower() in physical)
    return table.scan(selected_fields=names, snapshot_id=snapshot_id).to_arrow_batch_reader()


def _open_iceberg(folder: Path) -> Any:
    """Opens an Iceberg table by its newest metadata, wherever its folder was copied from."""
    from pyiceberg.io.pyarrow import PyArrowFileIO
    from pyiceberg.table import StaticTable

    versions = [
        StaticTable.from_metadata(str(file.resolve()))
        for file in sorted(folder.glob("metadata/*.metadata.json"))
    ]
    table = max(versions, key=lambda version: version.metadata.last_updated_ms)
    origin, here = f"{table.location().rstrip('/')}/", folder.resolve()

    class CopiedFiles(PyArrowFileIO):
        """Finds the files that the metadata names in the folder."""

        def new_input(self, location: str) -> Any:
            file = (here / location.removeprefix(origin)).resolve()
            if not location.startswith(origin) or not file.is_relative_to(here):
                raise InputError(f"{folder}: the table has files elsewhere: {location}; copy all")
            return super().new_input(str(file))

    table.io = CopiedFiles()
    return table
