"""Great Expectations on a table of any size: computes metrics per batch, then merges them.

Great Expectations first computes metrics on the rows, then evaluates expectations on the metrics.
Here the first part runs on one batch at a time, and the second sees the merged metrics of the whole
table, so verdicts, counts and examples are the same. `_merge` defines the merge of each metric; an
unknown metric is an error, so that a new kind of rule is never evaluated on part of the rows.

This module imports Great Expectations, which takes seconds: import it lazily.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.validator.metric_configuration import MetricConfiguration
from great_expectations.validator.metrics_calculator import MetricsCalculator
from great_expectations.validator.validation_graph import ValidationGraph

from sashiko.base.parquet import TableStream
from sashiko.base.scratch import scratch_database

_MEMORY_MB = 512
_HASH = "hash"
_POSITION = "position"
Metrics = dict[Any, Any]
_DISTINCT = "column.distinct_values.count"
_REPEATED = ("column_values.unique.", "compound_columns.unique.", _DISTINCT)
_SHARE_FILLED = "column.non_null_proportion"
_SHARE_UNIQUE = "column.unique_proportion"
_SHARES = (_SHARE_FILLED, _SHARE_UNIQUE)
_NULLS = "column_values.nonnull.unexpected_count"
_EXAMPLES = "partial_unexpected_count"
_FILLED = "column.non_null_count"
_ROWS = "table.row_count"
_MAXIMUM = "column.max"
_CONSTANT = ("table.columns", "table.column_types")  # in every batch
_PER_ROW = (".condition", ".map")  # as long as a batch; only their counts are merged
_PROGRESS_ROWS = 1_000_000
_QUERY = ".unexpected_index_query"  # pandas code for interactive use, as long as the rows
_COUNT = ".unexpected_count"
_LISTS = (".unexpected_values", ".unexpected_index_list")


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Duplicates in a column, or in several combined. A NaN counts as null."""

    filled: int  # rows in which at least one of the columns is not null; the others are ignored
    distinct: int  # the number of distinct values in these rows
    rows: int  # the number of these rows whose value occurs more than once
    first: pa.Table  # the first such rows: the columns, under their own names
    positions: tuple[int, ...]  # of `first` in the table, from 0


def find_duplicates(stream: TableStream, columns: Sequence[str], *, examples: int) -> Duplicates:
    """Counts duplicates.

    Rows are first grouped by a hash, at 8 bytes per row; only rows with a repeated hash are read
    again and compared by value.

    Raises:
        InputError: if the disk is full.
    """
    result = pa.schema([stream.schema.field(name) for name in columns]).remove_metadata()
    names = [f"c{number}" for number in range(len(columns))]  # in SQL
    values = ", ".join(names)
    schema = pa.schema([(_POSITION, pa.int64()), *zip(names, result.types, strict=True)])
    filled = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal filled
        start = filled = 0
        for batch in stream.read(list(columns)):
            arrays = [_nan_to_null(column) for column in batch.columns]
            positions = pa.array(np.arange(start, start + batch.num_rows))
            start += batch.num_rows
            output = pa.RecordBatch.from_arrays([positions, *arrays], schema=schema)
            if all(column.null_count for column in arrays):
                output = output.filter(reduce(pc.or_, [column.is_valid() for column in arrays]))
            filled += output.num_rows
            yield output

    purpose = f"look for repeated values in {', '.join(columns)}"
    with scratch_database(purpose, memory_mb=_MEMORY_MB) as connection:

        def register() -> None:
            """Makes `stream` a new pass over the rows."""
            reader = pa.RecordBatchReader.from_batches(schema, batches())
            connection.register("stream", reader)

        register()
        connection.execute(
            f"CREATE TEMP TABLE suspects AS SELECT {_HASH}({values}) AS h, count(*) AS n "  # noqa: S608 - names of our own
            "FROM stream GROUP BY h HAVING n > 1"
        ).fetchall()
        all_filled = filled
        suspected = "SELECT coalesce(sum(n), 0) FROM suspects"
        ((suspected_rows,),) = connection.execute(suspected).fetchall()
        if not suspected_rows:
            first = result.empty_table()
            return Duplicates(
                filled=all_filled, distinct=all_filled, rows=0, first=first, positions=()
            )
        register()
        connection.execute(
            f"CREATE TEMP TABLE counted AS SELECT {values}, count(*) AS n FROM stream "  # noqa: S608 - names of our own
            f"SEMI JOIN suspects ON {_HASH}({values}) = suspects.h GROUP BY ALL"
        ).fetchall()
        ((distinct, rows),) = connection.execute(
            "SELECT count(*), coalesce(sum(n) FILTER (n > 1), 0) FROM counted"
        ).fetchall()
        same = " AND ".join(f"stream.{name} IS NOT DISTINCT FROM counted.{name}" for name in names)
        register()
        table = connection.sql(
            f"SELECT {_POSITION}, {values} FROM stream SEMI JOIN counted ON {same} AND "  # noqa: S608 - names of our own
            f"counted.n > 1 ORDER BY {_POSITION} LIMIT {examples}"
        ).to_arrow_table()
        return Duplicates(
            filled=all_filled,
            distinct=all_filled - int(suspected_rows) + int(distinct),
            rows=int(rows),
            first=table.drop_columns([_POSITION]).rename_columns(list(columns)).cast(result),
            positions=tuple(table[_POSITION].to_pylist()),
        )


