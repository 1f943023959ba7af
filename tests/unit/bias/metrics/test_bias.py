"""The bias metrics: values by hand, of the guide and of other libraries, intervals, and looks."""

import warnings
from collections.abc import Sequence
from functools import partial
from math import log, sqrt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sashiko.bias.metrics.bias_table import METRICS, intervals, measure, stage_metrics
from sashiko.evaluation.metrics import uncertainty
from sashiko.evaluation.metrics.arrays import Bools
from sashiko.evaluation.metrics.counts import Counts, FacetTable, tabulate
from verification.benchmarks.interval_coverage import bias_coverage

BINARY = np.array([False, True])


def counts(cells: Any, *, positive: Sequence[bool] = (False, True), **more: Any) -> Counts:
    """Makes counts of [group a, d][label][predicted], or of the same by stratum."""
    table = np.array(cells, dtype=np.int64)
    if table.ndim == 3:
        table = table[None]
    more.setdefault("stratified", len(table) > 1)
    return Counts(cells=table, positive=np.array(positive), **more)


def of_labels(*groups: Sequence[int], positive: Sequence[bool] = (False, True)) -> Counts:
    """Makes counts of groups a and d whose rows per label are given, with no predictions."""
    return counts([[[rows, 0] for rows in group] for group in groups], positive=positive)


def binary_counts(disadvantaged: Bools, labels: Bools, predicted: Bools) -> Counts:
    """Counts two groups of rows whose labels are positive or not; all shapes (rows,)."""
    table = tabulate(
        disadvantaged.astype(np.int64),
        labels.astype(np.int64),
        predicted,
        values=2,
        positive=BINARY,
    )
    return table.one_vs_rest(BINARY)


@st.composite
def drawn_counts(draw: st.DrawFn, *, least: int = 1, most: int = 50) -> Counts:
    """Draws counts of up to three strata and of two to four labels."""
    strata, labels = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    size = strata * 2 * labels * 2
    cells = draw(st.lists(st.integers(least, most), min_size=size, max_size=size))
    positive = draw(st.integers(1, labels - 1))
    return Counts(
        cells=np.array(cells, dtype=np.int64).reshape(strata, 2, labels, 2),
        positive=np.arange(labels) >= positive,
        stratified=True,
    )


POST = stage_metrics("post_training")
LABELS = tuple(name for name in stage_metrics("pre_training") if name != "CI")

# [group a, d][label 0, 1][predicted 0, 1]: TN FP, FN TP
CELLS = np.array([[[40, 10], [10, 40]], [[60, 10], [20, 10]]], dtype=np.int64)

# What the guide's own examples leave out.
# n_a = n_d = 100; n_a(1) = 50, n_d(1) = 30; n'_a(1) = 50, n'_d(1) = 20;
# P_a = (.5, .5), P_d = (.7, .3)
BY_HAND = {
    "CI": (100 - 100) / 200,
    "DPL": 50 / 100 - 30 / 100,
    # the mean distribution is (.6, .4)
    "JS": (
        0.5 * log(0.5 / 0.6) + 0.5 * log(0.5 / 0.4) + 0.7 * log(0.7 / 0.6) + 0.3 * log(0.3 / 0.4)
    )
    / 2,
    "DPPL": 50 / 100 - 20 / 100,
    "DI": (20 / 100) / (50 / 100),
    "DRR": 60 / 80 - 40 / 50,
    # 20 false positives with benefit 2, 30 false negatives with 0, 150 with 1: mean 190 / 200,
    # mean of squares (20 * 4 + 150) / 200
    "GE": ((230 / 200) / (190 / 200) ** 2 - 1) / 2,
}

# Two strata of 100 and 50 rows, [stratum][group a, d][label 0, 1][predicted 0, 1]
STRATA = [[[[25, 5], [5, 25]], [[24, 6], [4, 6]]], [[[8, 2], [6, 4]], [[15, 5], [5, 5]]]]


