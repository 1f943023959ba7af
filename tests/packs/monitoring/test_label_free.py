import numpy as np
import pytest

from sashiko_packs.monitoring.checks import MonitorCheck, Outcome
from sashiko_packs.monitoring.steps.judge import label_free_accuracy

ROWS = np.array([100, 100, 0, 100])
RIGHT = np.array([90, 60, 0, 80])


def _check(outcome: Outcome, name: str = "drift of product") -> MonitorCheck:
    return MonitorCheck(
        name=name,
        kind="drift",
        outcome=outcome,
        rows=500,
        rows_needed=100,
        effect="Cohen's w",
        tolerance=0.1,
        reason="",
    )


def _estimate(window, *checks: MonitorCheck):
    return label_free_accuracy(rows=ROWS, right=RIGHT, window=np.array(window), input_checks=checks)


def test_it_weighs_the_references_accuracy_with_the_windows_scores() -> None:
    estimate = _estimate([10, 30, 0, 60], _check("ok"))
    assert estimate.value == pytest.approx(0.1 * 0.9 + 0.3 * 0.6 + 0.6 * 0.8)
    assert estimate.condition == "if P(label | score) is unchanged"


def test_it_is_withdrawn_when_inputs_drifted_and_names_them() -> None:
    estimate = _estimate([10, 30, 0, 60], _check("ok"), _check("alarm", "drift of the texts"))
    assert estimate.value is None
    assert estimate.withdrawn == "alarm: drift of the texts"


def test_it_is_withdrawn_when_no_input_was_judged() -> None:
    assert _estimate([10, 30, 0, 60], _check("not judged")).withdrawn == "no input was judged"


@pytest.mark.parametrize("window", [[10, 30, 5, 60], [0, 0, 0, 0]])
def test_it_says_nothing_of_scores_that_the_reference_has_not(window: list[int]) -> None:
    estimate = _estimate(window, _check("ok"))
    assert estimate.value is None
    assert estimate.withdrawn == "the reference has no rows of these scores"
