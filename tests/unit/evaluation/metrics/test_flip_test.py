import numpy as np
import pytest

from sashiko.evaluation.metrics.flip_test import MOST_ROWS, flip_test


def rows(*parts: tuple[float, bool, bool]):
    """(feature, disadvantaged, predicted positive), a row each."""
    feature, disadvantaged, predicted = zip(*parts, strict=True)
    return (
        np.array(feature, dtype=np.float64)[:, None],
        np.array(disadvantaged),
        np.array(predicted),
    )


def test_values_worked_by_hand() -> None:
    # Of d: at 1 refused beside an accepted a; at 5 refused as the a beside it; at 9 accepted
    # beside a refused a; at 1.2 refused beside an accepted a. So F+ = 2, F- = 1, n_d = 4.
    a = [(1.1, False, True), (5.1, False, False), (9.1, False, False)]
    d = [(1.0, True, False), (5.0, True, False), (9.0, True, True), (1.2, True, False)]
    result = flip_test(*rows(*a, *d), seed=0)
    assert (result.value, result.rows) == ((2 - 1) / 4, 7)


def test_the_majority_of_five_neighbours_decides() -> None:
    near = [(number / 10, False, number < 3) for number in range(5)]
    far = [(100.0 + number, False, False) for number in range(5)]
    assert flip_test(*rows(*near, *far, (0.2, True, False)), seed=0).value == 1


@pytest.mark.parametrize("inverted", [False, True])
def test_turned_outcomes_turn_the_sign(inverted: bool) -> None:
    generator = np.random.default_rng(0)
    feature, d = generator.normal(size=(300, 2)), generator.random(300) < 0.4
    predicted = generator.random(300) < np.where(d, 0.3, 0.7)
    value = flip_test(feature, d, predicted ^ inverted, seed=0).value
    assert -1 <= value <= 1
    assert (value < 0) is inverted


def test_many_rows_are_sampled_by_the_seed_and_the_result_says_so() -> None:
    generator = np.random.default_rng(0)
    size = MOST_ROWS + 500
    feature, d = generator.normal(size=(size, 2)), generator.random(size) < 0.5
    predicted = generator.random(size) < np.where(d, 0.4, 0.6)
    result = flip_test(feature, d, predicted, seed=1)
    assert result.rows == MOST_ROWS
    assert result == flip_test(feature, d, predicted, seed=1)
    assert result != flip_test(feature, d, predicted, seed=2)
    assert result.value > 0


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([(1, False, True), (2, False, False)], "the disadvantaged group has no rows"),
        ([(1, True, True), (2, True, False)], "the advantaged group has no rows"),
        ([(1, True, False), (2, False, False)], "no row is predicted positive"),
        ([(1, True, True), (2, False, True)], "every row is predicted positive"),
        ([(float("nan"), True, True), (2, False, False)], "no finite number"),
    ],
)
def test_what_has_no_counterpart_is_undefined_with_the_reason(parts, reason: str) -> None:
    result = flip_test(*rows(*parts), seed=0)
    assert result.value is None
    assert reason in result.error


def test_text_has_no_features_to_compare() -> None:
    _, d, predicted = rows((0, True, True), (0, False, False))
    assert "as in text" in flip_test(np.empty((2, 0)), d, predicted, seed=0).error