def _nan_to_null(column: pa.Array) -> pa.Array:
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)


class MergedMetrics(MetricsCalculator):  # type: ignore[misc]  # it has no types
    """Replaces a validator's calculator and computes metrics batch by batch.

    Attributes:
        fault: an error of the computation as a whole. A validator turns any exception into failed
            expectations, so the caller must check this attribute.
    """

    def __init__(
        self,
        execution_engine: PandasExecutionEngine,
        *,
        batch_id: str,
        stream: TableStream,
        frame: Callable[[pa.Table], pd.DataFrame],
        rows: int,
    ) -> None:
        """Sets up the calculator; `batch_id` is that of the batch that represents the table."""
        super().__init__(execution_engine=execution_engine)
        self.fault: Exception | None = None
        self._engine = execution_engine
        self._batch_id = batch_id
        self._stream = stream
        self._frame = frame
        self._rows = rows

    def resolve_validation_graph(
        self,
        graph: ValidationGraph,
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG002 - as below
        min_graph_edges_pbar_enable: int = 0,  # noqa: ARG002 - as the base class has it
    ) -> tuple[Metrics, Metrics]:
        """Returns the metrics of the whole table by id, and the errors of the others."""
        requested = _RequestedMetrics(graph, frozenset(self._stream.schema.names))
        try:
            merged, aborted = self._by_batch(requested)
            self._add_duplicates(requested, merged)
            _add_shares(requested, merged)
        except Exception as error:
            self.fault = error
            raise
        return merged, aborted

    def _by_batch(self, requested: "_RequestedMetrics") -> tuple[Metrics, Metrics]:
        graph = ValidationGraph(self._engine, edges=requested.edges_by_batch)
        merged: Metrics = {}
        aborted: Metrics = {}
        start = 0
        for piece in self._stream.pieces(self._rows):
            frame = self._frame(piece)
            frame.index = pd.RangeIndex(start, start + len(frame))
            start += len(frame)
            self._engine.load_batch_data(self._batch_id, frame)
            metrics, failed = graph.resolve(show_progress_bars=False)
            requested.check_complete(metrics, failed)
            aborted = {**failed, **aborted}
            if start % _PROGRESS_ROWS < len(frame):
                print(f"counted {start:,} rows", file=sys.stderr)
            for metric_id, value in metrics.items():
                metric = requested.metrics[metric_id]
                if not metric.metric_name.endswith(_PER_ROW):
                    merged[metric_id] = _merge(metric, merged.get(metric_id), value)
        return merged, aborted

    def _add_duplicates(self, requested: "_RequestedMetrics", merged: Metrics) -> None:
        for columns, metrics in requested.repeated().items():
            limit = max(map(_limit, metrics))
            duplicates = find_duplicates(self._stream, columns, examples=limit)
            for metric in metrics:
                merged[metric.id] = self._duplicate_value(metric, duplicates)

    def _duplicate_value(self, metric: MetricConfiguration, duplicates: Duplicates) -> Any:
        values = self._frame(duplicates.first)
        name = metric.metric_name
        if name.endswith(_LISTS[1]):
            return list(duplicates.positions[: _limit(metric)])
        if name.startswith("compound") and name.endswith(_LISTS[0]):
            return values[: _limit(metric)].to_dict("records")
        if name.endswith(_LISTS[0]):
            return list(values.iloc[: _limit(metric), 0])
        if name.endswith(_COUNT):
            return duplicates.rows
        return duplicates.filled if name.endswith(".filtered_row_count") else duplicates.distinct