def test_of_several_labels_the_distances_see_all_and_the_difference_sees_the_positive() -> None:
    three = of_labels((10, 20, 30), (30, 20, 10), positive=(False, False, True))
    collapsed = of_labels((30, 30), (50, 10))
    assert measure("KL", three).value == pytest.approx((1 / 6 - 1 / 2) * log(1 / 3))
    assert measure("KL", collapsed).value != pytest.approx(measure("KL", three).value, abs=0.05)
    assert measure("DPL", three).value == measure("DPL", collapsed).value


@pytest.mark.parametrize(("name", "value"), BY_HAND.items())
def test_values_of_a_table_worked_by_hand(name: str, value: float) -> None:
    assert measure(name, counts(CELLS)).value == pytest.approx(value)


def test_conditional_disparity_is_that_by_hand_and_dissolves_simpsons_paradox() -> None:
    # Rejected a 30, d 30 and accepted a 30, d 10; then rejected a 10, d 20 and accepted a 10, d 10.
    labels = (100 * (30 / 60 - 10 / 40) + 50 * (20 / 30 - 10 / 20)) / 150
    assert measure("CDDL", counts(STRATA)).value == pytest.approx(labels)
    # Predicted negative a 30, d 28, positive a 30, d 12; then a 14, d 20 and a 6, d 10.
    predicted = (100 * (28 / 58 - 12 / 42) + 50 * (20 / 34 - 10 / 16)) / 150
    assert measure("CDDPL", counts(STRATA)).value == pytest.approx(predicted)

    # Each department takes both alike, 80 % and 20 %; d applies where few are taken.
    departments = [[[[20, 0], [80, 0]], [[2, 0], [8, 0]]], [[[8, 0], [2, 0]], [[80, 0], [20, 0]]]]
    assert measure("DPL", counts(departments)).value > 0.4
    assert measure("CDDL", counts(departments)).value == pytest.approx(0)


# The examples in the SageMaker AI Developer Guide's pages of the metrics, as they stand there.
A = [[20, 10], [5, 65]]
D = [[18, 5], [7, 20]]


@pytest.mark.parametrize(
    ("name", "cells", "value", "digits"),
    [
        ("KL", of_labels((20, 80), (70, 30)), 0.53, 2),
        ("RD", counts([A, D]), 0.19, 2),
        ("SD", counts([A, D]), 0.1159, 4),
        ("AD", counts([[[10, 10], [20, 60]], [[10, 10], [40, 40]]]), 0.2, 9),
        ("TE", counts([[[40, 6], [8, 46]], [[20, 2], [5, 23]]]), 1.167, 3),
        ("DAR", counts([[[20, 35], [10, 35]], [[20, 60], [10, 40]]]), 0.1, 9),
        ("DRR", counts([[[80, 5], [20, 5]], [[40, 5], [10, 5]]]), 0, 9),
        ("DCA", counts([[[30, 0], [10, 60]], [[20, 10], [0, 20]]]), 0.5, 9),
        ("DCA", counts([[[40, 10], [0, 50]], [[10, 0], [10, 30]]]), -0.5, 9),
        ("DCR", counts([[[50, 0], [10, 40]], [[30, 10], [0, 10]]]), 0.5, 9),
        ("DCR", counts([[[60, 10], [0, 30]], [[20, 0], [10, 20]]]), -0.5, 9),
    ],
)
def test_the_guides_own_examples(name: str, cells, value: float, digits: int) -> None:
    assert round(measure(name, cells).value, digits) == pytest.approx(value)


def test_the_guides_example_of_three_labels() -> None:
    # rejected, waitlisted, accepted: 40 %, 40 %, 20 % of a and 20 %, 10 %, 70 % of d
    college = of_labels((40, 40, 20), (20, 10, 70), positive=(False, False, True))
    assert measure("KS", college).value == pytest.approx(0.5)
    assert measure("TVD", college).value == pytest.approx((0.2 + 0.3 + 0.5) / 2)
    assert measure("LP", college).value == pytest.approx(sqrt(0.04 + 0.09 + 0.25))
    assert measure("DPL", college).value == pytest.approx(0.2 - 0.7)
    assert measure("KL", college).value == pytest.approx(
        0.4 * log(0.4 / 0.2) + 0.4 * log(0.4 / 0.1) + 0.2 * log(0.2 / 0.7)
    )


