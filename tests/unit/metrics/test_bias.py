import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sashiko.metrics.bias import METRICS, interval, measure, stage_metrics
from sashiko.metrics.groups import count_cells

POST = stage_metrics("post_training")

# [group a, d][label 0, 1][predicted 0, 1]
CELLS = np.array([[[40, 10], [10, 40]], [[60, 10], [20, 10]]], dtype=np.int64)
cells = st.lists(st.integers(1, 50), min_size=8, max_size=8).map(
    lambda values: np.array(values, dtype=np.int64).reshape(2, 2, 2)
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CI", (100 - 100) / 200),
        ("DPL", 50 / 100 - 30 / 100),
        ("DPPL", 50 / 100 - 20 / 100),
        ("DI", (20 / 100) / (50 / 100)),
        ("RD", 40 / 50 - 10 / 30),
        ("AD", 80 / 100 - 70 / 100),
    ],
)
def test_values_of_a_table_worked_by_hand(name: str, value: float) -> None:
    assert measure(name, CELLS).value == pytest.approx(value)


def test_the_metrics_are_clarifys_of_each_stage() -> None:
    assert stage_metrics("pre_training") == ("CI", "DPL")
    assert POST == ("AD", "DI", "DPPL", "RD")


@given(table=cells)
def test_swapping_the_groups_turns_the_sign_and_inverts_the_ratio(table) -> None:
    swapped = table[::-1]
    for name in METRICS:
        value, back = measure(name, table).value, measure(name, swapped).value
        if name == "DI":
            assert value * back == pytest.approx(1)
        else:
            assert value == pytest.approx(-back)
            assert -1 <= value <= 1


@given(table=cells)
def test_equal_groups_show_no_bias(table) -> None:
    table[1] = table[0]
    assert measure("DI", table).value == pytest.approx(1)
    assert [measure(name, table).value for name in METRICS if name != "DI"] == [0] * 5


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_counting_does_not_depend_on_the_order_of_rows(seed: int) -> None:
    generator = np.random.default_rng(seed)
    rows = generator.random((3, 60)) < 0.5
    order = generator.permutation(60)
    assert (count_cells(*rows) == count_cells(*rows[:, order])).all()
    assert count_cells(*rows).sum() == 60


def test_counts_go_to_group_label_and_prediction() -> None:
    group, label, predicted = np.array([[True, False], [False, True], [True, True]])
    counted = count_cells(group, label, predicted)
    assert counted[1, 0, 1] == 1
    assert counted[0, 1, 1] == 1


@pytest.mark.parametrize(
    ("empty", "names", "reason"),
    [
        (np.s_[1], tuple(METRICS), "the disadvantaged group has no rows"),
        (np.s_[0], tuple(METRICS), "the advantaged group has no rows"),
        (np.s_[:, :, 1], POST, "no row is predicted positive"),
        (np.s_[:, 1], ("DPL", "RD"), "has the positive label"),
        (np.s_[0, :, 1], ("DI",), "no row of the advantaged group is predicted positive"),
        (np.s_[1, 1], ("RD",), "no row of the disadvantaged group has the positive label"),
        (np.s_[0, 1], ("RD",), "no row of the advantaged group has the positive label"),
    ],
)
def test_what_has_no_denominator_is_undefined_with_the_reason(empty, names, reason) -> None:
    table = CELLS.copy()
    table[empty] = 0
    for name in names:
        measured = measure(name, table)
        assert measured.value is None
        assert reason in measured.error
        assert interval(name, table, replicates=1000, seed=0) is None


def test_nobody_of_the_disadvantaged_predicted_positive_is_the_worst_ratio_and_defined() -> None:
    table = CELLS.copy()
    table[1, :, 1] = 0
    assert measure("DI", table).value == 0


def test_the_interval_of_counts_is_that_of_resampled_rows() -> None:
    generator = np.random.default_rng(0)
    disadvantaged, labels, predicted = generator.random((3, 1500)) < [[0.4], [0.3], [0.5]]
    slow = []
    for rows in generator.integers(0, 1500, size=(2000, 1500)):
        d, p = disadvantaged[rows], predicted[rows]
        slow.append(p[d].mean() / p[~d].mean())
    table = count_cells(disadvantaged, labels, predicted)
    ends = interval("DI", table, replicates=20_000, seed=0)
    assert [ends.low, ends.high] == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.015)
    assert ends.low < measure("DI", table).value < ends.high
    assert ends == interval("DI", table, replicates=20_000, seed=0)


def test_too_few_rows_for_an_interval_give_none() -> None:
    table = np.array([[[3, 1], [3, 0]], [[3, 1], [3, 1]]], dtype=np.int64)
    assert measure("DI", table).value is not None
    assert interval("DI", table, replicates=5000, seed=0) is None
