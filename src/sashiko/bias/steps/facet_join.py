"""Joins rows with their facets by key in a scratch database, with bounded memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sashiko.base.parquet import (
    ROW_GROUP_ROWS,
    check_keys,
    empty_facet_error,
    missing_keys_error,
    stream_columns,
)
from sashiko.base.scratch import insert, scratch_database, stream_query
from sashiko.bias.clarify.contract_config import GROUP_VARIABLE
from sashiko.contract.derive import outcomes
from sashiko.contract.model import Contract
from sashiko.errors import InputError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def facets_of(
    rows: pa.Table, contract: Contract, *, source: Path, facets_file: Path
) -> dict[str, pa.ChunkedArray]:
    """Returns the facets of rows, and their group variable if the contract has one.

    Returns:
        Name -> strings, in the order of `rows`; the group variable's name is `group_variable`.

    Raises:
        InputError: as `FacetJoin.run` does.
    """
    with scratch_database(f"join {source} and {facets_file}") as database:
        join = FacetJoin(database, contract, source=source, facets_file=facets_file)
        join.add(rows.append_column("place", pa.array(np.arange(rows.num_rows))))
        join.run()
        facets = pa.Table.from_batches(join.facets(order="place"))
    return dict(zip(join.names, facets.columns, strict=True))


@dataclass(frozen=True)
class FacetJoin:
    """Rows with a key and a label, and their facets; the SQL columns are `f0`, `f1` and so on."""

    connection: "DuckDBPyConnection"  # of an empty database
    contract: Contract
    source: Path  # the rows' file, for errors
    facets_file: Path

    @cached_property
    def names(self) -> dict[str, str]:
        """Name of a facet, or `group_variable` -> its column of the snapshot."""
        group = self.contract.group_variable
        names = {facet.column: facet.column for facet in self.contract.facets}
        return names if group is None else names | {GROUP_VARIABLE: group}

    def add(self, rows: pa.Table) -> None:
        """Appends rows: key, label (a class's index) and any columns to return later."""
        insert(self.connection, "rows", rows)

    def run(self) -> int:
        """Joins all added rows and returns their number.

        Raises:
            InputError: if a key is duplicated or has no facets, a facet is empty, or the labels of
                the two sides differ.
        """
        key, label = self.contract.key, self.contract.label
        names = [f"f{place}" for place in range(len(self.names))]
        for batch in stream_columns(self.facets_file, [key, label.column, *self.names.values()]):
            texts = [column.cast(pa.string()) for column in batch.columns]
            texts[1] = outcomes(batch[label.column], self.contract)
            insert(self.connection, "facets", pa.table(texts, ["key", "label_text", *names]))
        ((rows,),) = self._query("SELECT count(*) FROM rows")
        check_keys(self.connection, "rows", column="key", source=self.source)
        check_keys(self.connection, "facets", column=key, source=self.facets_file)
        ((missing, example),) = self._query(
            "SELECT count(*), min(key) FROM rows ANTI JOIN facets USING (key)"
        )
        if missing:
            raise missing_keys_error(
                missing, rows, example, source=self.source, among_source=self.facets_file
            )
        self._query("CREATE TABLE joined AS FROM rows JOIN facets USING (key)")
        ((mismatches, example),) = self._query(
            "SELECT count(*), min(key) FROM joined "
            "WHERE coalesce(list_position($1, label_text) - 1 <> label, true)",
            list(self.contract.classes),
        )
        if mismatches:
            raise InputError(
                f"{self.source}: {mismatches} labels, such as that of key {example!r}, differ "
                f"from column `{label.column}` of {self.facets_file}; both must come from the "
                "same snapshot"
            )
        for name, column in zip(names, self.names.values(), strict=True):
            sql = f"SELECT count(*) FROM joined WHERE coalesce({name}, '') = ''"  # noqa: S608 - the code's own name
            ((empty,),) = self._query(sql)
            if empty:
                raise empty_facet_error(column, empty, rows, source=self.facets_file)
        return int(rows)

    def facets(
        self, *integers: str, numbers: Sequence[str] = (), order: str, where: str = "true"
    ) -> Iterator[pa.RecordBatch]:
        """Yields columns of the rows, as int64 and float64, then the facets, as strings.

        `where` is the SQL condition of the rows.
        """
        columns = [*integers, *numbers, *(f"f{place}" for place in range(len(self.names)))]
        kinds = [*(pa.int64() for _ in integers), *(pa.float64() for _ in numbers)]
        kinds += [pa.string() for _ in self.names]
        return stream_query(
            self.connection,
            f"SELECT {', '.join(columns)} FROM joined WHERE {where} ORDER BY {order}",  # noqa: S608 - the code's own names
            schema=pa.schema(zip(columns, kinds, strict=True)),
            rows=ROW_GROUP_ROWS,
        )

    def _query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.connection.execute(sql, list(values)).fetchall()
        return rows
