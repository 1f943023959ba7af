from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sashiko.errors import InputError
from sashiko.evaluation.metrics.counts import Counts
from sashiko_packs.monitoring.checks import Measurement
from sashiko_packs.monitoring.clusters import ClusteredCounts
from sashiko_packs.monitoring.disparity import (
    effect_of_ratio,
    measure_disparity_bound,
    measure_disparity_change,
)
from sashiko_packs.monitoring.result import Disparity, MonitorBias
from tests.packs.monitoring.steps.window_job import FOUR_FIFTHS, WindowJob, make_job
from tests.unit.contract.documents import column_of, number, two_facets

OPTIONS = {"minimum_group_size": 100}


def _counts(chosen: int, rows: int, chosen_rest: int, rest: int) -> Counts:
    """Returns counts of decisions; the labels play no part."""
    cells = np.zeros((1, 2, 2, 2), dtype=np.int64)
    cells[0, 1, 0] = rows - chosen, chosen
    cells[0, 0, 0] = rest - chosen_rest, chosen_rest
    return Counts(cells, np.array([False, True]))


REFERENCE = _counts(700, 1750, 700, 1750)


def _ratio_change(window: Counts, reference: Counts = REFERENCE, **clustering):
    return measure_disparity_change(
        "DI of group 1", reference, _clustered(window, **clustering), tolerance=0.1, **OPTIONS
    )


def _ratio_bound(window: Counts):
    return measure_disparity_bound(
        "DI of group 1", _clustered(window), minimum=0.8, maximum=1.25, **OPTIONS
    )


def _clustered(counts: Counts, **clustering) -> ClusteredCounts:
    return ClusteredCounts(counts.cells[0, :, 0].ravel(), **clustering)


def test_the_change_of_a_disparate_impact_is_judged_as_its_rows_and_reference_allow() -> None:
    measured = _ratio_change(_counts(750, 2500, 1000, 2500))
    assert measured.value == pytest.approx(0.75)
    # Katz's interval: 0.75 * exp(-+ 1.96 * 0.0397).
    assert (measured.low, measured.high) == pytest.approx((0.694, 0.811), abs=0.01)
    assert measured.tolerance == pytest.approx(0.9)
    assert _ratio_change(_counts(1000, 2500, 1000, 2500)).p_unchanged == pytest.approx(1)
    tolerated = _ratio_change(_counts(94_000, 250_000, 100_000, 250_000))
    assert tolerated.p_tolerated > 0.5
    fall = _ratio_change(_counts(750, 2500, 1000, 2500))
    rise = _ratio_change(_counts(1000, 2500, 750, 2500))
    assert rise.p_unchanged == pytest.approx(fall.p_unchanged, rel=0.01)
    window, small = _counts(750, 2500, 1000, 2500), _counts(70, 175, 70, 175)
    assert _ratio_change(window, small).p_unchanged > _ratio_change(window).p_unchanged


@pytest.mark.parametrize(
    ("chosen", "is_outside"), [(700, True), (850, False), (1000, False), (1400, True)]
)
def test_a_bound_counts_only_when_the_window_is_shown_to_lie_beyond_it(chosen, is_outside) -> None:
    measured = _ratio_bound(_counts(chosen, 2500, 1000, 2500))
    assert (measured.p_unchanged < 0.01) == is_outside
    assert measured.tolerance == 0.8


def test_p_values_of_quiet_windows_are_even() -> None:
    generator = np.random.default_rng(0)
    p_values = []
    for _ in range(300):
        chosen, rest = generator.binomial(250, 0.4, 2)
        before, before_rest = generator.binomial(1750, 0.4, 2)
        reference = _counts(int(before), 1750, int(before_rest), 1750)
        measured = measure_disparity_change(
            "DI", reference, _clustered(_counts(int(chosen), 250, int(rest), 250)), tolerance=0.1,
            minimum_group_size=100,
        )  # fmt: skip
        p_values.append(measured.p_unchanged)
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.03)


