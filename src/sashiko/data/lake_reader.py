"""The lake that the snapshot steps read, and the one place that picks its engine."""

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
    """A lake that can be asked for the rows of a governed view."""

    def query(self, contract: Contract, view: View, *, as_of: str) -> str:
        """Returns the SELECT that stands for a view here: the one that `rows` runs."""
        ...

    def rows(
        self, contract: Contract, view: View, *, as_of: str
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        """Checks the table against its contract and streams a view's rows.

        Args:
            contract: the data contract; it names the table.
            view: `training` or `facets`.
            as_of: the version of the table's data.

        Returns:
            A context that gives record batches with the contract's Arrow types, in the order of
            the key, in memory that does not grow with the rows.

        Raises:
            InputError: if the table is missing, empty or does not fit the contract, cannot be read,
                or holds no such version.
        """
        ...


def open_lake(uri: str) -> Lake:
    """Returns the lake of a `LakeUri`; nothing is read yet.

    Raises:
        InputError: if the URI is neither `duckdb://<folder>` nor `athena://<workgroup>/<database>`.
    """
    from sashiko.data.athena.lake import AthenaLake
    from sashiko.data.duckdb_lake import DuckDbLake

    scheme, _, rest = uri.partition("://")
    if scheme == "duckdb" and rest:
        return DuckDbLake(folder=Path(rest))
    if scheme == "athena" and (named := _ATHENA.fullmatch(rest)):
        return AthenaLake(workgroup=named[1], database=named[2])
    raise InputError(
        f"lake {uri}: expected duckdb://<folder of the local lake> or "
        "athena://<workgroup>/<database>"
    )
