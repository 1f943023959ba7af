import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sashiko.bias.metrics.clarify_metrics import METRICS, intervals, measure
from sashiko.evaluation.metrics import uncertainty
from sashiko.evaluation.metrics.counts import Counts, FacetTable
from tests.unit.evaluation.metrics.tables import BINARY, drawn_counts
from verification.benchmarks.interval_coverage import bias_coverage


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


def test_the_tails_hold_exactly_their_share_of_the_error() -> None:
    ends = uncertainty.percentile_interval(np.linspace(0, 1, 10_001), looks=10)
    assert (ends.low, ends.high) == pytest.approx((0.0025, 0.9975))


def test_undefined_resamples_may_take_no_more_than_their_share_of_a_thin_tail() -> None:
    replicates = np.linspace(0, 1, 10_000)
    replicates[::500] = np.nan  # 0.2 %
    assert uncertainty.percentile_interval(replicates, looks=5) is not None
    assert uncertainty.percentile_interval(replicates, looks=6) is None


def test_thin_tails_get_enough_resamples() -> None:
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
