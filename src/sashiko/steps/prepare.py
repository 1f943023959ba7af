"""Prepare: splits the governed training view into train, validation and test.

    python -m sashiko.steps.prepare

Inputs `config` (contract, data, text) and `data` (the snapshot, or a transformation of it);
outputs `train`, `validation`, `test` (each `data.parquet` with key, text, label, the text's columns
as a JSON object, which a linear model reads, and the value of a label that is a number), `slices`
(the test rows' columns, by which Evaluate slices them) and `meta` (`split.json`, and
`snapshots.json`: the snapshot's digest).
"""

import argparse
import datetime as dt
import hashlib
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sashiko.base.files import write_json
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.base.parquet import (
    ROW_GROUP_ROWS,
    check_keys,
    read_columns,
    stream_columns,
    write_batches,
)
from sashiko.base.scratch import insert, scratch_database, stream_query
from sashiko.contract.derive import outcomes
from sashiko.contract.manifest import training_snapshot, write_snapshots
from sashiko.contract.model import (
    MOST_VALUE,
    Column,
    Contract,
    SplitDates,
    TextHashSplit,
    TimeSplit,
)
from sashiko.data.splits import (
    FEWEST_OF_A_LABEL,
    FEWEST_ROWS,
    META_FILE,
    SPLITS,
    ColumnKind,
    NumberSummary,
    SplitMeta,
    SplitSummary,
)
from sashiko.errors import InputError
from sashiko.serving.container import text as texts_of
from sashiko.settings.recipe_data import DataSection, TextSection
from sashiko.steps.entry import run_step
from sashiko.steps.sections import is_linear, read_contract, read_section

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["main"]

SCHEMA = pa.schema(
    {"key": pa.string(), "text": pa.string(), "label": pa.int64(), "row": pa.string()}
)
NUMBER_SCHEMA = SCHEMA.append(pa.field("value", pa.float64()))
_KINDS: Mapping[str, ColumnKind] = MappingProxyType({
    "string": "text", "integer": "number", "number": "number", "boolean": "category",
    "date": "date", "timestamp": "date",
})  # fmt: skip
Splits = npt.NDArray[np.int8]
_DAY = 86_400_000_000  # microseconds
_EPOCH = dt.date(1970, 1, 1)
_NAMED = 5  # labels that an error names
_SPARSE = 0.1  # of the rows a day before the test split; fewer in it are taken for wrong dates


