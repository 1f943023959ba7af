"""Simultaneous intervals over several looks: width and coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sashiko.bias.metrics.clarify_metrics import METRICS, intervals, measure
from sashiko.evaluation.metrics.counts import Counts, FacetTable
from sashiko.evaluation.metrics.uncertainty import percentile_interval, required_replicates
from tests.unit.evaluation.metrics.tables import BINARY, drawn_counts

REPLICATES = st.integers(0, 10_000).map(
    lambda seed: np.random.default_rng(seed).standard_t(3, size=500)
)


@given(replicates=REPLICATES)
def test_one_look_is_the_plain_interval(replicates) -> None:
    low, high = np.quantile(replicates, [0.025, 0.975])
    ends = percentile_interval(replicates, looks=1)
    assert (ends.low, ends.high) == pytest.approx((low, high))
    assert percentile_interval(replicates) == ends


@given(replicates=REPLICATES, looks=st.integers(1, 60), more=st.integers(1, 60))
def test_each_look_more_widens_the_interval_to_both_sides(replicates, looks, more) -> None:
    few = percentile_interval(replicates, looks=looks)
    many = percentile_interval(replicates, looks=looks + more)
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


def test_the_tails_hold_exactly_their_share_of_the_error() -> None:
    ends = percentile_interval(np.linspace(0, 1, 10_001), looks=10)
    assert (ends.low, ends.high) == pytest.approx((0.0025, 0.9975))


def test_undefined_resamples_may_take_no_more_than_their_share_of_a_thin_tail() -> None:
    replicates = np.linspace(0, 1, 10_000)
    replicates[::500] = np.nan  # 0.2 %
    assert percentile_interval(replicates, looks=5) is not None
    assert percentile_interval(replicates, looks=6) is None


def test_thin_tails_get_enough_resamples() -> None:
    assert required_replicates(20_000, looks=1) == 20_000
    assert required_replicates(20_000, looks=100) == 20_000
    assert required_replicates(20_000, looks=101) > 20_000
    for looks in (7, 300):
        assert required_replicates(1, looks=looks) * 0.025 / looks >= 5


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
