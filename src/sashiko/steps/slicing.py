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
from sashiko.settings.recipe_quality import EvaluateSection, SlicesSection

_MOST_VALUES = 30  # of a categorical column; rarer values are combined
_MOST_NUMBERS = 6  # distinct numbers that get a slice each
_MOST_PERIODS = 12
_BANDS = 4


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
        slices += parts if len(parts) > 1 else []
    return slices


def _parts(column: pa.Array) -> Iterator[tuple[str, Bools]]:
    missing = column.is_null().to_numpy(zero_copy_only=False)
    if missing.any():
        yield "missing", missing
    if missing.all():
        return
    kind = column.type
    is_text = pa.types.is_string(kind)
    # Where values rarely repeat, none of them selects many rows.
    if is_text and pc.count_distinct(column).as_py() > max(_MOST_VALUES, len(column) / 4):
        lengths = pc.utf8_length(column.fill_null("")).to_numpy().astype(np.float64)
        yield from _bands(lengths, ~missing, unit=" characters")
    elif is_text or pa.types.is_boolean(kind):
        yield from _values(column.cast(pa.string()))
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers = column.cast(pa.float64()).fill_null(np.nan).to_numpy().astype(np.float64)
        distinct = np.unique(numbers[~missing])
        if len(distinct) > _MOST_NUMBERS:
            yield from _bands(numbers, ~missing)
        else:
            yield from ((f"{value:g}", numbers == value) for value in distinct)
    elif pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        # As a naive UTC time, because a slim image has no time zone database.
        times = column.cast(pa.timestamp("us"))
        year, quarter = (part.cast(pa.string()) for part in (pc.year(times), pc.quarter(times)))
        by_quarter = pc.binary_join_element_wise(year, quarter, " Q")
        periods = (pc.strftime(times, format="%Y-%m"), by_quarter, year)
        few = (item for item in periods if pc.count_distinct(item).as_py() <= _MOST_PERIODS)
        yield from _values(next(few, year))


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


def _bands(numbers: Floats, valid: Bools, *, unit: str = "") -> Iterator[tuple[str, Bools]]:
    """Slices at the quartiles; equal numbers stay together, so there may be fewer bands."""
    inner = np.linspace(0, 1, _BANDS + 1)[1:-1]
    edges = np.unique(np.quantile(numbers[valid], inner, method="lower"))
    band: Ints = np.searchsorted(edges, numbers, side="left").astype(np.int64)
    for index in np.unique(band[valid]):
        rows = valid & (band == index)
        low, high = numbers[rows].min(), numbers[rows].max()
        yield (f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}") + unit, rows


def slice_figures(
    section: EvaluateSection,
    labels: Ints,
    candidate: ModelScores,
    slices: Sequence[Slice],
    *,
    first_favourable: int = 1,
    values: Floats | None = None,
) -> Slices:
    """Evaluates each slice with enough rows; returns the worst slices first.

    `values` are those of a label that is a number, beside its outcomes.
    """
    metric, minimum = section.slices.metric, section.slices.minimum_rows
    if values is not None and metric == SlicesSection().metric:
        metric = "mae"
    large = [item for item in slices if item.rows.sum() >= minimum]
    small = [item for item in slices if item.rows.sum() < minimum]
    estimates = slice_estimates(
        labels if values is None else values,
        candidate,
        [item.rows for item in large],
        replicates=section.bootstrap_replicates,
        seed=section.seed,
    )
    too_few = SliceEstimates(metrics={}, differences={})
    figures = [
        SliceFigures(
            column=item.column,
            value=item.value,
            rows=int(item.rows.sum()),
            positives=int((labels[item.rows] >= first_favourable).sum()),
            metrics=of.metrics,
            differences=of.differences,
        )
        for item, of in zip((*large, *small), (*estimates, *(too_few for _ in small)), strict=True)
    ]

    def worst_first(figure: SliceFigures) -> tuple[bool, float, int]:
        """Sorts by difference; slices without an interval come last, the largest first."""
        difference = figure.differences.get(metric)
        if difference is None or difference.value is None or difference.high is None:
            return (True, 0.0, -figure.rows)
        return (False, difference.value, -figure.rows)

    return Slices(
        metric=metric, minimum_rows=minimum, figures=tuple(sorted(figures, key=worst_first))
    )