@dataclass
class SplitTable:
    """Rows with key, text, label, digest, split, JSON object, and the columns of the slices.

    In SQL the slices' columns are `s0`, `s1` and so on, since a contract may use any name.
    """

    connection: "DuckDBPyConnection"  # of an empty database
    contract: Contract
    source: Path  # the snapshot, for errors
    _slices: pa.Schema = field(default_factory=lambda: pa.schema([]), init=False)

    def add(self, rows: pa.Table, slices: pa.Table) -> None:
        """Appends rows, as `split_rows` returns them, and the columns that slice them."""
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
        column = f"{self.source}: label column `{self.contract.label.column}`"
        if self.contract.is_number:
            ((bad, example),) = self._run(
                "SELECT count(*), min(key) FROM rows WHERE NOT coalesce(abs(value) <= $1, false)",
                MOST_VALUE,
            )
            ((least, most),) = self._run("SELECT min(value), max(value) FROM rows")
            if least == most and not bad:
                raise InputError(
                    f"{column} is {least:.15g} in every row, so there is nothing to learn: name "
                    "another column in the contract, or load other data"
                )
            if bad:
                raise InputError(
                    f"{column} is missing, not a number or infinite in {bad:,} rows, such as that "
                    f"of key {example!r}: correct these rows or leave them out"
                )
        unknown = self._run(
            "SELECT label, count(*) FROM rows WHERE label IS NULL OR NOT list_contains($1, label) "
            "GROUP BY label ORDER BY count(*) DESC, label LIMIT 5",
            list(self.contract.classes),
        )
        if unknown:
            labels = ", ".join(f"{value!r} in {count} rows" for value, count in unknown)
            raise InputError(
                f"{column} has {labels}; the contract's labels are "
                f"{', '.join(map(repr, self.contract.classes))}: correct the data or the contract"
            )

    def keep(self, data: DataSection) -> tuple[dict[str, SplitSummary], dict[str, int], int]:
        """Decides which rows stay.

        A row of a later split is removed if an earlier split has its text: a text that was used
        for training or for the threshold cannot measure quality on new texts. The row in the
        earlier split stays, so that later data never shrinks train.

        `data` limits the rows of a split that may stay, those with the lowest SHA-256 of their
        key. A hash gives an unbiased sample that is stable when other rows are added or
        removed; the first rows would be the oldest, or those of one branch.

        Returns:
            The summary of each split with rows; of each later split how many rows were removed
            because of their text; and how many rows were removed by the limits.
        """
        limits = (data.train_rows, data.validation_rows, data.test_rows)
        self._run(
            "CREATE TABLE owners AS SELECT digest, min(split) AS split FROM rows GROUP BY digest"
        )
        self._run(
            "CREATE TABLE kept AS SELECT key, digest, split, list_position($1, label) - 1 AS class "
            "FROM rows SEMI JOIN owners USING (digest, split)",
            list(self.contract.classes),
        )
        before, after = self._count("rows"), self._count("kept")
        for name, most in zip(SPLITS, limits, strict=True):
            if most is not None and after[name] > most:
                self._run(
                    "DELETE FROM kept WHERE key IN (SELECT key FROM kept WHERE split = $1 "
                    "ORDER BY sha256($2 || key) OFFSET $3)",
                    SPLITS.index(name),
                    f"{name}_rows:",
                    most,
                )
        shared = self._run(
            "SELECT min(split), max(split) FROM kept GROUP BY digest "
            "HAVING min(split) < max(split) LIMIT 1"
        )
        if shared:
            first, second = (SPLITS[index] for index in shared[0])
            raise AssertionError(f"one text is in both {first} and {second}")
        class_rows = np.zeros((len(SPLITS), len(self.contract.classes)), np.int64)
        for split, label, count in self._run(
            "SELECT split, class, count(*) FROM kept GROUP BY split, class"
        ):
            class_rows[split, label] = count
        groups = self._run(
            "SELECT split, sum(n), count(*), sum(n) FILTER (several) FROM ("
            "SELECT split, digest, count(*) AS n, min(class) < max(class) AS several "
            "FROM kept GROUP BY split, digest) GROUP BY split"
        )
        summaries = {
            SPLITS[split]: SplitSummary(
                rows=int(rows),
                positive_rate=int(class_rows[split, self.contract.first_favourable :].sum())
                / int(rows),
                repeated_rows=int(rows) - texts,
                contradicting_rows=int(contradicting or 0),
                class_rows=tuple(class_rows[split].tolist()),
            )
            for split, rows, texts, contradicting in groups
        }
        repeats = {name: before[name] - after[name] for name in SPLITS[1:]}
        return summaries, repeats, sum(after.values()) - sum(self._count("kept").values())

    def rows(self, split: str) -> Iterator[pa.RecordBatch]:
        """Yields a split's remaining rows, of type `self.schema`, ordered by key."""
        value = ", value" if self.contract.is_number else ""
        return self._stream(f"key, text, class::BIGINT, row{value}", split, self.schema)

    @property
    def schema(self) -> pa.Schema:
        """Columns of the files for Train and Score."""
        return NUMBER_SCHEMA if self.contract.is_number else SCHEMA

    def outcomes(self, split: str) -> Iterator[pa.RecordBatch]:
        """Yields key and class, or of a number the value, of a split's rows, ordered by key."""
        column = "value" if self.contract.is_number else "label"
        schema = pa.schema([self.schema.field("key"), self.schema.field(column)])
        return self._stream(
            "key, value" if self.contract.is_number else "key, class::BIGINT", split, schema
        )

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

    def _count(self, table: str) -> dict[str, int]:
        counts = dict(self._run(f"SELECT split, count(*) FROM {table} GROUP BY split"))  # noqa: S608 - one of two names
        return {name: counts.get(index, 0) for index, name in enumerate(SPLITS)}

    def _run(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.connection.execute(sql, list(values)).fetchall()
        return rows


def main() -> None:
    """Splits the snapshot, assembles texts and maps labels."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    contract = read_contract()
    data = read_section(DataSection, "data")
    text = read_section(TextSection, "text")
    source = processing_input("data") / "data.parquet"
    columns = template_columns(contract, text.template)
    with scratch_database(f"split the rows of {source}") as database:
        table = SplitTable(database, contract, source=source)
        split, linear = resolve_split(source, contract.split), is_linear()
        needed = [*needed_columns(contract, columns, split), *slice_columns(contract)]
        for rows in stream_columns(source, list(dict.fromkeys(needed))):
            table.add(
                split_rows(rows, contract, columns=columns, text=text, split=split, linear=linear),
                rows.select(slice_columns(contract)),
            )
        table.check()
        splits, repeats, over_limit = table.keep(data)
        check_splits(splits, contract, split)
        for name in SPLITS:
            file = processing_output(name) / "data.parquet"
            row_count = write_batches(file, table.rows(name), schema=table.schema)
            print(f"{name}: {row_count:,} rows", file=sys.stderr)
        schema, test_slices = table.slices("test")
        write_batches(processing_output("slices") / "data.parquet", test_slices, schema=schema)

    meta = SplitMeta(
        kind=contract.split.kind,
        labels=contract.classes,
        first_favourable=contract.first_favourable,
        columns=columns,
        kinds={name: column_kind(contract.column(name)) for name in columns},
        splits=splits,
        removed_repeats=repeats,
        removed_over_limit=over_limit,
        dates=split if isinstance(split, SplitDates) else None,
        number=summarise_number(processing_output("train") / "data.parquet", contract.label.above),
    )
    write_json(processing_output("meta") / META_FILE, meta.model_dump(mode="json"))
    write_snapshots(training_snapshot(source.parent), processing_output("meta"))


def train_labels(
    source: Path, contract: Contract, *, data: DataSection, text: TextSection
) -> pa.Table:
    """Returns key and outcome of the train rows, ordered by key, without writing them.

    For what has to know the same split, and must not wait for it.

    Returns:
        `key`: string; and `label`: int64, the class, or of a number `value`: float64.

    Raises:
        InputError: as `main`.
    """
    columns = template_columns(contract, text.template)
    with scratch_database(f"split the rows of {source}") as database:
        table = SplitTable(database, contract, source=source)
        split = resolve_split(source, contract.split)
        for rows in stream_columns(source, needed_columns(contract, columns, split)):
            values = rows.select(list(columns)).to_pylist()
            texts = [texts_of.assemble(text.template, row, text.missing) for row in values]
            table.add(split_keys(rows, contract, texts=texts, split=split), rows.select([]))
        table.check()
        table.keep(data)
        return pa.Table.from_batches(table.outcomes("train"))


def needed_columns(
    contract: Contract, columns: Sequence[str], split: TextHashSplit | SplitDates
) -> list[str]:
    """Returns the columns that decide on a row's split, each once."""
    dates = [split.column] if isinstance(split, SplitDates) else []
    return list(dict.fromkeys((contract.key, contract.label.column, *columns, *dates)))


# Assigns rows to splits by time or by a hash of the text, never by key.
#
# Where the contract counts a time split's days back from the newest row, a first pass over the
# column finds its dates.


def assign(rows: pa.Table, digests: Sequence[bytes], split: TextHashSplit | SplitDates) -> Splits:
    """Assigns rows to splits.

    By time, UTC if it has no zone, the latest rows test. By text, equal texts are in one split: the
    first 8 bytes of SHA-256(salt + digest), read as a fraction of 2^64, are uniform in [0, 1), of
    which train takes the lowest part and test the highest.
    """
    if isinstance(split, SplitDates):
        days = [_day_number(day) * _DAY for day in (split.validation_from, split.test_from)]
        return np.searchsorted(days, _micros(rows[split.column]), side="right").astype(np.int8)
    salt = split.salt.encode()
    salted = (hashlib.sha256(salt + digest).digest()[:8] for digest in digests)
    position = np.frombuffer(b"".join(salted), dtype=">u8").astype(np.float64) / 2.0**64
    bounds = [1 - split.test_share - split.validation_share, 1 - split.test_share]
    return np.searchsorted(bounds, position, side="right").astype(np.int8)


def resolve_split(source: Path, split: TextHashSplit | TimeSplit) -> TextHashSplit | SplitDates:
    """Returns how rows are assigned: a time split's dates may depend on the newest row.

    Memory does not grow with the rows, but with the distinct days.

    Raises:
        InputError: if the column has nulls or is of another type, or if the newest rows are so few
            that their dates must be wrong.
    """
    if isinstance(split, TextHashSplit):
        return split
    rows_by_day: Counter[int] = Counter()  # since 1970, in UTC
    nulls = 0
    for rows in stream_columns(source, [split.column]):
        times = rows[split.column]
        if not (pa.types.is_timestamp(times.type) or pa.types.is_date(times.type)):
            raise InputError(
                f"column `{split.column}` is of type {times.type}: a time split needs dates or "
                "timestamps; correct the contract's logicalType or its split"
            )
        nulls += times.null_count
        days, counts = np.unique(_micros(times.drop_null()) // _DAY, return_counts=True)
        rows_by_day.update(dict(zip(days.tolist(), counts.tolist(), strict=True)))
    if nulls:
        raise InputError(
            f"column `{split.column}` is null in {nulls} rows: a time split needs a time in every "
            "row; make the column required in the contract and correct the data"
        )
    try:
        newest = _EPOCH + dt.timedelta(days=max(rows_by_day))
        dates = split.dates(newest)
    except OverflowError as error:
        raise InputError(
            f"column `{split.column}`: the newest row's date, {max(rows_by_day):,} days after "
            f"{_EPOCH}, is in no year that a split can have; correct the data"
        ) from error
    if split.test_days:
        _check_density(rows_by_day, dates, newest)
    print(f"split by {dates.column}: {dates}", file=sys.stderr)
    return dates


def _check_density(rows_by_day: Counter[int], dates: SplitDates, newest: dt.date) -> None:
    """Refuses a test split that a few wrong dates have moved away from the other rows.

    Only days with rows are compared, so that the gap before a wrong date does not hide it.
    """
    test_from = _day_number(dates.test_from)
    test = [rows for day, rows in rows_by_day.items() if day >= test_from]
    earlier = [rows for day, rows in rows_by_day.items() if day < test_from]
    if earlier and np.mean(test) < _SPARSE * np.mean(earlier):
        raise InputError(
            f"column `{dates.column}`: the test split has {sum(test):,} of "
            f"{rows_by_day.total():,} rows, from {dates.test_from} to {newest}, the newest row's "
            f"day: {np.mean(test):,.0f} on a day that has any, and {np.mean(earlier):,.0f} "
            "before. If dates lie in the future by mistake, correct the data; otherwise give the "
            "contract's split dates, `validation_from` and `test_from`"
        )


def _day_number(day: dt.date) -> int:
    return (day - _EPOCH).days


def _micros(times: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    zone = getattr(times.type, "tz", None)
    return np.asarray(times.cast(pa.timestamp("us", tz=zone), safe=False).cast(pa.int64()))


def template_columns(contract: Contract, template: str) -> tuple[str, ...]:
    """Returns the columns of the recipe's template, all of which a model may read.

    Raises:
        InputError: if the template is malformed, names no column, or names one that is not in the
            contract's text columns; those are never key, label, sensitive or personal.
    """
    try:
        columns = texts_of.columns(template)
    except ValueError as error:
        raise InputError(f"recipe key text.template `{template}`: {error}") from error
    refused = [column for column in columns if column not in contract.text_columns]
    if refused or not columns:
        problem = f"names `{'`, `'.join(refused)}`" if refused else "names no column"
        raise InputError(
            f"recipe key text.template `{template}` {problem}; the contract's textColumns are: "
            f"{', '.join(contract.text_columns)}"
        )
    return columns


def column_kind(column: Column) -> ColumnKind:
    """Returns how a linear model reads a column: one with a list of values is a category."""
    listed = column.allowed_values or any(rule.valid_values for rule in column.quality)
    return "category" if listed else _KINDS[column.logical_type]


def slice_columns(contract: Contract) -> list[str]:
    """Returns the columns for slices: all of the view except key and label.

    None is sensitive; the bias steps use the sensitive columns.
    """
    view = contract.view_columns("training")
    return [c.name for c in view if c.name not in (contract.key, contract.label.column)]


def split_rows(
    rows: pa.Table,
    contract: Contract,
    *,
    columns: Sequence[str],
    text: TextSection,
    split: TextHashSplit | SplitDates,
    linear: bool = False,
) -> pa.Table:
    """Returns key, text, label, text digest, split, JSON object and any value of each row.

    A linear model's text is the JSON object. The digest is of the template's text for every model,
    so that a row is in the same split whichever model is trained.
    """
    values = rows.select(list(columns)).to_pylist()
    texts = [texts_of.assemble(text.template, row, text.missing) for row in values]
    template = texts_of.row_template(columns)
    objects = [texts_of.assemble(template, row, "") for row in values]
    table = split_keys(rows, contract, texts=texts, split=split)
    table = table.append_column("text", pa.array(objects if linear else texts, pa.string()))
    return table.append_column("row", pa.array(objects, pa.string()))


def split_keys(
    rows: pa.Table,
    contract: Contract,
    *,
    texts: Sequence[str],
    split: TextHashSplit | SplitDates,
) -> pa.Table:
    """Returns key, label, digest of the text, split and any value of each row."""
    digests = [hashlib.sha256(texts_of.normalise(text).encode()).digest() for text in texts]
    table = pa.table(
        {
            "key": rows[contract.key].cast(pa.string()),
            "label": outcomes(rows[contract.label.column], contract),
            "digest": pa.array(digests, pa.binary()),
            "split": pa.array(assign(rows, digests, split)),
        }
    )
    if not contract.is_number:
        return table
    return table.append_column("value", rows[contract.label.column].cast(pa.float64(), safe=False))


def summarise_number(train: Path, above: float | None) -> NumberSummary | None:
    """Summarises the label's values in the train rows; None for classes, which have no bound.

    The sums are exact until they are rounded once, so that they are the same on every machine.
    """
    if above is None:
        return None
    values = read_columns(train, ["value"])["value"].to_numpy()
    mean = math.fsum(values) / len(values)
    return NumberSummary(
        above=above,
        mean=mean,
        standard_deviation=math.sqrt(math.fsum((values - mean) ** 2) / len(values)),
        least=float(values.min()),
        most=float(values.max()),
    )


def check_splits(
    splits: Mapping[str, SplitSummary], contract: Contract, split: TextHashSplit | SplitDates
) -> None:
    """Checks that there are enough rows of each class, and that each split has rows of each.

    Raises:
        InputError: if there are not, with the numbers.
    """
    by_class = Counter(dict.fromkeys(contract.classes, 0))
    for part in splits.values():
        by_class.update(dict(zip(contract.classes, part.class_rows, strict=True)))
    rows, rarest = by_class.total(), by_class.most_common()[: -_NAMED - 1 : -1]
    joined = "move the bound `favourable.above`" if contract.is_number else "join rare labels"
    if rows < FEWEST_ROWS or rarest[0][1] < FEWEST_OF_A_LABEL:
        counts = [f"{count:,} with label {name!r}" for name, count in rarest]
        raise InputError(
            f"{rows:,} rows are left to train on and to judge by, {', '.join(counts)}: at least "
            f"{FEWEST_ROWS} rows, and {FEWEST_OF_A_LABEL} of each label, are needed; load more "
            f"data, or {joined}"
        )
    for name in SPLITS:
        summary = splits.get(name)
        if summary and all(summary.class_rows):
            continue
        problem = "is empty"
        if summary:
            pairs = zip(contract.classes, summary.class_rows, strict=True)
            missing = [repr(label) for label, count in pairs if not count]
            problem = f"has {summary.rows} rows, none with label {', '.join(missing[:_NAMED])}"
        dates = f" ({split})" if isinstance(split, SplitDates) else ""
        raise InputError(
            f"the {name} split {problem}: move the bounds of the contract's {contract.split.kind} "
            f"split{dates}, raise data.train_rows, load more data, or {joined}"
        )


if __name__ == "__main__":
    run_step(main)
