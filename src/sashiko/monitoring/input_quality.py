"""The contract's rules on captured requests: those of a column that a single row can break.

Each captured column is judged by the contract's own suite, projected on that column. Uniqueness,
freshness and numbers of rows are rules of the table that the model learned from, not of a window.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.checkpoint import run_suite
from sashiko.contract.columns import Column
from sashiko.contract.derive import ARROW_TYPES
from sashiko.contract.model import Contract, Ingest
from sashiko.contract.results import exception_message
from sashiko.contract.rule_table import COLUMNS, NON_NULL_SHARE, NOT_NULL, TYPE
from sashiko.contract.rules import Expectation, expectations
from sashiko.contract.table_stream import parquet_stream
from sashiko.core.parquet import write_batches
from sashiko.errors import InputError
from sashiko.monitoring.capture.rows import captured_columns, stream_rows
from sashiko.monitoring.checks import MonitorCheck, Outcome
from sashiko.monitoring.input_values import typed_values

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult

ROWS_NEEDED: Final = 100
_ROW_METRICS: Final = ("nullValues", "missingValues", "invalidValues")


@dataclass
class _ColumnRows:
    """The rows of a captured column, but for those that came as plain texts."""

    rows: int = 0
    values: int = 0  # that are not null
    unreadable: int = 0  # values that do not have the column's type


@dataclass(frozen=True)
class _Breach:
    """How many rows break a rule."""

    rows: int  # that the rule judges
    share: float | None = None  # of them that break it; None if that was not counted
    is_allowed: bool = True  # by the contract's own tolerance


def judge_inputs(path: Path, contract: Contract) -> tuple[MonitorCheck, ...]:
    """Judges captured rows by the contract's rules of their columns.

    Rows that came as plain texts have no columns and are not judged. A value that does not have its
    column's type breaks the rule of the type; the column's other rules judge the remaining rows.

    Args:
        path: a file of `read_captures`.
        contract: of the data that the model learned from; a column that it lacks has no rules.

    Returns:
        A check for each rule, in the order of the contract. It holds no captured value.

    Raises:
        InputError: if the file is damaged, a scratch file cannot be written, or a rule cannot be
            evaluated.
    """
    names, plain = captured_columns(path), count_plain(path)
    checks: list[MonitorCheck] = []
    with tempfile.TemporaryDirectory(prefix="sashiko-inputs-") as scratch:
        columns = [column for column in contract.columns if column.name in names]
        files = [Path(scratch, f"{number}.parquet") for number in range(len(columns))]
        # All columns before the first suite, as Great Expectations stays in memory with 200 MB.
        rows = [
            _write_typed(path, column, contract.ingest, file)
            for column, file in zip(columns, files, strict=True)
        ]
        pa.default_memory_pool().release_unused()
        for column, counts, file in zip(columns, rows, files, strict=True):
            for item, breach in _breaches(_projected(contract, column), counts, file):
                checks.append(_check(item, breach, plain=plain))
    return tuple(checks)


def count_plain(path: Path) -> int:
    """Returns how many rows of a file of `read_captures` came as plain texts.

    Raises:
        InputError: if the file is damaged.
    """
    return sum(table.num_rows - table["text"].null_count for table in stream_rows(path, ["text"]))


def _projected(contract: Contract, column: Column) -> Contract:
    """Returns the contract of one column, with the rules that a single row can break."""
    rules = tuple(rule for rule in column.quality if rule.metric in _ROW_METRICS)
    single = column.model_copy(update={"unique": False, "primary_key": False, "quality": rules})
    return contract.model_copy(update={"columns": (single,), "quality": (), "freshness": None})


def _write_typed(path: Path, column: Column, rules: Ingest, out: Path) -> _ColumnRows:
    """Writes the column's readable values, nulls among them, and counts all of them."""
    counts = _ColumnRows()
    schema = pa.schema([(column.name, ARROW_TYPES[column.logical_type])])

    def batches() -> Iterator[pa.RecordBatch]:
        for table in stream_rows(path, [f"input.{column.name}"]):
            inputs = table["input"].combine_chunks()
            texts = pc.struct_field(inputs.filter(inputs.is_valid()), [0])
            values, unreadable = typed_values(texts, column, rules)
            counts.rows += len(texts)
            counts.values += len(values) - values.null_count + unreadable
            counts.unreadable += unreadable
            yield pa.record_batch([values], schema=schema)

    write_batches(out, batches(), schema=schema)
    return counts


def _breaches(
    contract: Contract, counts: _ColumnRows, typed: Path
) -> Iterator[tuple[Expectation, _Breach]]:
    """Yields the rules of a projected contract, and how far each is broken."""
    (column,) = contract.columns
    if column.logical_type != "string":  # any value is a text
        share = counts.unreadable / counts.values if counts.values else None
        (item,) = (item for item in expectations(contract, "all") if item.kind == TYPE)
        yield item, _Breach(counts.values, share, is_allowed=not counts.unreadable)
    rules = [item for item in expectations(contract, "all") if item.kind not in (COLUMNS, TYPE)]
    readable = counts.rows - counts.unreadable
    if rules and readable >= ROWS_NEEDED:
        for item, result in run_suite(parquet_stream(typed), contract, "all"):
            if item in rules:
                yield item, _breach(item, result, rows=readable)
    else:
        yield from ((item, _Breach(readable)) for item in rules)


def _breach(item: Expectation, result: "ExpectationValidationResult", *, rows: int) -> _Breach:
    # The message of the exception may quote a captured value.
    if exception_message(result.exception_info) is not None:
        raise InputError(
            f"the contract's rule `{item.name}` cannot be evaluated on captured rows: correct it"
        )
    details = result.result
    share: float | None
    if item.kind == NON_NULL_SHARE:
        share = 1 - float(details["observed_value"])
    else:
        if item.kind != NOT_NULL:  # a rule on values
            rows -= int(details["missing_count"])
        share = details["unexpected_count"] / rows if rows else None
    return _Breach(rows, share, is_allowed=bool(result.success))


def _check(item: Expectation, breach: _Breach, *, plain: int) -> MonitorCheck:
    allowed = _allowed_share(item)
    is_judged = breach.rows >= ROWS_NEEDED and breach.share is not None
    outcome: Outcome = "not judged"
    reason = f"{breach.rows:,} rows, {ROWS_NEEDED} are needed"
    if is_judged:
        outcome = "ok" if breach.is_allowed else "alarm"
        reason = (
            f"{100 * (breach.share or 0):.3g} % of the rows break the rule, the contract allows "
            f"{100 * allowed:.3g} %"
        )
    if plain:
        reason += f"; {plain:,} rows came as plain texts, which have no columns"
    return MonitorCheck(
        name=f"inputs: {item.name}",
        kind="inputs",
        outcome=outcome,
        rows=breach.rows,
        rows_needed=ROWS_NEEDED,
        effect="share of rows that break the rule",
        value=breach.share if is_judged else None,
        tolerance=allowed,
        reason=reason,
    )


def _allowed_share(item: Expectation) -> float:
    """Returns the share of rows that may break a rule."""
    argument = "min_value" if item.kind == NON_NULL_SHARE else "mostly"
    return round(1 - float(item.arguments.get(argument, 1)), 9)