def test_rows_of_clusters_make_a_change_less_certain() -> None:
    window = _counts(750, 2500, 1000, 2500)
    alone, alike = _ratio_change(window), _ratio_change(window, design_effect=10.0, freedom=500)
    assert alone.p_unchanged < 0.001
    assert alike.p_unchanged > 0.02
    assert alike.high - alike.low > 2 * (alone.high - alone.low)
    assert (alone.rows, alike.rows) == (2500, 250)
    few = _ratio_change(window, design_effect=30.0, freedom=500)
    assert (few.is_judged, few.value, few.rows) == (False, None, 83)


def test_the_design_effect_of_independent_rows_is_1() -> None:
    generator = np.random.default_rng(1)
    totals = np.zeros((1024, 4), dtype=np.int64)
    np.add.at(totals, (generator.integers(0, 1024, 50_000), generator.integers(0, 4, 50_000)), 1)
    assert effect_of_ratio(totals) == pytest.approx(1, abs=0.15)
    assert effect_of_ratio(7 * totals) == pytest.approx(7, rel=0.15)


EQUAL = {"old": (300, 1000), "young": (300, 1000)}


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WindowJob:
    job = make_job(tmp_path, monkeypatch)
    job.reference_groups(**EQUAL)
    return job


def _measured(job: WindowJob) -> MonitorBias:
    job.measure_bias()
    return MonitorBias.read(job.output("bias"))


def _change(job: WindowJob) -> Measurement:
    return _measured(job).measurements[0]


def _disparity(job: WindowJob) -> Disparity:
    (disparity,) = _measured(job).disparities
    return disparity


def test_the_window_is_counted_as_the_reference_is(job: WindowJob) -> None:
    job.reference_groups(old=(200, 1000), young=(400, 1200))
    job.groups(old=(200, 1000), young=(400, 1200))
    measured = _measured(job)
    (disparity,) = measured.disparities
    assert (disparity.facet, disparity.group) == ("age", "old")
    assert disparity.window == disparity.reference == pytest.approx(0.6)
    assert disparity.low < 0.6 < disparity.high
    assert (measured.rows, measured.without_facets) == (2200, 0)
    change, gate = measured.measurements
    assert change.p_unchanged == pytest.approx(1)
    assert gate.name == "disparate impact of age, 0.8 to 1.25 by its gate"
    assert gate.p_unchanged < 0.001


@pytest.mark.parametrize(
    ("bounds", "name", "old", "is_outside"),
    [
        ({"minimum": 0.8}, "at least 0.8", 150, True),
        ({"minimum": 0.8}, "at least 0.8", 600, False),
        ({"maximum": 1.25}, "at most 1.25", 600, True),
        ({"maximum": 1.25}, "at most 1.25", 150, False),
        ({"minimum": 0, "maximum": 0}, "0 to 0", 150, True),
    ],
)
def test_a_gate_may_have_one_bound(job, bounds, name, old, is_outside) -> None:
    job.bias_section({"metric": "DI", "facet": "age", "reason": "one side", **bounds})
    job.groups(old=(old, 1000), young=(300, 1000))
    gate = _measured(job).measurements[1]
    assert gate.name == f"disparate impact of age, {name} by its gate"
    assert (gate.p_unchanged < 0.01) == is_outside
    assert gate.tolerance in bounds.values()


def test_gates_that_a_window_is_not_judged_by_are_named(job, capsys) -> None:
    job.contract(two_facets())
    job.bias_section(
        {**FOUR_FIFTHS, "facet": ["age", "sex"]},
        {"metric": "RD", "facet": "age", "maximum": 0.1, "reason": "needs labels"},
        {"metric": "DPL", "facet": "age", "maximum": 0.1, "reason": "of training data, no window"},
    )
    job.text("bias-rows", "label,predicted_label,age,sex\n" + "1,1,old,f\n0,0,young,m\n" * 200)
    job.decisions(["a"], [True])
    job.facets(["a"], age=["old"], sex=["f"])
    measured = _measured(job)
    assert [item.facet for item in measured.disparities] == ["age", "sex"]
    *_, crossed, recall = measured.measurements
    assert crossed.name == "disparate impact of age & sex, 0.8 to 1.25 by its gate"
    assert recall.name == "RD of age, at most 0.1 by its gate"
    assert not crossed.is_judged
    assert not recall.is_judged
    stderr = capsys.readouterr().err
    assert f"not judged: {crossed.name}: a window is judged by single facets" in stderr
    assert f"not judged: {recall.name}: a window is judged only by disparate impact" in stderr


