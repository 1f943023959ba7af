"""Divides the test rows into slices by each column's values, bands or periods; evaluates them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.parquet import open_parquet, read_columns
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import SliceFigures, Slices
from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints, ModelScores
from sashiko.evaluation.metrics.quality import SliceEstimates, slice_estimates
from sashiko.settings.recipe_quality import EvaluateSection

_MISSING = "missing"
_MOST_VALUES = 30  # of a categorical column; rarer values are combined
_MOST_NUMBERS = 6  # distinct numbers that get a slice each
_MOST_PERIODS = 12
_BANDS = 4
_PERIODS = ("%Y-%m", "quarter", "%Y")


@dataclass(frozen=True)
class Slice:
    """Some rows of the test split."""

    column: str
    value: str  # its value, band or period
    rows: Bools  # True for each row of the slice, shape (rows,)


def read_slices(folder: Path, *, keys: Sequence[str]) -> list[Slice]:
    """Reads the test rows' columns that Prepare wrote, and slices the rows by them.

    Raises:
        InputError: if the file is missing, damaged, or of other rows.
    """
    path = folder / "data.parquet"
    table = read_columns(path, open_parquet(path).schema_arrow.names)
    if "key" not in table.column_names or table["key"].to_pylist() != list(keys):
        raise InputError(f"{path} does not match the rows of the test split: run Prepare again")
    return slices_of(table.drop_columns("key"))


def slices_of(table: pa.Table) -> list[Slice]:
    """Slices rows by each of their columns.

    Categories and booleans are sliced by value (beyond 30 values the rarer ones are combined),
    numbers into four bands of similar size, dates by month, or by quarter or year if there are
    more than 12 periods, and free text (mostly distinct values) into four bands of length. A
    column with one slice is omitted, since it would hold all rows.
    """
    slices = []
    for name in table.column_names:
        column = table[name].combine_chunks()
        parts = [Slice(name, value, rows) for value, rows in _parts(column)]
        if len(parts) > 1:
            slices += parts
    return slices


def _parts(column: pa.Array) -> Iterator[tuple[str, Bools]]:
    missing = column.is_null().to_numpy(zero_copy_only=False)
    if missing.any():
        yield _MISSING, missing
    if missing.all():
        return
    kind = column.type
    if pa.types.is_string(kind) and _is_free_text(column):
        lengths = pc.utf8_length(column.fill_null("")).to_numpy().astype(np.float64)
        yield from _bands(lengths, ~missing, unit=" characters")
    elif pa.types.is_string(kind) or pa.types.is_boolean(kind):
        yield from _values(column.cast(pa.string()))
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers = column.cast(pa.float64()).fill_null(np.nan)
        yield from _numbers(numbers.to_numpy().astype(np.float64), ~missing)
    elif pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        yield from _values(_periods(column))


def _is_free_text(column: pa.Array) -> bool:
    """Returns whether values rarely repeat, so that no value selects many rows."""
    distinct: int = pc.count_distinct(column).as_py()
    return distinct > max(_MOST_VALUES, len(column) / 4)


def _values(column: pa.Array) -> Iterator[tuple[str, Bools]]:
    """Slices by value in sorted order; the rarest values are combined at the end."""
    counts = {
        item["values"]: item["counts"] for item in column.drop_null().value_counts().to_pylist()
    }
    common = sorted(counts, key=lambda value: (-counts[value], value))[:_MOST_VALUES]
    values = np.array(column.to_pylist(), dtype=object)
    for value in sorted(common):
        yield value, values == value
    rest = len(counts) - len(common)
    if rest:
        other = ~np.isin(values, np.array([*common, None], dtype=object))
        yield f"{rest} rarer values", other


def _numbers(numbers: Floats, valid: Bools) -> Iterator[tuple[str, Bools]]:
    distinct = np.unique(numbers[valid])
    if len(distinct) > _MOST_NUMBERS:
        yield from _bands(numbers, valid)
        return
    for value in distinct:
        yield f"{value:g}", numbers == value


def _bands(numbers: Floats, valid: Bools, *, unit: str = "") -> Iterator[tuple[str, Bools]]:
    """Slices at the quartiles; equal numbers stay together, so there may be fewer bands."""
    inner = np.linspace(0, 1, _BANDS + 1)[1:-1]
    edges = np.unique(np.quantile(numbers[valid], inner, method="lower"))
    band: Ints = np.searchsorted(edges, numbers, side="left").astype(np.int64)
    for index in np.unique(band[valid]):
        rows = valid & (band == index)
        low, high = numbers[rows].min(), numbers[rows].max()
        yield (f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}") + unit, rows


def _periods(column: pa.Array) -> pa.Array:
    """Returns each date's month, or its quarter or year if there are too many periods."""
    # As a naive UTC time, because a slim image has no time zone database.
    column = column.cast(pa.timestamp("us"))
    for period in _PERIODS:
        if period == "quarter":
            year = pc.year(column).cast(pa.string())
            labels = pc.binary_join_element_wise(year, pc.quarter(column).cast(pa.string()), " Q")
        else:
            labels = pc.strftime(column, format=period)
        if pc.count_distinct(labels).as_py() <= _MOST_PERIODS:
            break
    return labels


_TOO_FEW = SliceEstimates(metrics={}, differences={})


def slice_figures(
    section: EvaluateSection, labels: Ints, candidate: ModelScores, slices: Sequence[Slice]
) -> Slices:
    """Evaluates each slice with enough rows; returns the worst slices first."""
    metric, minimum = section.slices.metric, section.slices.minimum_rows
    small = [item for item in slices if item.rows.sum() < minimum]
    large = [item for item in slices if item.rows.sum() >= minimum]
    estimates = slice_estimates(
        labels,
        candidate.scores,
        [item.rows for item in large],
        threshold=candidate.threshold,
        replicates=section.bootstrap_replicates,
        seed=section.seed,
    )
    pairs = [*zip(large, estimates, strict=True), *((item, _TOO_FEW) for item in small)]
    figures = [_figures(item, labels, estimates) for item, estimates in pairs]
    return Slices(
        metric=metric,
        minimum_rows=minimum,
        figures=tuple(sorted(figures, key=lambda figure: _worst_first(figure, metric))),
    )


def _figures(item: Slice, labels: Ints, estimates: SliceEstimates) -> SliceFigures:
    return SliceFigures(
        column=item.column,
        value=item.value,
        rows=int(item.rows.sum()),
        positives=int(labels[item.rows].sum()),
        metrics=estimates.metrics,
        differences=estimates.differences,
    )


def _worst_first(figure: SliceFigures, metric: str) -> tuple[bool, float, int]:
    """Sorts by difference; slices without an interval come last, the largest first."""
    difference = figure.differences.get(metric)
    if difference is None or difference.value is None or difference.high is None:
        return (True, 0.0, -figure.rows)
    return (False, difference.value, -figure.rows)