@pytest.mark.parametrize(
    ("empty", "names", "reason"),
    [
        (np.s_[:, 1], set(METRICS) - {"GE"}, "the disadvantaged group has no rows"),
        (np.s_[:, 0], set(METRICS) - {"GE"}, "the advantaged group has no rows"),
        (np.s_[..., 1], set(POST) - {"GE"}, "no row is predicted positive"),
        (np.s_[..., 0], set(POST) - {"GE"}, "every row is predicted positive"),
        (np.s_[:, :, 1], LABELS, "no row has the positive label"),
        (np.s_[:, :, 0], LABELS, "every row has the positive label"),
        (np.s_[:, 0, :, 1], {"DI", "DCA", "DAR"}, "no row of the advantaged group is predicted"),
        (np.s_[:, 1, :, 1], {"DCA", "DAR"}, "no row of the disadvantaged group is predicted p"),
        (np.s_[:, 0, :, 0], {"DCR", "DRR"}, "advantaged group is predicted negative"),
        (np.s_[:, 1, :, 0], {"DCR", "DRR"}, "disadvantaged group is predicted negative"),
        (np.s_[:, 1, 1], {"RD"}, "no row of the disadvantaged group has the positive label"),
        (np.s_[:, 0, 1], {"RD"}, "no row of the advantaged group has the positive label"),
        (np.s_[:, 1, 0], {"SD"}, "no row of the disadvantaged group has a negative label"),
        (np.s_[:, 0, 0], {"SD"}, "no row of the advantaged group has a negative label"),
        (np.s_[:, 1, 0, 1], {"TE"}, "disadvantaged group is wrongly predicted positive"),
        (np.s_[:, 0, 0, 1], {"TE"}, "advantaged group is wrongly predicted positive"),
        (np.s_[:, 1, 1], {"KL"}, "KL is infinite"),
        (np.s_[1, :, 1], {"CDDL"}, "rows of only one outcome"),
        (np.s_[1, ..., 0], {"CDDPL"}, "rows of only one outcome"),
    ],
)
def test_what_has_no_denominator_is_undefined_with_the_reason(empty, names, reason) -> None:
    table = np.array(STRATA)
    table[empty] = 0
    for name in names:
        measured = measure(name, counts(table))
        assert measured.value is None
        assert reason in measured.error
    assert not intervals(names, counts(table), replicates=1000, seed=0)


def test_a_ratio_of_nobody_is_the_worst_and_entropy_of_no_benefit_has_no_value() -> None:
    table = CELLS.copy()
    table[1, :, 1] = 0
    assert measure("DI", counts(table)).value == 0
    refused = counts([[[0, 0], [5, 0]], [[0, 0], [5, 0]]])
    assert "wrongly predicted negative" in measure("GE", refused).error
    assert measure("GE", counts(np.zeros((2, 2, 2)))).value is None


def test_rows_without_a_facet_value_or_a_group_variable_leave_comparisons_undefined() -> None:
    table = counts(STRATA, missing=3)
    for name in set(METRICS) - {"GE"}:
        assert "3 of 153 rows have no value of the facet" in measure(name, table).error
    assert not intervals(set(METRICS) - {"GE"}, table, replicates=1000, seed=0)
    assert measure("GE", table).value == measure("GE", counts(STRATA)).value
    for name in ("CDDL", "CDDPL"):
        assert "no group variable" in measure(name, counts(CELLS)).error


def test_the_interval_of_counts_is_that_of_resampled_rows() -> None:
    generator = np.random.default_rng(0)
    disadvantaged, labels, predicted = generator.random((3, 1500)) < [[0.4], [0.3], [0.5]]
    slow = []
    for rows in generator.integers(0, 1500, size=(2000, 1500)):
        d, p = disadvantaged[rows], predicted[rows]
        slow.append(p[d].mean() / p[~d].mean())
    table = binary_counts(disadvantaged, labels, predicted)
    ends = intervals(["DI"], table, replicates=20_000, seed=0)["DI"]
    assert [ends.low, ends.high] == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.015)
    assert ends.low < measure("DI", table).value < ends.high
    assert ends == intervals(["AD", "DI"], table, replicates=20_000, seed=0)["DI"]


