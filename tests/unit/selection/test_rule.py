"""Which candidates are dropped, which are as good as the best, and which is chosen."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from sashiko.selection.judge import judge
from sashiko.selection.rule import Choice, choose
from sashiko.selection.scores import CandidateScores
from tests.unit.selection.selections import (
    answers,
    judged_rows,
    scored,
    selection,
    selection_value,
    wrong_on,
)

ROWS = judged_rows()
LICENCES = ("Apache-2.0", "LicenseRef-Provider")


def choice(*candidates: CandidateScores, **changes: Any) -> Choice:
    file = selection(**changes)
    judged = [judge(item, ROWS, file, licences=LICENCES) for item in candidates]
    models = {item.name: item.model for item in candidates if item.model is not None}
    return choose(judged, models, ROWS.test.labels, selection=file, section=ROWS.recipe.evaluate)


def outcomes(result: Choice) -> Mapping[str, str]:
    return {item.name: item.outcome for item in result.candidates}


def test_the_cheapest_of_those_not_shown_to_be_worse_is_chosen() -> None:
    best = scored("best", wrong_on(ROWS, 0.10), usd=90.0)
    near = scored("near", wrong_on(ROWS, 0.11, seed=1), usd=5.0)
    worse = scored("worse", wrong_on(ROWS, 0.25, seed=2), usd=1.0)
    result = choice(best, near, worse)
    assert outcomes(result) == {"best": "as good", "near": "chosen", "worse": "worse"}
    assert (result.best, result.chosen) == ("best", "near")
    leads = {item.name: item.lead_of_best for item in result.candidates}
    assert leads["worse"].low > 0.02 > leads["near"].low


def test_a_larger_minimum_effect_keeps_a_cheaper_candidate() -> None:
    best = scored("best", wrong_on(ROWS, 0.10), usd=90.0)
    worse = scored("worse", wrong_on(ROWS, 0.25, seed=2), usd=1.0)
    assert choice(best, worse).chosen == "best"
    assert choice(best, worse, minimum_effect=0.3).chosen == "worse"


def test_at_equal_costs_the_better_one_is_chosen() -> None:
    near = scored("near", wrong_on(ROWS, 0.11, seed=1))
    best = scored("best", wrong_on(ROWS, 0.10))
    assert choice(near, best).chosen == "best"


def test_an_unknown_cost_is_never_the_cheapest() -> None:
    best = scored("best", wrong_on(ROWS, 0.10), usd=None)
    near = scored("near", wrong_on(ROWS, 0.11, seed=1), usd=5.0)
    result = choice(best, near)
    assert result.chosen == "near"
    assert "the cost of best is not known" in result.reason
    alone = choice(best)
    assert alone.chosen is None
    assert "no cost is known of best" in alone.reason


def test_one_that_fails_a_must_is_dropped_though_it_is_best_and_cheapest() -> None:
    good = scored("good", wrong_on(ROWS, 0.10), usd=90.0)
    unlicensed = scored("unlicensed", wrong_on(ROWS, 0.01), usd=0.1, licence="GPL-3.0")
    result = choice(good, unlicensed)
    assert outcomes(result) == {"good": "chosen", "unlicensed": "dropped"}
    (failed,) = next(item for item in result.candidates if item.name == "unlicensed").failed
    assert failed.name == "licence"


def test_a_biased_one_is_dropped_by_the_gates_of_the_rows_recipe() -> None:
    biased = judged_rows(handicap=0.3).facets
    fair = scored("fair", wrong_on(ROWS, 0.30), usd=90.0)
    result = choice(fair, scored("biased", biased.scores, usd=0.1))
    assert outcomes(result) == {"fair": "chosen", "biased": "dropped"}
    failed = next(item for item in result.candidates if item.name == "biased").failed
    assert "DI age=old" in {check.name for check in failed}


def test_without_scores_a_gate_that_needs_them_fails_with_that_reason() -> None:
    musts = selection_value()["musts"] | {
        "quality": [{"metric": "auc", "minimum": 0.5, "reason": "of use"}]
    }
    decisions = np.round(wrong_on(ROWS, 0.05))
    result = choice(
        scored("scores", wrong_on(ROWS, 0.2)),
        scored("decisions", decisions, has_scores=False),
        musts=musts,
    )
    item = next(item for item in result.candidates if item.name == "decisions")
    assert item.outcome == "dropped"
    assert [check.reason.partition(":")[0] for check in item.failed] == ["no scores"]
    assert set(item.metrics) == {"accuracy", "balanced_accuracy", "f1"}
    assert item.threshold is None


@pytest.mark.parametrize("usd", [None, 0.01])
def test_answers_written_by_hand_give_no_figure_and_are_never_chosen(usd: float | None) -> None:
    by_hand = scored(
        "by-hand", wrong_on(ROWS, 0.0), usd=usd, has_scores=False, answers=answers(hand_made=True)
    )
    result = choice(scored("real", wrong_on(ROWS, 0.2)), by_hand)
    item = next(item for item in result.candidates if item.name == "by-hand")
    assert (item.outcome, item.metrics, item.bias) == ("not measured", {}, ())
    assert result.chosen == "real"


def test_all_candidates_share_the_resamples() -> None:
    scores = wrong_on(ROWS, 0.2)
    result = choice(scored("one", scores), scored("two", scores.copy()))
    one, two = result.candidates
    assert one.metrics == two.metrics
    assert two.lead_of_best is not None
    assert (two.lead_of_best.low, two.lead_of_best.high) == (0.0, 0.0)
