"""Two versions on the same rows: a planted difference is detected, and none where there is none."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sashiko.core.files import canonical_json
from sashiko.monitoring.shadow import Comparison
from sashiko.monitoring.shadow_comparison import ROWS_NEEDED, compare
from sashiko.monitoring.shadow_rows import AuditedRows, ScoredRows
from sashiko.settings.quality import EvaluateSection

SECTION = EvaluateSection(bootstrap_replicates=400)
NONE = AuditedRows(*(np.zeros(0, dtype) for dtype in (np.int64, np.float64, np.int64)), drawn=0)
SAME = "no change of the positive rate is shown"


def scored(champion, candidate, *, per_request: int = 1) -> ScoredRows:
    """Rows of requests of equal size."""
    return ScoredRows(
        keys=tuple(f"key {number}" for number in range(len(champion))),
        requests=np.arange(len(champion)) // per_request,
        champion=np.asarray(champion, dtype=np.float64),
        candidate=np.asarray(candidate, dtype=np.float64),
        refused=0,
    )


def judge(rows: ScoredRows, audited: AuditedRows = NONE) -> Comparison:
    return compare(rows, audited, SECTION, thresholds=(0.5, 0.5))


def drawn(rows: int, labels, *, probabilities=1.0, unlabelled: int = 0) -> AuditedRows:
    """The first rows, drawn and labelled."""
    return AuditedRows(
        np.arange(rows), np.full(rows, probabilities) * 1.0, np.asarray(labels), rows + unlabelled
    )


@pytest.fixture
def noise():
    return np.random.default_rng(7)


def moved(noise, size: float, *, rows: int = 1000) -> ScoredRows:
    champion = noise.uniform(size=rows)
    return scored(champion, champion + size + noise.normal(0, 0.02, rows))


@pytest.mark.parametrize(
    ("size", "outcome"),
    [(0.1, "more positive decisions"), (-0.1, "fewer positive decisions")],
)
def test_a_planted_difference_is_detected_with_its_direction_and_size(noise, size, outcome) -> None:
    result = judge(moved(noise, size))
    assert result.positive_rate.outcome == outcome
    rate = result.positive_rate.estimate
    assert rate is not None
    assert min(rate.low, rate.high) < size < max(rate.low, rate.high)
    neither, gained, lost, both = result.decisions
    assert neither + gained + lost + both == result.rows == 1000
    assert rate.value == pytest.approx((gained - lost) / 1000)
    median = result.score_differences[9]
    assert median.low < size < median.high
    values = [each.value for each in result.score_differences]
    assert values == sorted(values)


def test_few_windows_without_a_difference_show_one() -> None:
    generator = np.random.default_rng(3)
    outcomes = []
    for _ in range(200):
        truth = generator.uniform(size=300)
        both = [np.clip(truth + generator.normal(0, 0.2, 300), 0, 1) for _ in range(2)]
        outcomes.append(judge(scored(*both)).positive_rate.outcome)
    # 5 % of them by the interval's definition; more than 20 has a probability below 1e-3.
    assert 200 - outcomes.count(SAME) <= 20


def test_a_version_beside_itself_decides_the_same(noise) -> None:
    champion = noise.uniform(size=400)
    result = judge(scored(champion, champion))
    assert (result.positive_rate.outcome, result.positive_rate.estimate) == ("same decisions", None)
    assert result.decisions[1:3] == (0, 0)
    assert {(item.low, item.value, item.high) for item in result.score_differences} == {(0, 0, 0)}


def test_rows_of_a_request_count_as_one_where_they_are_alike(noise) -> None:
    champion, candidate = noise.uniform(size=(2, 300))
    single = judge(scored(champion, candidate)).positive_rate.estimate
    copies = scored(np.repeat(champion, 9), np.repeat(candidate, 9), per_request=9)
    alike = judge(copies).positive_rate.estimate
    assert alike == single  # nine copies of a row in its request tell no more than the row
    apart = judge(replace(copies, requests=np.arange(2700))).positive_rate.estimate
    ratio = (alike.high - alike.low) / (apart.high - apart.low)
    assert ratio == pytest.approx(3, rel=0.2)


@pytest.mark.parametrize(
    ("rows", "per_request", "reason"),
    [
        (ROWS_NEEDED - 1, 1, "199 rows in 199 requests, 200 rows in 30 requests are needed"),
        (290, 10, "290 rows in 29 requests, 200 rows in 30 requests are needed"),
        (0, 1, "0 rows in 0 requests, 200 rows in 30 requests are needed"),
    ],
)
def test_too_few_rows_are_not_judged_and_say_how_many_are_needed(
    noise, rows, per_request, reason
) -> None:
    result = judge(scored(*noise.uniform(size=(2, rows)), per_request=per_request))
    assert (result.positive_rate.outcome, result.positive_rate.reason) == ("not judged", reason)
    assert result.positive_rate.estimate is None
    assert result.score_differences == ()
    assert result.accuracy.outcome == result.auc.outcome == "not judged"


def test_a_window_that_is_just_large_enough_is_judged(noise) -> None:
    assert judge(moved(noise, 0.3, rows=ROWS_NEEDED)).positive_rate.outcome != "not judged"


def with_decisions(neither: int, gained: int, lost: int, both: int) -> ScoredRows:
    kinds = np.repeat(np.arange(4), [neither, gained, lost, both])
    return scored(np.where(kinds >= 2, 0.9, 0.1), np.where(kinds % 2, 0.8, 0.2))


@pytest.mark.parametrize("counts", [(300, 4, 0, 100), (300, 40, 9, 100), (300, 40, 30, 3)])
def test_a_few_rows_are_hidden_with_what_would_give_them_away(counts) -> None:
    result = judge(with_decisions(*counts))
    assert result.decisions.count(None) >= 2
    assert not {count for count in counts if 0 < count < 10} & set(result.decisions)
    assert result.positive_rate.estimate is None
    assert result.positive_rate.reason == "a kind of decision has 1 to 9 rows, which are hidden"


def test_ten_rows_of_each_kind_or_none_are_shown() -> None:
    assert judge(with_decisions(300, 10, 0, 100)).decisions == (300, 10, 0, 100)
    assert judge(with_decisions(300, 10, 0, 100)).positive_rate.estimate is not None


@given(counts=st.tuples(*[st.integers(0, 60)] * 4))
@settings(max_examples=60, deadline=None)
def test_no_count_of_a_few_rows_follows_from_what_is_shown(counts) -> None:
    result = judge(with_decisions(*counts))
    shown = [count for count in result.decisions if count is not None]
    assert not any(0 < count < 10 for count in shown)
    if len(shown) < 4:
        hidden = sum(counts) - sum(shown)
        # From shown counts, the total and the rates no single hidden count can be computed.
        assert result.decisions.count(None) >= 2
        assert hidden >= 10 or sum(counts) < 10
        assert result.positive_rate.estimate is None


def test_the_audit_says_which_version_is_right_more_often(noise) -> None:
    labels = noise.integers(0, 2, 400)
    candidate = np.where(noise.uniform(size=400) < 0.95, labels, 1 - labels)
    champion = np.where(noise.uniform(size=400) < 0.70, labels, 1 - labels)
    rows = scored(0.2 + 0.6 * champion, 0.2 + 0.6 * candidate)
    better = judge(rows, drawn(400, labels))
    assert better.audited_rows == 400
    assert (better.accuracy.outcome, better.auc.outcome) == ("better", "better")
    expected = np.mean(candidate == labels) - np.mean(champion == labels)
    assert better.accuracy.estimate.value == pytest.approx(expected)
    worse = judge(scored(rows.candidate, rows.champion), drawn(400, labels))
    assert (worse.accuracy.outcome, worse.auc.outcome) == ("worse", "worse")
    assert worse.accuracy.estimate.value == pytest.approx(-expected)


def test_equally_good_versions_are_not_shown_to_differ(noise) -> None:
    labels = noise.integers(0, 2, 400)
    both = [0.2 + 0.6 * np.where(noise.uniform(size=400) < 0.8, labels, 1 - labels) for _ in "ab"]
    assert judge(scored(*both), drawn(400, labels)).accuracy.outcome == "not shown to be better"


def test_audited_rows_count_by_the_inverse_of_their_probability() -> None:
    """One period was drawn whole, of the other each tenth row: it stands for ten times as many."""
    labels = np.ones(200, dtype=int)
    candidate = np.where(np.arange(200) < 100, 0.9, 0.1)  # right in the first period alone
    rows = scored(1 - candidate, candidate)
    audited = drawn(200, labels, probabilities=np.where(np.arange(200) < 100, 1.0, 0.1))
    result = judge(rows, audited).accuracy
    assert result.estimate.value == pytest.approx(100 / 1100 - 1000 / 1100)


@pytest.mark.parametrize(
    ("labelled", "unlabelled", "reason"),
    [
        (0, 0, "0 of 0 drawn rows of the window are labelled, in 0 requests; 100 in 30 are needed"),
        (99, 0, "99 of 99 drawn rows of the window are labelled, in 99 requests; 100 in"),
        (179, 21, "179 of 200 drawn rows of the window are labelled, in 179 requests; 180 in"),
    ],
)
def test_too_few_audited_labels_are_not_judged(noise, labelled, unlabelled, reason) -> None:
    rows = scored(*noise.uniform(size=(2, 300)))
    labels = noise.integers(0, 2, labelled)
    result = judge(rows, drawn(labelled, labels, unlabelled=unlabelled))
    for metric in (result.accuracy, result.auc):
        assert (metric.outcome, metric.estimate) == ("not judged", None)
        assert metric.reason.startswith(reason)
    assert result.positive_rate.outcome != "not judged"  # which needs no label


def test_too_few_rows_that_tell_the_versions_apart_are_not_judged(noise) -> None:
    """A bootstrap of rows that are all decided alike would have an interval without width."""
    labels = np.arange(200) % 2
    champion = np.where(labels == 1, 0.9, 0.1)
    candidate = champion + noise.normal(0, 0.01, 200)
    alike = judge(scored(champion, candidate), drawn(200, labels))
    assert alike.accuracy.reason == "fewer than 10 audited rows are decided differently"
    assert alike.auc.outcome != "not judged"
    one_label = judge(scored(champion, 1 - champion), drawn(200, np.arange(200) < 9))
    assert one_label.auc.reason == "fewer than 10 audited rows have one of the labels"
    assert one_label.accuracy.outcome != "not judged"


def test_equal_rows_give_equal_bytes(noise) -> None:
    rows = moved(noise, 0.05)
    audited = drawn(500, noise.integers(0, 2, 500))
    first, second = (canonical_json(judge(rows, audited).model_dump(mode="json")) for _ in "ab")
    assert first == second
