from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sashiko.bias.metrics.clarify_metrics import METRICS, intervals, measure
from sashiko.evaluation.metrics.counts import Counts, tabulate
from tests.unit.evaluation.metrics.tables import BINARY, DISTANCES, drawn_counts, names

SYMMETRIC = ("JS", "LP", "TVD", "KS")
RANGES = {
    **dict.fromkeys(
        ("CI", "DPL", "CDDL", "DPPL", "RD", "SD", "DAR", "DRR", "AD", "CDDPL"), (-1, 1)
    ),
    **dict.fromkeys(("TVD", "KS"), (0, 1)),
    "LP": (0, sqrt(2)),
    "JS": (0, log(2)),
    **dict.fromkeys(("KL", "DI", "GE"), (0, np.inf)),
    **dict.fromkeys(("DCA", "DCR", "TE"), (-np.inf, np.inf)),
}


def swapped(table: Counts) -> Counts:
    return Counts(cells=table.cells[:, ::-1], positive=table.positive, stratified=True)


@given(table=drawn_counts())
def test_swapping_the_groups_turns_the_sign_and_inverts_the_ratio(table: Counts) -> None:
    for name in names(without=("KL", "GE", *SYMMETRIC)):
        value, back = measure(name, table).value, measure(name, swapped(table)).value
        if name == "DI":
            assert value * back == pytest.approx(1)
        else:
            assert value == pytest.approx(-back)


@given(table=drawn_counts())
def test_swapping_the_groups_changes_neither_a_distance_nor_the_entropy(table: Counts) -> None:
    for name in ("GE", *SYMMETRIC):
        assert measure(name, table).value == pytest.approx(measure(name, swapped(table)).value)


@given(table=drawn_counts(), times=st.integers(20, 1000))
def test_as_many_times_the_rows_change_no_value_and_narrow_the_interval(table, times) -> None:
    more = Counts(cells=table.cells * times, positive=table.positive, stratified=True)
    for name in METRICS:
        assert measure(name, more).value == pytest.approx(measure(name, table).value, abs=1e-9)
    few = intervals(["DPPL"], table, replicates=200, seed=0)
    many = intervals(["DPPL"], more, replicates=200, seed=0)
    assert not few or many["DPPL"].high - many["DPPL"].low < few["DPPL"].high - few["DPPL"].low


@given(table=drawn_counts(least=0, most=6))
def test_every_metric_is_in_its_range_or_undefined_with_a_reason(table: Counts) -> None:
    assert set(RANGES) == set(METRICS)
    for name, (low, high) in RANGES.items():
        measured = measure(name, table)
        if measured.value is None:
            assert measured.error
        else:
            assert not measured.error
            assert np.isfinite(measured.value)
            assert low - 1e-9 <= measured.value <= high + 1e-9


@settings(max_examples=30, deadline=None)
@given(table=drawn_counts(least=0, most=9))
def test_an_interval_is_finite_ordered_and_of_a_defined_metric(table: Counts) -> None:
    results = intervals(METRICS, table, replicates=100, seed=0)
    for name, ends in results.items():
        assert measure(name, table).value is not None
        assert np.isfinite([ends.low, ends.high]).all()
        assert ends.low <= ends.high


@given(table=drawn_counts())
def test_several_labels_are_one_positive_and_one_other_to_the_rates(table: Counts) -> None:
    other, positive = (
        table.cells[:, :, mask].sum(axis=2) for mask in (~table.positive, table.positive)
    )
    binary = Counts(cells=np.stack([other, positive], axis=2), positive=BINARY, stratified=True)
    for name in names(without=DISTANCES):
        assert measure(name, binary).value == pytest.approx(measure(name, table).value)


ROWS = st.integers(1, 60)


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 10_000))
def test_counting_does_not_depend_on_the_order_of_rows(rows: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    facet = generator.integers(-1, 3, rows)
    labels, strata = generator.integers(0, 3, rows), generator.integers(0, 2, rows)
    predicted = generator.random(rows) < 0.5
    positive = np.array([False, True, True])
    order = generator.permutation(rows)
    columns = [(facet, labels, predicted, strata)]
    columns.append(tuple(column[order] for column in columns[0]))
    table, other = (
        tabulate(*three, values=3, positive=positive, strata=groups) for *three, groups in columns
    )
    assert (table.cells == other.cells).all()
    assert table.missing == other.missing == (facet < 0).sum()
    assert table.cells.sum() == rows - table.missing
    one = table.one_vs_rest(np.array([False, True, False]))
    assert one.n_disadvantaged == (facet == 1).sum()
    assert one.n_advantaged == ((facet == 0) | (facet == 2)).sum()
    picked = (strata == 0) & (facet == 1) & (labels == 2) & predicted
    assert one.cells[0, 1, 2, 1] == picked.sum()
