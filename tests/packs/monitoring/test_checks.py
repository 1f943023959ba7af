import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sashiko.evaluation.reference import SMALLEST_COUNT
from sashiko_packs.monitoring.checks import Measurement, gaps, holm, judge_measurements, overall
from sashiko_packs.monitoring.result import MonitorBias, hide_small_counts

COUNTS = st.lists(st.integers(0, 40), max_size=8)


@given(COUNTS)
def test_no_count_from_1_to_9_is_shown_or_follows_from_the_total(counts: list[int]) -> None:
    shown = hide_small_counts(counts)
    assert all(count is None or count == 0 or count >= SMALLEST_COUNT for count in shown)
    hidden = [count for count, cell in zip(counts, shown, strict=True) if cell is None]
    if hidden and sum(counts) >= SMALLEST_COUNT:
        assert len(hidden) >= 2
        assert sum(hidden) >= SMALLEST_COUNT
    assert all(cell in (None, count) for count, cell in zip(counts, shown, strict=True))
    if not any(0 < count < SMALLEST_COUNT for count in counts):
        assert list(shown) == counts


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ([3, 500, 400, 0], (None, 500, None, 0)),
        ([2, 1, 500, 400], (None, None, 500, None)),
        ([6, 5, 500], (None, None, 500)),
        ([5, 0, 0], (None, None, None)),
        ([0, 0], (0, 0)),
        ([None, 500, 400], (None, 500, None)),
    ],
)
def test_the_smallest_cells_are_hidden(counts: list[int | None], shown: tuple[int | None]) -> None:
    assert hide_small_counts(counts) == shown


@pytest.mark.parametrize(("rows", "is_shown"), [(0, True), (1, False), (9, False), (10, True)])
def test_the_rows_of_a_group_are_shown_from_ten_on(rows: int, is_shown: bool) -> None:
    measured = Measurement(
        name="disparate impact of age", kind="bias", effect="", rows=rows, rows_needed=100,
        tolerance=0.9,
    )  # fmt: skip

    def make() -> MonitorBias:
        return MonitorBias(measurements=(measured,), disparities=(), rows=50, without_facets=1)

    if is_shown:
        assert make().measurements == (measured,)
    else:
        with pytest.raises(ValidationError, match="a group of fewer than 10"):
            make()


def _measured(name="drift of product", *, rows=500, unchanged=1e-09, tolerated=1e-09, reason=""):
    return Measurement(
        name=name, kind="drift", effect="Cohen's w", rows=rows, rows_needed=100, tolerance=0.1,
        value=None if unchanged is None else 0.3, p_unchanged=unchanged, p_tolerated=tolerated,
        reason=reason,
    )  # fmt: skip


def _outcomes(*measurements: Measurement) -> list[str]:
    return [check.outcome for check in judge_measurements(measurements, false_alarms=0.01)]


def test_holm_adjusts_by_rank_so_that_more_checks_are_each_stricter() -> None:
    # Holm's procedure by hand: .005 * 4, .01 * 3, .03 * 2, then the maximum so far.
    adjusted = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    assert adjusted.tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]

    weak = _measured(unchanged=0.008)
    assert _outcomes(weak) == ["alarm"]
    quiet = [_measured("drift of channel", unchanged=0.5)] * 3
    assert _outcomes(weak, *quiet) == ["ok"] * 4


@pytest.mark.parametrize(
    ("unchanged", "tolerated", "outcome"),
    [(1e-6, 0.01, "alarm"), (1e-6, 0.2, "ok"), (0.2, 0.01, "ok")],
)
def test_an_alarm_is_a_change_that_is_neither_chance_nor_tolerated(unchanged, tolerated, outcome):
    assert _outcomes(_measured(unchanged=unchanged, tolerated=tolerated)) == [outcome]


def test_what_cannot_be_judged_says_what_it_needs_and_makes_no_other_check_stricter() -> None:
    few = _measured(rows=40, unchanged=None)
    broken = _measured(unchanged=None, reason="the reference has 3 rows, 100 are needed")
    checks = judge_measurements(
        [few, _measured(unchanged=0.008), broken, few, few], false_alarms=0.01
    )
    assert [check.outcome for check in checks[:3]] == ["not judged", "alarm", "not judged"]
    assert checks[0].reason == "40 rows, 100 are needed"
    assert checks[2].reason == "the reference has 3 rows, 100 are needed"


def test_quiet_windows_raise_no_more_alarms_than_the_error_rate() -> None:
    draws = np.random.default_rng(0).random((2000, 8))
    alarms = [
        overall(
            judge_measurements(
                [_measured(unchanged=value, tolerated=0.0) for value in window], false_alarms=0.05
            )
        )
        == "alarm"
        for window in draws
    ]
    assert 0.035 < np.mean(alarms) < 0.065


def test_a_window_is_ok_only_if_every_check_is() -> None:
    alarm, ok, none = _measured(), _measured(unchanged=0.9), _measured(rows=1)
    for measurements, outcome in (
        ([ok, alarm, none], "alarm"),
        ([ok, ok], "ok"),
        ([ok, none], "partly judged"),
        ([none], "partly judged"),
        ([], "partly judged"),
    ):
        assert overall(judge_measurements(measurements, false_alarms=0.01)) == outcome


def test_what_was_not_judged_is_named_by_kind() -> None:
    judged = {
        name: judge_measurements([_measured(rows=rows, unchanged=0.9)], false_alarms=0.01)[0]
        for name, rows in (("ok", 500), ("none", 1))
    }
    checks = [
        judged[name].model_copy(update={"kind": kind})
        for kind, name in (
            ("drift", "none"), ("drift", "ok"), ("inputs", "ok"), ("bias", "none"),
            ("accuracy", "none"),
        )
    ]  # fmt: skip
    assert gaps(checks) == "bias and accuracy not judged, drift judged in part"
    assert gaps(checks[2:3]) == ""
