"""A column is counted in cells that stand for nobody in particular, a window's by the same ones."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sashiko.evaluation.reference import ColumnCounts
from sashiko.evaluation.reference_columns import cells_of, count_reference, count_window
from tests.unit.hostile import bounded


def _chunks(*values: object, type: pa.DataType | None = None) -> pa.ChunkedArray:
    middle = len(values) // 2
    return pa.chunked_array([values[:middle], values[middle:]], type=type)


PRODUCTS = _chunks(*["Mortgage"] * 30, *["App"] * 20, *["Rare"] * 3, None)


def test_frequent_values_are_named_and_a_window_is_counted_by_them() -> None:
    counted = count_reference("product", PRODUCTS)
    assert counted.values == ("App", "Mortgage")
    assert counted.counts == (20, 30, 3, 1)

    reference = count_reference("product", PRODUCTS)
    counted = count_window(reference, _chunks("New", "App", None, "Mortgage", "App", "Rare"))
    assert counted.values == reference.values
    assert counted.counts == (2, 1, 2, 1)

    many = _chunks(*[f"v{number:02d}" for number in range(60) for _ in range(10 + number)])
    counted = count_reference("code", many)
    assert len(counted.values) == 50
    assert "v09" not in counted.values
    assert counted.counts[-2] == sum(10 + number for number in range(10))


def test_numbers_are_counted_in_bins_of_equal_numbers_of_rows_and_beyond_them() -> None:
    reference = count_reference("age", _chunks(*range(1000), None))
    assert len(reference.edges) == 19
    assert all(abs(count - 50) <= 1 for count in reference.counts[:-2])
    assert reference.counts[-2:] == (0, 1)

    reference = count_reference("age", _chunks(*map(float, range(1000))))
    counted = count_window(reference, _chunks(-1e9, 1e9, float("nan"), None, type=pa.float64()))
    assert counted.counts[0] == 1
    assert counted.counts[-3:] == (1, 1, 1)
    reference = count_reference("flag", _chunks(*[1] * 100, *[2] * 100))
    assert (reference.edges, reference.counts) == ((1.0,), (100, 100, 0, 0))
    assert count_window(reference, _chunks(1, 2, 3)).counts == (1, 2, 0, 0)


@bounded
@given(st.lists(st.integers(-3, 3) | st.floats(-1e6, 1e6), min_size=1, max_size=400))
def test_each_number_is_in_one_bin_and_no_bin_is_small(numbers: list[float]) -> None:
    data = pa.chunked_array([pa.array(numbers, pa.float64())])
    counted = count_reference("c", data)
    bins = counted.counts[:-2]
    assert np.bincount(cells_of(counted, data), minlength=len(bins)).tolist() == list(bins)
    assert len(bins) == len(counted.edges) + 1 <= 20
    assert min(bins) >= min(10, len(numbers))
    assert counted.counts[-2:] == (0, 0)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ([True] * 12 + [False] * 3, ("true",)),
        ([dt.date(2026, 1, 1)] * 10 + [dt.date(2026, 1, 2)] * 9, ("2026-01-01",)),
        ([dt.datetime(2026, 1, 1, 8, tzinfo=dt.UTC)] * 10, ("2026-01-01T08:00:00+00:00",)),
        (["x" * 101] * 20 + ["y"] * 10, ("y",)),
    ],
)
def test_common_values_are_named_as_requests_write_them(values, named) -> None:
    counted = count_reference("c", pa.chunked_array([pa.array(values)]))
    assert (counted.kind, counted.values) == ("category", named)
    assert sum(counted.counts) == len(values)


def test_a_text_is_counted_by_its_length_and_a_number_of_a_request_is_one() -> None:
    texts = [f"{number} {'x' * (number % 40)}" for number in range(200)]
    reference = count_reference("note", _chunks(*texts, None))
    assert (reference.kind, reference.values, reference.counts[-2:]) == ("text", (), (0, 1))
    assert len(reference.edges) > 1
    assert count_window(reference, _chunks("x" * 1000, type=pa.string())).counts[-3:] == (1, 0, 0)

    reference = count_reference("age", _chunks(*range(1000)))
    numbers = ["-3", "+4.5", ".5", "1e2", "0999", "1E5", "999"]
    window = count_window(reference, _chunks(*numbers, type=pa.string()))
    as_floats = _chunks(*map(float, numbers), type=pa.float64())
    assert window.counts == count_window(reference, as_floats).counts
    others = ["many", "", "nan", "Infinity", "1e999", "0x10", "1,5", " 7", "7\n", "٣", None]
    counted = count_window(reference, _chunks(*others, type=pa.string()))
    assert counted.counts == (*[0] * 20, 10, 1)


@pytest.mark.parametrize("kind", [pa.string(), pa.int64(), pa.float64()])
def test_a_column_without_a_value_has_only_missing_rows(kind: pa.DataType) -> None:
    counted = count_reference("c", _chunks(None, None, type=kind))
    assert (counted.values, counted.edges, counted.counts[-1]) == ((), (), 2)
    assert sum(counted.counts) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"counts": (1, 2)},
        {"counts": (1, 2, 3, -1)},
        {"kind": "number", "edges": (2.0, 1.0), "values": (), "counts": (1, 1, 1, 1, 1)},
        {"edges": (2.0,)},
    ],
)
def test_counts_that_do_not_fit_their_cells_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ColumnCounts.model_validate(
            {"column": "product", "kind": "category", "values": ("a", "b"), "counts": (1, 2, 0, 0)}
            | wrong
        )