class _RequestedMetrics:
    """The metrics of a graph, by how they are computed."""

    def __init__(self, graph: ValidationGraph, columns: frozenset[str]) -> None:
        self._columns = columns
        self.metrics: dict[Any, MetricConfiguration] = {
            metric.id: metric
            for edge in graph.edges
            for metric in (edge.left, edge.right)
            if metric is not None
        }
        self.edges_by_batch = [
            edge
            for edge in graph.edges
            if self._is_batch_metric(edge.left)
            and (edge.right is None or self._is_batch_metric(edge.right))
        ]

    def whole_table(self) -> Iterator[MetricConfiguration]:
        """Yields the metrics that cannot be merged from batches."""
        for metric in self.metrics.values():
            if not self._is_batch_metric(metric) and not metric.metric_name.endswith(_PER_ROW):
                yield metric

    def repeated(self) -> Mapping[tuple[str, ...], list[MetricConfiguration]]:
        """Returns the metrics that DuckDB counts, by their columns."""
        by_columns: dict[tuple[str, ...], list[MetricConfiguration]] = {}
        for metric in self.whole_table():
            if metric.metric_name.startswith(_REPEATED) and not metric.metric_name.endswith(_QUERY):
                by_columns.setdefault(_columns_of(metric), []).append(metric)
        return by_columns

    def check_complete(self, metrics: Metrics, failed: Metrics) -> None:
        """Checks that a batch has each metric, or an error that Great Expectations will report.

        Great Expectations only logs an unexpected error: the counts would cover part of the rows,
        and checks might pass.

        Raises:
            RuntimeError: if a metric is missing without an error.
        """
        unavailable, count = set(failed), -1
        while count != len(unavailable):
            count = len(unavailable)
            unavailable |= {
                edge.left.id
                for edge in self.edges_by_batch
                if edge.right is not None and edge.right.id in unavailable
            }
        missing = {edge.left.id for edge in self.edges_by_batch} - metrics.keys() - unavailable
        if missing:
            names = sorted({self.metrics[metric_id].metric_name for metric_id in missing})
            gave_up = "Great Expectations gave up on a batch"
            raise RuntimeError(f"{gave_up}, without: {', '.join(names)}")

    def _is_batch_metric(self, metric: MetricConfiguration) -> bool:
        name = metric.metric_name
        if name.endswith(_QUERY):
            return False
        # Great Expectations reports a missing column itself, at the first batch.
        present = self._columns.issuperset(_columns_of(metric))
        return not present or not (name.startswith(_REPEATED) or name in _SHARES)


def _merge(metric: MetricConfiguration, previous: Any, value: Any) -> Any:
    """Merges the metric of one more batch; `previous` is None for the first."""
    name = metric.metric_name
    if name in _CONSTANT:
        return value if previous is None else previous
    if name in (_ROWS, _FILLED) or name.endswith(_COUNT):
        return int(value) + (previous or 0)
    if name.endswith(_LISTS):
        return [*(previous or ()), *value][: _limit(metric)]
    if name == _MAXIMUM:
        values = [item for item in (previous, value) if not pd.isna(item)]
        return max(values, default=value)
    raise NotImplementedError(f"no way is known to merge the metric {name} of two batches")


def _add_shares(requested: _RequestedMetrics, merged: Metrics) -> None:
    """Computes shares as `column_proportion_of_*.py` of Great Expectations do."""
    counts = {
        (metric.metric_name, _columns_of(metric)): merged[metric_id]
        for metric_id, metric in requested.metrics.items()
        if metric_id in merged
    }
    for metric in requested.whole_table():
        columns, name = _columns_of(metric), metric.metric_name
        if name == _SHARE_FILLED:
            rows = counts[_ROWS, ()]
            merged[metric.id] = counts[_FILLED, columns] / rows if rows else 0
        elif name == _SHARE_UNIQUE:
            filled = counts[_ROWS, ()] - counts[_NULLS, columns]
            merged[metric.id] = counts[_DISTINCT, columns] / filled if filled else 0
        elif name.endswith(_QUERY):
            merged[metric.id] = None


def _columns_of(metric: MetricConfiguration) -> tuple[str, ...]:
    domain = metric.metric_domain_kwargs
    names: Sequence[str] | None = domain.get("column_list")
    name: str | None = domain.get("column")
    return tuple(names) if names else (name,) if name else ()


def _limit(metric: MetricConfiguration) -> int:
    return int(metric.metric_value_kwargs.get("result_format", {}).get(_EXAMPLES, 0))
