"""The bars of monitoring in a short form; `.ci/weekly` measures them in the long one."""

from functools import cache

from verification.benchmarks.monitoring import (
    Effort,
    disparity_power,
    false_alarms,
    power,
)
from verification.benchmarks.monitoring_audit import (
    concept_drift,
    coverage,
    missing_labels,
    rare_positives,
    slow_labels,
    unchanged,
)
from verification.benchmarks.monitoring_page import Bar, alarms_page
from verification.benchmarks.monitoring_pools import Pools

_FEW = Effort(years=1, windows=1, column_windows=1, texts=1)


@cache
def _pools() -> Pools:
    return Pools(rows=8000, seed=0)


def _hold(*bars: Bar) -> None:
    assert not [bar for bar in bars if bar.holds == "no"]


def test_a_fall_of_accuracy_is_detected_in_time_and_a_tolerated_one_raises_few_alarms() -> None:
    _hold(*concept_drift(300, seed=0))


def test_a_fall_of_recall_is_found_and_an_unchanged_model_raises_few_alarms() -> None:
    _hold(*rare_positives(20, seed=0), *unchanged(20, seed=0))


def test_missing_and_late_labels_hide_no_fall() -> None:
    _hold(*missing_labels(10, seed=0), *slow_labels(25, seed=0))


def test_the_interval_of_the_audited_accuracy_holds_as_often_as_it_says() -> None:
    _hold(*coverage())


def test_planted_shifts_of_inputs_texts_and_cases_are_detected() -> None:
    _hold(*power(_pools(), _FEW, seed=0))


def test_a_fall_of_disparate_impact_is_detected() -> None:
    _hold(disparity_power(_pools(), _FEW, seed=0))


def test_a_quiet_year_raises_one_alarm_at_most() -> None:
    _hold(false_alarms(_pools(), _FEW, rows=500, seed=0))


def test_the_page_names_each_measure_with_its_bar_and_says_what_does_not_hold() -> None:
    bars = [
        Bar("a", 0.5, "3 years", most=1, ends=(0.2, 0.8)),
        Bar("b", 2, "3 years", most=1, ends=(1.5, 3)),
        Bar("c", 0.9, "3 windows", least=0.95, ends=(0.5, 1)),
        Bar("d", 7, "3 runs"),
    ]
    text = alarms_page(bars, command="python -m x", minutes=2)
    assert "| a | 0.5 [0.2, 0.8] | at most 1 | yes | 3 years |" in text
    assert "| b | 2 [1.5, 3] | at most 1 | no | 3 years |" in text
    assert "| c | 0.9 [0.5, 1] | at least 0.95 | within error | 3 windows |" in text
    assert "| d | 7 | none |  | 3 runs |" in text
