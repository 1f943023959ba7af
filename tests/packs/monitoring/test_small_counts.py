import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sashiko.evaluation.reference import SMALLEST_COUNT
from sashiko_packs.monitoring.checks import Measurement
from sashiko_packs.monitoring.result import Distribution, MonitorBias, hide_small_counts

COUNTS = st.lists(st.integers(0, 40), max_size=8)


@given(COUNTS)
def test_no_count_from_1_to_9_is_shown_or_follows_from_the_total(counts: list[int]) -> None:
    shown = hide_small_counts(counts)
    assert all(count is None or count == 0 or count >= SMALLEST_COUNT for count in shown)
    hidden = [count for count, cell in zip(counts, shown, strict=True) if cell is None]
    if hidden and sum(counts) >= SMALLEST_COUNT:
        assert len(hidden) >= 2
        assert sum(hidden) >= SMALLEST_COUNT


@given(COUNTS)
def test_other_counts_stay_as_they_are_and_none_is_hidden_without_need(counts: list[int]) -> None:
    shown = hide_small_counts(counts)
    assert all(cell in (None, count) for count, cell in zip(counts, shown, strict=True))
    if not any(0 < count < SMALLEST_COUNT for count in counts):
        assert list(shown) == counts


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ([3, 500, 400, 0], (None, 500, None, 0)),
        ([2, 1, 500, 400], (None, None, 500, None)),
        ([6, 5, 500], (None, None, 500)),
        ([5, 0, 0], (None, None, None)),
        ([0, 0], (0, 0)),
        ([None, 500, 400], (None, 500, None)),
    ],
)
def test_the_smallest_cells_are_hidden(counts: list[int | None], shown: tuple[int | None]) -> None:
    assert hide_small_counts(counts) == shown


def test_a_distribution_hides_them_whoever_makes_it() -> None:
    made = Distribution(
        name="product", cells=("a", "b", "c"), reference=(9, 20, 30), window=(1, 0, 99)
    )
    assert made.reference == (None, None, 30)
    assert made.window == (None, 0, None)
    assert Distribution.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(("rows", "is_shown"), [(0, True), (1, False), (9, False), (10, True)])
def test_the_rows_of_a_group_are_shown_from_ten_on(rows: int, is_shown: bool) -> None:
    measured = Measurement(
        name="disparate impact of age", kind="bias", effect="", rows=rows, rows_needed=100,
        tolerance=0.9,
    )  # fmt: skip

    def make() -> MonitorBias:
        return MonitorBias(measurements=(measured,), disparities=(), rows=50, without_facets=1)

    if is_shown:
        assert make().measurements == (measured,)
    else:
        with pytest.raises(ValidationError, match="a group of fewer than 10"):
            make()
