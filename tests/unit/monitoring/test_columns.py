import pyarrow as pa
import pytest
from pydantic import ValidationError

from sashiko.monitoring.columns import ColumnCounts, count_reference, count_window


def _chunks(*values: object, type: pa.DataType | None = None) -> pa.ChunkedArray:
    middle = len(values) // 2
    return pa.chunked_array([values[:middle], values[middle:]], type=type)


PRODUCTS = _chunks(*["Mortgage"] * 30, *["App"] * 20, *["Rare"] * 3, None)


def test_frequent_values_are_named_and_others_and_missing_ones_counted() -> None:
    counted = count_reference("product", PRODUCTS)
    assert counted.values == ("App", "Mortgage")
    assert counted.counts == (20, 30, 3, 1)


def test_a_window_is_counted_by_the_references_values() -> None:
    reference = count_reference("product", PRODUCTS)
    counted = count_window(reference, _chunks("New", "App", None, "Mortgage", "App", "Rare"))
    assert counted.values == reference.values
    assert counted.counts == (2, 1, 2, 1)


def test_only_the_most_frequent_values_of_many_are_named() -> None:
    many = _chunks(*[f"v{number:02d}" for number in range(60) for _ in range(10 + number)])
    counted = count_reference("code", many)
    assert len(counted.values) == 50
    assert "v09" not in counted.values
    assert counted.counts[-2] == sum(10 + number for number in range(10))


def test_numbers_are_counted_in_bins_of_equal_numbers_of_rows() -> None:
    reference = count_reference("age", _chunks(*range(1000), None))
    assert len(reference.edges) == 19
    assert all(abs(count - 50) <= 1 for count in reference.counts[:-2])
    assert reference.counts[-2:] == (0, 1)


def test_numbers_beyond_all_edges_are_in_the_outer_bins_and_nan_is_another_value() -> None:
    reference = count_reference("age", _chunks(*map(float, range(1000))))
    counted = count_window(reference, _chunks(-1e9, 1e9, float("nan"), None, type=pa.float64()))
    assert counted.counts[0] == 1
    assert counted.counts[-3:] == (1, 1, 1)


def test_a_number_of_few_values_is_counted_by_value() -> None:
    reference = count_reference("flag", _chunks(*[1] * 100))
    assert reference.values == ("1",)
    assert count_window(reference, _chunks(1, 2)).counts == (1, 1, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"counts": (1, 2)},
        {"counts": (1, 2, 3, -1)},
        {"edges": (2.0, 1.0), "values": (), "counts": (1, 1, 1, 1, 1)},
        {"edges": (2.0,)},
    ],
)
def test_counts_that_do_not_fit_their_cells_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ColumnCounts.model_validate(
            {"column": "product", "values": ("a", "b"), "counts": (1, 2, 0, 0)} | wrong
        )