def test_the_first_decision_of_a_key_counts(job: WindowJob) -> None:
    keys = [f"L{number}" for number in range(2000)]
    first = [number % 10 < 3 for number in range(2000)]
    job.decisions([*keys, *keys], [*first, *[True] * 2000])
    job.facets(keys, age=["old", "young"] * 1000)
    measured = _measured(job)
    assert measured.rows == 2000
    assert measured.disparities[0].window == pytest.approx(400 / 200)


def test_rows_that_are_not_in_the_lake_yet_are_counted(job) -> None:
    keys = [f"L{number}" for number in range(1000)]
    job.decisions(keys, [number % 2 == 0 for number in range(1000)])
    job.facets([*keys[:500], "unasked"], age=["young", "old"] * 250 + ["old"])
    measured = _measured(job)
    assert (measured.rows, measured.without_facets) == (500, 500)
    assert measured.measurements[0].rows == 250


def test_a_key_of_the_lake_may_be_a_number_and_a_facet_null(job: WindowJob) -> None:
    contract = two_facets()
    column_of(contract, "loan_id")["logicalType"] = "integer"
    job.contract(contract)
    job.text("bias-rows", "label,predicted_label,age,sex\n" + "1,1,old,f\n0,0,young,m\n" * 200)
    job.decisions([str(number) for number in range(800)], [number % 4 < 2 for number in range(800)])
    job.facets([*range(800)], age=["old", "young"] * 400, sex=["f", "f", *[None] * 798])
    measured = _measured(job)
    assert (measured.rows, measured.without_facets) == (2, 798)
    age, sex = measured.disparities
    assert age.window == pytest.approx(1)
    assert sex.window is None


def test_another_version_of_the_lake_is_refused(job: WindowJob) -> None:
    job.groups(**EQUAL)
    with pytest.raises(InputError, match="was started for earlier"):
        job.measure_bias("earlier")
    assert not list(job.output("bias").glob("*"))


def test_decisions_whose_facets_are_unknown_are_counted_and_in_no_group(job: WindowJob) -> None:
    job.groups(**EQUAL)
    expected = _disparity(job)
    keys = [f"L{number}" for number in range(2000)]
    decisions = [number % 1000 < 300 for number in range(2000)]
    job.decisions([*keys, "nobody", "null", "empty", None], [*decisions, *[True] * 4])
    ages: list[str | None] = ["old"] * 1000 + ["young"] * 1000
    job.facets([*keys, "null", "empty", "unasked"], age=[*ages, None, "", "old"])
    assert _disparity(job) == expected
    measured = _measured(job)
    assert (measured.rows, measured.without_facets) == (2000, 3)


def test_a_small_group_is_not_judged_and_says_how_many_rows_it_needs(job: WindowJob) -> None:
    job.groups(old=(30, 99), young=(300, 1000))
    change, gate = _measured(job).measurements
    for item in (change, gate):
        assert not item.is_judged
        assert (item.rows, item.rows_needed, item.value) == (99, 100, None)
    job.bias_section(FOUR_FIFTHS, minimum_group_size=1)
    job.groups(old=(9, 19), young=(300, 1000))
    assert (_change(job).rows, _change(job).rows_needed) == (19, 20)


@pytest.mark.parametrize("rows", [1, 9])
def test_a_group_of_fewer_than_ten_rows_shows_no_number_of_rows(job: WindowJob, rows: int) -> None:
    job.bias_section(FOUR_FIFTHS, minimum_group_size=1)
    job.groups(old=(1, rows), young=(300, 1000))
    change = _change(job)
    assert (change.rows, change.value) == (0, None)
    assert change.reason == "fewer than 10 rows of a group, 20 are needed"


