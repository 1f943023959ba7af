"""The lake that the snapshot steps read, local or in an account."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from sashiko.contract.model import Contract, View
from sashiko.errors import InputError

_ATHENA = re.compile(r"([A-Za-z0-9._-]{1,128})/([a-z0-9_]{1,255})")


class Lake(Protocol):
    """A lake with governed views."""

    def query(self, contract: Contract, view: View, *, as_of: str) -> str:
        """Returns the SELECT of a view, which `rows` runs."""
        ...

    def rows(
        self, contract: Contract, view: View, *, as_of: str, is_sorted: bool = True
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        """Checks the table against its contract and streams a view's rows, sorted by key.

        The record batches have the contract's Arrow types; memory does not grow with the rows.
        `as_of` is the version of the table's data. Without `is_sorted` the rows come in any order,
        and take half the memory.

        Raises:
            InputError: if the table is missing, empty or does not fit the contract, cannot be read,
                or has no such version.
        """
        ...


def open_lake(uri: str) -> Lake:
    """Returns the lake of a `LakeUri` without reading it.

    Raises:
        InputError: if the URI is neither `duckdb://<folder>` nor `athena://<workgroup>/<database>`.
    """
    from sashiko.data.athena_lake import AthenaLake
    from sashiko.data.duckdb_lake import DuckDbLake

    scheme, _, rest = uri.partition("://")
    if scheme == "duckdb" and rest:
        return DuckDbLake(folder=Path(rest))
    if scheme == "athena" and (match := _ATHENA.fullmatch(rest)):
        return AthenaLake(workgroup=match[1], database=match[2])
    raise InputError(
        f"lake {uri}: expected duckdb://<folder of the local lake> or "
        "athena://<workgroup>/<database>"
    )