@pytest.mark.parametrize(("missed", "shown"), [(2, False), (3, True)])
def test_a_kind_of_row_that_hardly_occurs_gives_no_interval(missed: int, shown: bool) -> None:
    """For recall these are false negatives, whose count hardly varies in the bootstrap."""
    table = counts([[[400, 60], [20, 60]], [[140, 20], [missed, 30]]])
    results = intervals(["RD", "DRR", "DI", "SD"], table, replicates=200, seed=0)
    assert ("RD" in results, "DRR" in results) == (shown, shown)
    assert {"DI", "SD"} <= results.keys()


def test_too_few_rows_for_an_interval_give_none() -> None:
    table = counts([[[3, 1], [3, 0]], [[3, 1], [3, 1]]])
    assert measure("DI", table).value is not None
    assert not intervals(["DI"], table, replicates=5000, seed=0)


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


@given(table=drawn_counts())
def test_swapping_the_groups_turns_the_sign_but_of_ratio_distances_and_entropy(table) -> None:
    swapped = Counts(cells=table.cells[:, ::-1], positive=table.positive, stratified=True)
    for name in METRICS.keys() - {"KL"}:
        value, back = measure(name, table).value, measure(name, swapped).value
        if name == "DI":
            assert value * back == pytest.approx(1)
        elif name in ("GE", "JS", "LP", "TVD", "KS"):
            assert value == pytest.approx(back)
        else:
            assert value == pytest.approx(-back)


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


@pytest.fixture(scope="module", params=[0, 1, 2])
def rows(request: pytest.FixtureRequest) -> pd.DataFrame:
    generator = np.random.default_rng(request.param)
    group = generator.random(400) < 0.4
    label = generator.random(400) < np.where(group, 0.3, 0.55)
    predicted = generator.random(400) < np.where(label, 0.7, 0.25) - 0.1 * group
    return pd.DataFrame({"group": group, "label": label, "predicted": predicted}).astype(int)


def value(rows: pd.DataFrame, name: str) -> float:
    columns = (rows[column].to_numpy() == 1 for column in ("group", "label", "predicted"))
    return measure(name, binary_counts(*columns)).value


def test_fairlearns_rates_by_group_give_our_metrics(rows: pd.DataFrame) -> None:
    fairlearn = pytest.importorskip("fairlearn.metrics")
    scores = pytest.importorskip("sklearn.metrics")

    frame = fairlearn.MetricFrame(
        metrics={
            "DPPL": fairlearn.selection_rate,
            "RD": scores.recall_score,
            "SD": partial(scores.recall_score, pos_label=0),
            "DAR": scores.precision_score,
            "DRR": partial(scores.precision_score, pos_label=0),
            "AD": scores.accuracy_score,
            "n": fairlearn.count,
        },
        y_true=rows["label"],
        y_pred=rows["predicted"],
        sensitive_features=rows["group"],
    )
    by_group = frame.by_group
    for name in ("DPPL", "RD", "DAR", "AD"):
        assert value(rows, name) == pytest.approx(by_group[name][0] - by_group[name][1])
    for name in ("SD", "DRR"):
        assert value(rows, name) == pytest.approx(by_group[name][1] - by_group[name][0])
    assert value(rows, "DI") == pytest.approx(by_group["DPPL"][1] / by_group["DPPL"][0])
    n_a, n_d = by_group["n"]
    assert value(rows, "CI") == pytest.approx((n_a - n_d) / (n_a + n_d))
    ratio = fairlearn.demographic_parity_ratio(
        rows["label"], rows["predicted"], sensitive_features=rows["group"]
    )
    assert min(value(rows, "DI"), 1 / value(rows, "DI")) == pytest.approx(ratio)


