"""Deduplicates and limits the splits' rows in a scratch database, with bounded memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sashiko.base.joining import check_keys
from sashiko.base.parquet import ROW_GROUP_ROWS
from sashiko.base.scratch import insert, stream_query
from sashiko.contract.model import Contract
from sashiko.data.splits import SPLITS, SplitSummary
from sashiko.errors import InputError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SCHEMA = pa.schema({"key": pa.string(), "text": pa.string(), "label": pa.int64()})


@dataclass(frozen=True)
class RetainedRows:
    """The rows that remain in the splits."""

    splits: Mapping[str, SplitSummary]  # split name -> its summary; a split without rows has none
    # Later split -> rows removed because an earlier split has their text.
    removed_repeats: dict[str, int]
    removed_over_limit: int  # rows removed by the limits of the splits


@dataclass
class SplitTable:
    """Rows with key, text, label, digest of the text, split, and the columns of the slices.

    In SQL the slices' columns are `s0`, `s1` and so on, since a contract may use any name.
    """

    connection: "DuckDBPyConnection"  # of an empty database
    contract: Contract
    source: Path  # the snapshot, for errors
    _slices: pa.Schema = field(default_factory=lambda: pa.schema([]), init=False)

    def add(self, rows: pa.Table, slices: pa.Table) -> None:
        """Appends rows (key, text, label, digest, split) and the columns that slice them."""
        self._slices = slices.schema.remove_metadata()
        for place, column in enumerate(slices.columns):
            rows = rows.append_column(f"s{place}", column)
        insert(self.connection, "rows", rows)

    def check(self) -> None:
        """Checks that keys are unique and not null, and that labels are the contract's.

        Raises:
            InputError: names the number of bad rows and examples.
        """
        check_keys(self.connection, "rows", column=self.contract.key, source=self.source)
        label = self.contract.label
        unknown = self._run(
            "SELECT label, count(*) FROM rows WHERE label IS NULL OR label NOT IN ($1, $2) "
            "GROUP BY label ORDER BY count(*) DESC, label LIMIT 5",
            label.negative,
            label.positive,
        )
        if unknown:
            labels = ", ".join(f"{value!r} in {count} rows" for value, count in unknown)
            raise InputError(
                f"{self.source}: label column `{label.column}` has {labels}; the contract's label "
                f"is {label.negative!r} or {label.positive!r}: correct the data or the contract"
            )

    def keep(self, limits: Mapping[str, int | None]) -> RetainedRows:
        """Decides which rows stay.

        A row of a later split is removed if an earlier split has its text: a text that was used
        for training or for the threshold cannot measure quality on new texts. The row in the
        earlier split stays, so that later data never shrinks train.

        `limits` maps a split to the number of rows that may stay, those with the lowest SHA-256 of
        their key. A hash gives an unbiased sample that is stable when other rows are added or
        removed; the first rows would be the oldest, or those of one branch.
        """
        self._run(
            "CREATE TABLE owners AS SELECT digest, min(split) AS split FROM rows GROUP BY digest"
        )
        self._run(
            "CREATE TABLE kept AS SELECT key, digest, split, label = $1 AS positive FROM rows "
            "SEMI JOIN owners USING (digest, split)",
            self.contract.label.positive,
        )
        before, after = self._count("rows"), self._count("kept")
        for name, most in limits.items():
            if most is not None and after[name] > most:
                self._remove_spare(name, most)
        self._check_disjoint()
        return RetainedRows(
            splits=self._summaries(),
            removed_repeats={name: before[name] - after[name] for name in SPLITS[1:]},
            removed_over_limit=sum(after.values()) - sum(self._count("kept").values()),
        )

    def _remove_spare(self, name: str, most: int) -> None:
        self._run(
            "DELETE FROM kept WHERE key IN (SELECT key FROM kept WHERE split = $1 "
            "ORDER BY sha256($2 || key) OFFSET $3)",
            SPLITS.index(name),
            f"{name}_rows:",
            most,
        )

    def rows(self, split: str) -> Iterator[pa.RecordBatch]:
        """Yields a split's remaining rows, of type `SCHEMA`, ordered by key."""
        return self._stream("key, text, positive::BIGINT", split, SCHEMA)

    def slices(self, split: str) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """Returns schema and rows of the slices' columns, followed by the key."""
        schema = pa.schema([*self._slices, SCHEMA.field("key")])
        columns = [f"s{place}" for place in range(len(self._slices))]
        return schema, self._stream(", ".join([*columns, "key"]), split, schema)

    def _stream(self, columns: str, split: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        return stream_query(
            self.connection,
            f"SELECT {columns} FROM rows JOIN kept USING (key) "  # noqa: S608 - the code's own names
            f"WHERE kept.split = {SPLITS.index(split)} ORDER BY key",
            schema=schema,
            rows=ROW_GROUP_ROWS,
        )

    def _check_disjoint(self) -> None:
        """Asserts that no text is in two splits."""
        shared = self._run(
            "SELECT min(split), max(split) FROM kept GROUP BY digest "
            "HAVING min(split) < max(split) LIMIT 1"
        )
        if shared:
            first, second = (SPLITS[index] for index in shared[0])
            raise AssertionError(f"one text is in both {first} and {second}")

    def _count(self, table: str) -> dict[str, int]:
        counts = dict(self._run(f"SELECT split, count(*) FROM {table} GROUP BY split"))  # noqa: S608 - one of two names
        return {name: counts.get(index, 0) for index, name in enumerate(SPLITS)}

    def _summaries(self) -> dict[str, SplitSummary]:
        groups = self._run(
            "SELECT split, sum(n), sum(p), count(*), sum(n) FILTER (p > 0 AND p < n) FROM ("
            "SELECT split, digest, count(*) AS n, count(*) FILTER (positive) AS p "
            "FROM kept GROUP BY split, digest) GROUP BY split"
        )
        return {
            SPLITS[split]: SplitSummary(
                rows=int(rows),
                positive_rate=int(positive) / int(rows),
                repeated_rows=int(rows) - texts,
                contradicting_rows=int(contradicting or 0),
            )
            for split, rows, positive, texts, contradicting in groups
        }

    def _run(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.connection.execute(sql, list(values)).fetchall()
        return rows
