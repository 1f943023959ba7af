"""How columns of the test split are cut into slices."""

import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.errors import InputError
from sashiko.steps.slicing import read_slices, slices_of


def cut(values) -> dict[str, int]:
    """Slices of one column: value -> rows."""
    return {item.value: int(item.rows.sum()) for item in slices_of(pa.table({"column": values}))}


def test_values_are_cut_apart_rarer_ones_together_and_numbers_into_bands() -> None:
    assert cut(["loan", "card", None, "loan"]) == {"missing": 1, "card": 1, "loan": 2}
    assert cut([True, False, True]) == {"false": 1, "true": 2}

    words = [f"w{n:02}" for n in range(30) for _ in range(9)] + ["x"] * 2 + ["y"] * 3
    slices = cut(words)
    assert len(slices) == 31
    assert slices["w07"] == 9
    assert slices["2 rarer values"] == 5

    assert cut([1, 2, 2, 5]) == {"1": 1, "2": 2, "5": 1}
    assert cut([*range(100), None]) == {
        "missing": 1, "0 to 24": 25, "25 to 49": 25, "50 to 74": 25, "75 to 99": 25,
    }  # fmt: skip
    mostly_zero = cut([0.0] * 90 + [float(n) for n in range(1, 11)])
    assert mostly_zero == {"0": 90, "1 to 10": 10}


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (60, {"2025-01": 31, "2025-02": 28, "2025-03": 1}),
        (400, {"2025 Q1": 90, "2025 Q2": 91, "2025 Q3": 92, "2025 Q4": 92, "2026 Q1": 35}),
        (1500, {"2025": 365, "2026": 365, "2027": 365, "2028": 366, "2029": 39}),
    ],
)
def test_dates_are_cut_by_month_quarter_or_year(days, expected) -> None:
    dates = [dt.date(2025, 1, 1) + dt.timedelta(days=n) for n in range(days)]
    assert cut(pa.array(dates)) == expected
    midnights = [dt.datetime(d.year, d.month, d.day, tzinfo=dt.UTC) for d in dates]
    assert cut(pa.array(midnights, pa.timestamp("us", tz="UTC"))) == expected


def test_free_text_is_cut_by_its_length_and_a_column_without_two_values_is_left_out() -> None:
    texts = ["x" * n for n in range(1, 101)]
    assert cut(texts) == {
        "1 to 25 characters": 25, "26 to 50 characters": 25,
        "51 to 75 characters": 25, "76 to 100 characters": 25,
    }  # fmt: skip
    assert not cut(["same"] * 5)
    assert not cut(pa.array([None] * 5, pa.string()))


def test_columns_of_other_rows_are_refused(tmp_path) -> None:
    pq.write_table(pa.table({"desk": ["a", "b"], "key": ["1", "2"]}), tmp_path / "data.parquet")
    assert len(read_slices(tmp_path, keys=["1", "2"])) == 2
    with pytest.raises(InputError, match="run Prepare again"):
        read_slices(tmp_path, keys=["2", "1"])
