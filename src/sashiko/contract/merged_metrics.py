"""Great Expectations on a table of any size: metrics by the batch, merged, then judged once.

Great Expectations works in two halves: metrics are counted on the rows, then an expectation is
judged by its metrics. Here the first half runs on a batch at a time; the second sees numbers as if
of the whole table, so verdicts, counts and examples are its own. How each metric merges stands in
`_merge`; a metric that has no way to is an error, so that a new kind of rule is never judged by a
part of the rows.

This module imports Great Expectations, which takes seconds: import it where it is used.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.validator.metric_configuration import MetricConfiguration
from great_expectations.validator.metrics_calculator import MetricsCalculator
from great_expectations.validator.validation_graph import ValidationGraph

from sashiko.contract.repeats import Repeats, find_repeats
from sashiko.contract.table_stream import TableStream

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
_ALIKE = ("table.columns", "table.column_types")  # in every batch
_OF_ROWS = (".condition", ".map")  # a batch's rows; what is counted of them is what merges
_QUERY = ".unexpected_index_query"  # code for a person's own pandas, and as long as the rows
_COUNT = ".unexpected_count"
_LISTS = (".unexpected_values", ".unexpected_index_list")


class MergedMetrics(MetricsCalculator):  # type: ignore[misc]  # it has no types
    """Stands in for the calculator of a validator, and counts batch by batch.

    Attributes:
        fault: what went wrong with the counting as a whole. A validator makes failed expectations
            of any exception, so the caller must look here.
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
        """Takes what to count.

        Args:
            execution_engine: the validator's.
            batch_id: of the batch that the validator believes to be the table.
            stream: the table.
            frame: makes pandas columns of a batch.
            rows: of a batch.
        """
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
        """Returns the metrics of the whole table by id, and why some could not be counted."""
        asked = _Asked(graph, frozenset(self._stream.schema.names))
        try:
            merged, aborted = self._by_batch(asked)
            self._add_repeats(asked, merged)
            _add_shares(asked, merged)
        except Exception as error:
            self.fault = error
            raise
        return merged, aborted

    def _by_batch(self, asked: "_Asked") -> tuple[Metrics, Metrics]:
        graph = ValidationGraph(self._engine, edges=asked.edges_by_batch)
        merged: Metrics = {}
        aborted: Metrics = {}
        start = 0
        for piece in self._stream.pieces(self._rows):
            frame = self._frame(piece)
            frame.index = pd.RangeIndex(start, start + len(frame))
            start += len(frame)
            self._engine.load_batch_data(self._batch_id, frame)
            found, failed = graph.resolve(show_progress_bars=False)
            asked.hold_complete(found, failed)
            aborted = {**failed, **aborted}
            if start > self._rows:
                print(f"counted {start:,} rows", file=sys.stderr)
            for metric_id, value in found.items():
                metric = asked.metrics[metric_id]
                if not metric.metric_name.endswith(_OF_ROWS):
                    merged[metric_id] = _merge(metric, merged.get(metric_id), value)
        return merged, aborted

    def _add_repeats(self, asked: "_Asked", merged: Metrics) -> None:
        for columns, metrics in asked.repeated().items():
            limit = max(map(_limit, metrics))
            found = find_repeats(self._stream, columns, examples=limit)
            for metric in metrics:
                merged[metric.id] = self._of_repeats(metric, found)

    def _of_repeats(self, metric: MetricConfiguration, found: Repeats) -> Any:
        values = self._frame(found.first)
        name = metric.metric_name
        if name.endswith(_LISTS[1]):
            return list(found.positions[: _limit(metric)])
        if name.startswith("compound") and name.endswith(_LISTS[0]):
            return values[: _limit(metric)].to_dict("records")
        if name.endswith(_LISTS[0]):
            return list(values.iloc[: _limit(metric), 0])
        if name.endswith(_COUNT):
            return found.rows
        return found.filled if name.endswith(".filtered_row_count") else found.distinct


class _Asked:
    """The metrics that a graph asks for, by how they are counted."""

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
            if self._is_by_batch(edge.left)
            and (edge.right is None or self._is_by_batch(edge.right))
        ]

    def of_the_whole(self) -> Iterator[MetricConfiguration]:
        """Yields what no batch can tell."""
        for metric in self.metrics.values():
            if not self._is_by_batch(metric) and not metric.metric_name.endswith(_OF_ROWS):
                yield metric

    def repeated(self) -> Mapping[tuple[str, ...], list[MetricConfiguration]]:
        """Returns what DuckDB counts, by the columns that make the value."""
        found: dict[tuple[str, ...], list[MetricConfiguration]] = {}
        for metric in self.of_the_whole():
            if metric.metric_name.startswith(_REPEATED) and not metric.metric_name.endswith(_QUERY):
                found.setdefault(_columns_of(metric), []).append(metric)
        return found

    def hold_complete(self, found: Metrics, failed: Metrics) -> None:
        """Holds that a batch gave each metric, or a reason that Great Expectations will report.

        Of an error that it does not know it only logs that it gave up: the counts would be of some
        of the rows, and might pass.

        Raises:
            RuntimeError: if it gave up on a batch.
        """
        lost, before = set(failed), -1
        while before != len(lost):
            before = len(lost)
            lost |= {edge.left.id for edge in self.edges_by_batch if _right_id(edge) in lost}
        left = {edge.left.id for edge in self.edges_by_batch} - found.keys() - lost
        if left:
            names = ", ".join(sorted({self.metrics[metric_id].metric_name for metric_id in left}))
            raise RuntimeError(f"Great Expectations gave up on a batch, without: {names}")

    def _is_by_batch(self, metric: MetricConfiguration) -> bool:
        name = metric.metric_name
        if name.endswith(_QUERY):
            return False
        # Of a missing column Great Expectations says so itself, at the first batch.
        there = self._columns.issuperset(_columns_of(metric))
        return not there or not (name.startswith(_REPEATED) or name in _SHARES)


def _right_id(edge: Any) -> Any:
    return edge.right.id if edge.right is not None else None


def _merge(metric: MetricConfiguration, before: Any, value: Any) -> Any:
    """Merges what two stretches of rows say; `before` is None at the first."""
    name = metric.metric_name
    if name in _ALIKE:
        return value if before is None else before
    if name in (_ROWS, _FILLED) or name.endswith(_COUNT):
        return int(value) + (before or 0)
    if name.endswith(_LISTS):
        return [*(before or ()), *value][: _limit(metric)]
    if name == _MAXIMUM:
        there = [item for item in (before, value) if not pd.isna(item)]
        return max(there, default=value)
    raise NotImplementedError(f"no way is known to merge the metric {name} of two batches")


def _add_shares(asked: _Asked, merged: Metrics) -> None:
    """Divides as `column_proportion_of_*.py` of Great Expectations do."""
    counts = {
        (metric.metric_name, _columns_of(metric)): merged[metric_id]
        for metric_id, metric in asked.metrics.items()
        if metric_id in merged
    }
    for metric in asked.of_the_whole():
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
    several: Sequence[str] | None = domain.get("column_list")
    one: str | None = domain.get("column")
    return tuple(several) if several else (one,) if one else ()


def _limit(metric: MetricConfiguration) -> int:
    """Returns how many examples a metric has."""
    return int(metric.metric_value_kwargs.get("result_format", {}).get(_EXAMPLES, 0))