@pytest.mark.parametrize("chosen", [1, 9, 991])
def test_fewer_than_ten_decisions_of_a_kind_show_no_disparity(job: WindowJob, chosen: int) -> None:
    job.groups(old=(chosen, 1000), young=(300, 1000))
    change = _change(job)
    assert change.value is None
    assert change.reason == "fewer than 10 decisions of a kind in a group"
    job.groups(**EQUAL)
    job.reference_groups(old=(chosen, 1000), young=(300, 1000))
    assert _disparity(job).reference is None


def test_nothing_is_judged_before_any_decision_or_facet_arrives(job: WindowJob) -> None:
    job.decisions([], [])
    job.facets([], age=[])
    measured = _measured(job)
    assert (measured.rows, measured.without_facets) == (0, 0)
    assert not any(item.is_judged for item in measured.measurements)
    job.decisions(["a", "b"], [True, False])
    assert _measured(job).without_facets == 2


def test_bad_input_is_named_without_a_row(job: WindowJob) -> None:
    job.groups(**EQUAL)
    job.text("bias-rows", "label,predicted_label,age\n1,1,old,secret\n")
    with pytest.raises(InputError, match=r"with 3 columns: .*Expected 3 columns, got 4$"):
        job.measure_bias()
    job.bias_section({**FOUR_FIFTHS, "facet": "shoe_size"})
    with pytest.raises(InputError, match=r"bias\.gates\.0\.facet: `shoe_size`"):
        job.measure_bias()
    assert not list(job.output("bias").glob("*"))


def _audit(job: WindowJob, **cells: tuple[int, int, int, int]) -> MonitorBias:
    """Stages audited rows of each age: true and false positives, false and true negatives."""
    kinds = ((True, True), (False, True), (True, False), (False, False))
    rows = [
        (age, label, decision)
        for age, counts in cells.items()
        for count, (label, decision) in zip(counts, kinds, strict=True)
        for _ in range(count)
    ]
    keys = [f"A{number}" for number in range(len(rows))]
    job.groups(old=(300, 1000), young=(300, 1000))
    job.audited(keys, [label for _, label, _ in rows], [decision for *_, decision in rows])
    job.facets(keys, age=[age for age, *_ in rows])
    return _measured(job)


def test_the_audit_is_measured_by_group_beside_the_test_split(job: WindowJob) -> None:
    """Of the test split 300 of 1,000 of either age are decided positive, half of them rightly."""
    groups = {
        item.group: {measure.name: measure for measure in item.measures}
        for item in _audit(job, old=(10, 20, 30, 40), young=(40, 10, 10, 40)).audited
    }
    assert {name: round(item["recall"].value, 3) for name, item in groups.items()} == {
        "old": 0.25, "not old": 0.8,
    }  # fmt: skip
    old = groups["old"]
    assert (old["accuracy"].value, old["accuracy"].rows) == (0.5, 100)
    assert old["precision"].value == pytest.approx(1 / 3)
    assert old["balanced accuracy"].value == pytest.approx((0.25 + 40 / 60) / 2)
    assert old["recall"].reference == pytest.approx(0.3)
    assert old["recall"].low < 0.25 < old["recall"].high


def test_errors_of_a_number_are_measured_by_group_as_training_measures_them(job: WindowJob) -> None:
    job.contract(number(above=4))
    random = np.random.default_rng(3)
    old, values = np.arange(1200) % 2 == 0, random.normal(4, 3, 1200)
    predicted = values + random.normal(0, 2, 1200) - 1.5 * old
    misses = predicted - values
    job.groups(old=(300, 1000), young=(300, 1000))
    held_out = [f"{place % 2},{place % 2},{place},{place + 1},1,{age}"
                for place in range(40) for age in ("old", "young")]  # fmt: skip
    heads = "label,predicted_label,label_value,predicted_value,covered,age"
    job.text("bias-rows", "\n".join([heads, *held_out, ""]))
    keys = [f"A{place}" for place in range(1200)]
    job.audited(keys, values > 4, predicted > 4,
                value=values, predicted=predicted, covered=np.abs(misses) < 3)  # fmt: skip
    job.facets(keys, age=np.where(old, "old", "young"))
    measured = {
        (group.group, item.name): item
        for group in _measured(job).audited
        for item in group.measures
    }
    for group, own in (("old", old), ("not old", ~old)):
        expected = {
            "mean_error": misses[own].mean(),
            "mae": np.abs(misses[own]).mean(),
            "mean_prediction_difference": predicted[~own].mean() - predicted[own].mean(),
            "interval_coverage": (np.abs(misses[own]) < 3).mean(),
        }
        for name, value in expected.items():
            item = measured[group, name]
            assert (item.value, item.rows) == (pytest.approx(value), 600)
            assert item.low < item.value < item.high
        assert measured[group, "mae"].reference == measured[group, "mean_error"].reference == 1
        assert measured[group, "recall"].rows > 200


