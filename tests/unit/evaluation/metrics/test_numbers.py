"""Metrics of a number, against scikit-learn, scipy and plain loops."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as oracle

from sashiko.evaluation.metrics.arrays import ModelScores
from sashiko.evaluation.metrics.numbers import ScoredNumbers, covered_rows, exact_share
from sashiko.evaluation.metrics.quality import (
    IN_LABEL_UNIT,
    LOWER_IS_BETTER,
    NUMBER_SLICE_METRICS,
    confusion_matrix,
    difference,
    evaluate_scores,
    slice_estimates,
)

SAMPLING = {"replicates": 400, "seed": 0}


def predicted_rows(*, rows: int = 500, seed: int = 0, noise: float = 2.0, shift: float = 0.0):
    """Values around 20, and predictions that know something about them."""
    generator = np.random.default_rng(seed)
    values = generator.normal(20, 5, rows)
    predictions = values + generator.normal(shift, noise, rows)
    return values, ModelScores(predictions[:, None], 20.0, half_width=3.0)


def figures(values, model) -> dict[str, float]:
    """What scikit-learn says of the rows."""
    predictions = model.scores[:, 0]
    return {
        "rmse": oracle.root_mean_squared_error(values, predictions),
        "mae": oracle.mean_absolute_error(values, predictions),
        "median_absolute_error": oracle.median_absolute_error(values, predictions),
        "r2": oracle.r2_score(values, predictions),
    }


@pytest.mark.parametrize("rows", [2, 7, 500, 501])
def test_values_equal_those_of_scikit_learn(rows: int) -> None:
    values, model = predicted_rows(rows=rows)
    measured = {k: v.value for k, v in evaluate_scores(values, model, **SAMPLING).items()}
    covered = np.mean([abs(v - p) <= 3 for v, p in zip(values, model.scores[:, 0], strict=True)])
    assert measured == pytest.approx(figures(values, model) | {"interval_coverage": covered})


def test_errors_of_large_values_keep_their_digits_and_their_interval_is_that_of_the_t_test() -> (
    None
):
    """Seconds since 1970: their squares have no room for the digits of their variance."""
    values, model = predicted_rows()
    later = ModelScores(model.scores + 1.7e9, model.threshold)
    measured = evaluate_scores(values + 1.7e9, later, **SAMPLING)
    assert measured["r2"].value == pytest.approx(figures(values, model)["r2"], rel=1e-6)

    values, model = predicted_rows(rows=2000)
    absolute = np.abs(values - model.scores[:, 0])
    expected = stats.ttest_1samp(absolute, 0).confidence_interval()
    mae = evaluate_scores(values, model, replicates=4000, seed=0)["mae"]
    assert (mae.low, mae.high) == pytest.approx((expected.low, expected.high), abs=0.005)


def test_weighted_rows_have_the_metrics_of_repeated_rows() -> None:
    """A resample is a weighting: the intervals rest on it."""
    values, model = predicted_rows(rows=120)
    times = np.random.default_rng(3).integers(0, 4, (20, 120))
    weighted = ScoredNumbers.of(values, model).metrics(times.astype(np.float64))
    for index, counts in enumerate(times):
        again = np.repeat(np.arange(120), counts)
        repeated = figures(values[again], ModelScores(model.scores[again], 20.0))
        measured = {name: each[index] for name, each in weighted.items()}
        assert measured == pytest.approx(repeated)


def test_equal_values_and_their_resamples_have_no_variance_to_explain() -> None:
    model = ModelScores(np.array([[0.1], [0.2], [0.3]]), 0.0)
    measured = evaluate_scores(np.full(3, 0.1), model, **SAMPLING)
    assert measured["r2"].value is None
    assert measured["mae"].value == pytest.approx(0.1)

    # Of two values of which one is rare, many resamples have the other one alone.
    values = np.array([0.1] * 9 + [0.7])
    scored = ScoredNumbers.of(values, ModelScores(values[:, None] + 0.01, 0.0))
    weights = np.array([[1.0] * 9 + [0.0], [1.0] * 10])
    assert np.isnan(scored.metrics(weights)["r2"]).tolist() == [True, False]


@pytest.mark.parametrize("covered", [0, 7, 90, 100])
def test_coverage_has_the_interval_of_clopper_and_pearson(covered: int) -> None:
    """By the beta distribution, as their paper's limits are."""
    rows = np.arange(100) < covered
    share = exact_share(rows)
    low = stats.beta.ppf(0.025, covered, 101 - covered) if covered else 0.0
    high = stats.beta.ppf(0.975, covered + 1, 100 - covered) if covered < 100 else 1.0
    assert (share.value, share.low, share.high) == pytest.approx((covered / 100, low, high))
    values = np.where(rows, 0.0, 5.0)
    model = ModelScores(np.zeros((100, 1)), 0.0, half_width=3.0)
    assert evaluate_scores(values, model, **SAMPLING)["interval_coverage"] == share


def test_without_rows_a_share_is_undefined_and_without_intervals_there_is_none() -> None:
    assert exact_share(np.zeros(0, dtype=bool)).value is None
    values, model = predicted_rows()
    plain = ModelScores(model.scores, 20.0)
    assert "interval_coverage" not in evaluate_scores(values, plain, **SAMPLING)
    with pytest.raises(ValueError, match="no interval"):
        covered_rows(values, plain)


def test_a_lead_is_above_zero_where_the_first_is_better_and_coverage_has_none() -> None:
    values, model = predicted_rows(rows=2000)
    other = ModelScores(np.full((2000, 1), 20.0), 20.0, half_width=9.0)
    leads = difference(values, model, other, **SAMPLING)
    assert leads.keys() == {"rmse", "mae", "median_absolute_error", "r2"}
    for name, lead in leads.items():
        assert 0 < lead.low <= lead.value <= lead.high, name
    assert leads["mae"].value == pytest.approx(
        figures(values, other)["mae"] - figures(values, model)["mae"]
    )
    assert {"rmse", "mae", "median_absolute_error"} == IN_LABEL_UNIT < LOWER_IS_BETTER


def test_a_slice_that_is_predicted_too_high_has_a_mean_error_and_lies_below_all_rows() -> None:
    values, model = predicted_rows(rows=2000)
    bad = np.arange(2000) < 400
    shifted = ModelScores(model.scores + 4.0 * bad[:, None], 20.0, half_width=3.0)
    part, rest = slice_estimates(values, shifted, [bad, ~bad], **SAMPLING)
    errors = (shifted.scores[:, 0] - values)[bad]
    assert part.metrics.keys() == {*NUMBER_SLICE_METRICS, "interval_coverage"}
    assert part.metrics["mean_error"].value == pytest.approx(errors.mean())
    assert part.metrics["mean_error"].low > 3
    assert part.metrics["rmse"].value == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert part.metrics["interval_coverage"] == exact_share(np.abs(errors) <= 3.0)
    assert part.differences["mae"].high < 0 < rest.differences["mae"].low


def test_a_number_is_counted_by_its_two_outcomes_too() -> None:
    model = ModelScores(np.array([[-1.0], [0.0], [0.5], [3.0]]), 0.0)
    assert confusion_matrix(np.array([0, 1, 0, 1]), model).tolist() == [[1, 1], [1, 1]]