def test_aif360s_metrics_have_our_values_and_the_other_sign(rows: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        datasets = pytest.importorskip("aif360.datasets")
        metrics = pytest.importorskip("aif360.metrics")

    def dataset(column: str):
        frame = rows[["group"]].assign(label=rows[column])
        return datasets.BinaryLabelDataset(
            df=frame, label_names=["label"], protected_attribute_names=["group"]
        )

    sides = {"unprivileged_groups": [{"group": 1}], "privileged_groups": [{"group": 0}]}
    labels = metrics.BinaryLabelDatasetMetric(dataset("label"), **sides)
    assert value(rows, "DPL") == pytest.approx(-labels.mean_difference())
    theirs = metrics.ClassificationMetric(dataset("label"), dataset("predicted"), **sides)
    assert value(rows, "DPPL") == pytest.approx(-theirs.statistical_parity_difference())
    assert value(rows, "DI") == pytest.approx(theirs.disparate_impact())
    assert value(rows, "RD") == pytest.approx(-theirs.equal_opportunity_difference())
    assert value(rows, "SD") == pytest.approx(-theirs.false_positive_rate_difference())
    assert value(rows, "AD") == pytest.approx(theirs.error_rate_difference())
    assert value(rows, "DAR") == pytest.approx(theirs.false_discovery_rate_difference())
    assert value(rows, "DRR") == pytest.approx(-theirs.false_omission_rate_difference())
    assert value(rows, "GE") == pytest.approx(theirs.generalized_entropy_index(alpha=2))


def test_a_few_undefined_resamples_are_left_out_and_many_leave_no_interval() -> None:
    replicates = np.ones(1000)
    replicates[:10] = np.nan
    assert uncertainty.percentile_interval(replicates) == uncertainty.Interval(low=1, high=1)
    replicates[:11] = np.nan
    assert uncertainty.percentile_interval(replicates) is None
    assert uncertainty.estimate(1.0, replicates).low is None
    assert uncertainty.estimate(float("nan"), replicates).value is None


def test_resampled_counts_keep_the_number_of_rows_and_the_empty_cells() -> None:
    counts = np.array([[5, 0], [15, 80]], dtype=np.int64)
    (drawn,) = uncertainty.resampled_counts(counts, replicates=2000, seed=1)
    assert drawn.shape == (2000, 2, 2)
    assert (drawn.sum(axis=(1, 2)) == 100).all()
    assert (drawn[:, 0, 1] == 0).all()
    assert drawn.mean(axis=0) == pytest.approx(counts, abs=0.5)


@pytest.mark.parametrize(
    ("draw", "of", "rows", "blocks"),
    [
        (uncertainty.resampled_counts, np.array([3, 4, 5], dtype=np.int64), 12, 8),
        (uncertainty.resampled_weights, 7, 7, 17),
    ],
)
def test_draws_do_not_depend_on_the_blocks(monkeypatch, draw, of, rows, blocks) -> None:
    (whole,) = draw(of, replicates=50, seed=3)
    monkeypatch.setattr("sashiko.evaluation.metrics.uncertainty._MAX_WEIGHTS", 21)
    pieces = list(draw(of, replicates=50, seed=3))
    assert len(pieces) == blocks
    assert (np.concatenate(pieces) == whole).all()
    assert (whole.sum(axis=1) == rows).all()


REPLICATES = st.integers(0, 10_000).map(
    lambda seed: np.random.default_rng(seed).standard_t(3, size=500)
)


@given(replicates=REPLICATES)
def test_one_look_is_the_plain_interval(replicates) -> None:
    low, high = np.quantile(replicates, [0.025, 0.975])
    ends = uncertainty.percentile_interval(replicates, looks=1)
    assert (ends.low, ends.high) == pytest.approx((low, high))
    assert uncertainty.percentile_interval(replicates) == ends


@given(replicates=REPLICATES, looks=st.integers(1, 60), more=st.integers(1, 60))
def test_each_look_more_widens_the_interval_to_both_sides(replicates, looks, more) -> None:
    few = uncertainty.percentile_interval(replicates, looks=looks)
    many = uncertainty.percentile_interval(replicates, looks=looks + more)
    assert many.low <= few.low <= few.high <= many.high


@settings(max_examples=20, deadline=None)
@given(table=drawn_counts(), looks=st.integers(2, 40))
def test_only_the_metric_with_several_looks_is_widened(table: Counts, looks: int) -> None:
    plain = intervals(METRICS, table, replicates=8000, seed=0)
    wide = intervals(METRICS, table, replicates=8000, seed=0, looks={"DI": looks})
    for name, ends in wide.items():
        if name == "DI":
            assert ends.low <= plain[name].low <= plain[name].high <= ends.high
        else:
            assert ends == plain[name]
    assert set(plain) - {"DI"} == set(wide) - {"DI"}


def test_thin_tails_hold_exactly_their_share_and_get_enough_resamples() -> None:
    ends = uncertainty.percentile_interval(np.linspace(0, 1, 10_001), looks=10)
    assert (ends.low, ends.high) == pytest.approx((0.0025, 0.9975))

    replicates = np.linspace(0, 1, 10_000)
    replicates[::500] = np.nan  # 0.2 %
    assert uncertainty.percentile_interval(replicates, looks=5) is not None
    assert uncertainty.percentile_interval(replicates, looks=6) is None

    assert uncertainty.required_replicates(20_000, looks=1) == 20_000
    assert uncertainty.required_replicates(20_000, looks=100) == 20_000
    assert uncertainty.required_replicates(20_000, looks=101) > 20_000
    for looks in (7, 300):
        assert uncertainty.required_replicates(1, looks=looks) * 0.025 / looks >= 5


SIZES = np.array([150, 180, 220, 300, 400, 350, 250, 150])
ACCEPTED = np.array([0.3, 0.35, 0.4, 0.45, 0.5, 0.45, 0.4, 0.35])


def against_everyone_else(positives) -> list[Counts]:
    """Counts of each group, of whose rows that many are predicted positive."""
    cells = np.stack([SIZES - positives, positives], axis=-1)
    table = FacetTable(
        cells=np.stack([np.zeros_like(cells), cells], axis=1)[None],
        positive=BINARY,
        missing=0,
        stratified=False,
    )
    return [table.one_vs_rest(mask) for mask in np.eye(len(SIZES), dtype=bool)]


@pytest.mark.slow
def test_all_groups_hold_their_true_value_at_once_as_often_as_stated() -> None:
    # of 150 times a share of 0.95 has a standard error of 0.018; intervals of one look would all
    # hold in about 0.95^8, two thirds
    generator = np.random.default_rng(1)
    truth = [measure("DI", counts).value for counts in against_everyone_else(SIZES * ACCEPTED)]
    coverage = {1: 0, len(SIZES): 0}
    for _ in range(150):
        drawn = against_everyone_else(generator.binomial(SIZES, ACCEPTED))
        for looks in coverage:
            ends = [
                intervals(["DI"], counts, replicates=1600, seed=0, looks={"DI": looks})["DI"]
                for counts in drawn
            ]
            coverage[looks] += all(
                end.low <= value <= end.high for end, value in zip(ends, truth, strict=True)
            )
    assert coverage[len(SIZES)] / 150 > 0.9
    assert coverage[1] / 150 < 0.8


SAMPLES = 400  # 95 % of so many, three standard errors either way, is 91.7 to 98.3 %


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["common", "rare"])
def test_bias_intervals_hold_the_true_value(labels: str) -> None:
    tallies = bias_coverage(labels, samples=SAMPLES, replicates=400, seed=3, sizes=(200,))
    covered = {
        metric: tally.covered / tally.shown
        for (metric, _), tally in tallies.items()
        if tally.shown > SAMPLES / 2
    }
    assert {"DI", "DPPL", "AD"} <= covered.keys()
    assert {metric: share for metric, share in covered.items() if not 0.917 <= share <= 0.99} == {}