@pytest.mark.parametrize("few", [{"old": (10, 9, 30, 40)}, {"young": (40, 10, 10, 9)}])
def test_a_facet_with_a_group_of_few_audited_rows_of_a_kind_is_hidden(job, few) -> None:
    enough = {"old": (10, 20, 30, 40), "young": (40, 10, 10, 40)}
    assert _audit(job, **(enough | few)).audited == ()


def test_decisions_of_a_request_are_a_cluster(job: WindowJob) -> None:
    """Twenty rows of each request are alike, so they tell as much as one."""
    requests = [number % 10 < 3 + 2 * (number % 2) for number in range(500)]
    decisions = [chosen for chosen in requests for _ in range(20)]
    keys = [f"L{number}" for number in range(10_000)]
    clusters = pa.array([number // 20 for number in range(10_000)], pa.int64())
    ages = [("old", "young")[number // 20 % 2] for number in range(10_000)]
    job.facets(keys, age=ages)
    job.decisions(keys, decisions)
    alone = _change(job)
    job.decisions(keys, decisions, cluster=clusters)
    alike = _change(job)
    assert alike.value == alone.value
    assert alike.rows == pytest.approx(250, rel=0.1)
    assert alike.high - alike.low == pytest.approx(20**0.5 * (alone.high - alone.low), rel=0.15)


def test_one_request_that_dominates_is_left_out_and_named(job: WindowJob) -> None:
    quiet = [number // 2 % 10 < 3 for number in range(3000)]
    keys = [f"L{number}" for number in range(6000)]
    clusters = pa.array([*range(3000), *[3000] * 3000], pa.int64())
    job.facets(keys, age=["old", "young"] * 1500 + ["old"] * 3000)
    job.decisions(keys, [*quiet, *[False] * 3000], cluster=clusters)
    change = _change(job)
    assert change.note == "without 3,000 rows of clusters that dominate"
    assert change.value == pytest.approx(1)
    assert change.rows == pytest.approx(1500, rel=0.15)


def test_earlier_windows_are_added_for_a_group_of_few_rows(job: WindowJob) -> None:
    """Of 40 rows of the group a window twelve windows make 480, and its fall is shown."""
    weeks = range(12)
    ages = [age for _ in weeks for age in ["old"] * 40 + ["young"] * 2000]
    decisions = [
        number % 20 < share for _ in weeks for share, rows in ((4, 40), (8, 2000))
        for number in range(rows)
    ]  # fmt: skip
    ago = pa.array([week for week in weeks for _ in range(2040)], pa.int64())
    keys = [f"L{number}" for number in range(len(ages))]
    job.facets(keys, age=ages)
    job.decisions(keys[:2040], decisions[:2040])
    alone = _measured(job)
    assert not alone.measurements[0].is_judged
    job.decisions(keys, decisions, windows_ago=ago)
    measured = _measured(job)
    change = measured.measurements[0]
    assert (change.rows, change.note) == (480, "decisions of the last 12 windows")
    assert change.value == pytest.approx(0.5)
    assert change.p_unchanged < 0.001
    assert (measured.rows, measured.without_facets) == (2040, 0)


def test_a_group_of_enough_rows_is_judged_by_its_window_alone(job: WindowJob) -> None:
    keys = [f"L{number}" for number in range(8000)]
    job.facets(keys, age=["old", "young"] * 4000)
    ago = pa.array([0] * 4000 + [1] * 4000, pa.int64())
    job.decisions(keys, [n % 10 < 3 for n in range(4000)] + [False] * 4000, windows_ago=ago)
    change = _change(job)
    assert (change.rows, change.note) == (2000, "")
