"""The reference counts what is large enough to be nobody in particular."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sashiko.monitoring.reference_counts import column_reference, equal_mass_histogram
from tests.unit.hostile import bounded


def reference(values, kind=None):
    return column_reference("c", pa.chunked_array([pa.array(values, kind)]))


@bounded
@given(st.lists(st.integers(-3, 3) | st.floats(-1e6, 1e6), min_size=1, max_size=400))
def test_each_number_is_in_one_bin_and_no_bin_is_small(numbers) -> None:
    values = np.array(numbers, dtype=np.float64)
    found = equal_mass_histogram(values)
    bins = np.searchsorted(found.edges, values)
    assert np.bincount(bins, minlength=len(found.rows)).tolist() == list(found.rows)
    assert len(found.rows) == len(found.edges) + 1 <= 20
    assert min(found.rows) >= min(10, len(numbers))
    assert list(found.edges) == sorted(set(found.edges))


def test_many_scores_make_bins_of_equal_numbers_of_rows() -> None:
    found = equal_mass_histogram(np.linspace(0, 1, 2000))
    assert len(found.rows) == 20
    assert set(found.rows) <= {99, 100, 101}


def test_numbers_are_counted_in_bins_and_what_is_no_number_is_missing() -> None:
    found = reference([1.0] * 15 + [2.0] * 15 + [None, float("nan"), float("inf")])
    assert (found.kind, found.missing, found.values) == ("number", 3, {})
    assert (found.histogram.edges, found.histogram.rows) == ((1.0,), (15, 15))


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([True] * 12 + [False] * 3, {"true": 12}),
        ([dt.date(2026, 1, 1)] * 10 + [dt.date(2026, 1, 2)] * 9, {"2026-01-01": 10}),
        ([dt.datetime(2026, 1, 1, 8, tzinfo=dt.UTC)] * 10, {"2026-01-01T08:00:00+00:00": 10}),
        (["x" * 101] * 20 + ["y"] * 10, {"y": 10}),
        ([f"v{n % 120}" for n in range(120 * 11)], {f"v{n}": 11 for n in range(120)}),
    ],
)
def test_common_values_are_kept_as_json_writes_them(values, kept) -> None:
    found = reference(values)
    assert found.kind == "category"
    assert found.values.items() <= kept.items()
    assert len(found.values) == min(len(kept), 100)
    assert found.other == len(values) - sum(found.values.values())


def test_a_text_is_counted_by_its_length() -> None:
    found = reference([f"{n} {'x' * (n % 40)}" for n in range(200)] + [None])
    assert (found.kind, found.missing, found.values, found.other) == ("text", 1, {}, 0)
    assert sum(found.histogram.rows) == 200


@pytest.mark.parametrize("kind", [pa.string(), pa.int64(), pa.float64()])
def test_a_column_without_a_value_has_no_counts(kind) -> None:
    found = reference([None, None], kind)
    assert (found.missing, found.values, found.histogram) == (2, {}, None)
