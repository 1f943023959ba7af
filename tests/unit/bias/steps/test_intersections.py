"""Intersections of facets, from the rows to the verdict; the expected numbers are by hand."""

from pathlib import Path

import pytest

from sashiko.base.files import read_json
from tests.unit.bias.steps.crossed import FAIR_BY_FACET, CrossedJob, gate
from tests.unit.contract.documents import column_of, two_facets

BOTH = ["age", "sex"]


@pytest.fixture
def crossed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CrossedJob:
    return CrossedJob(tmp_path, monkeypatch)


def test_what_no_facet_shows_alone_fails_where_they_meet(crossed: CrossedJob) -> None:
    verdict = crossed.judge(gates=[gate("age"), gate("sex")])
    assert [(check.name, check.value) for check in verdict.checks] == [
        ("DI age=old", 1.0),
        ("DI sex=f", 1.0),
    ]
    assert verdict.passed
    verdict = crossed.judge(gates=[gate("age"), gate(BOTH)])
    # 20 of 100 are predicted late, of the rest 180 of 300; and 80 of 100 against 120 of 300, twice
    expected = {
        "DI age=old": 1.0,
        "DI age=old & sex=f": 0.2 / 0.6,
        "DI age=old & sex=m": 0.8 / 0.4,
        "DI age=young & sex=f": 0.8 / 0.4,
    }
    assert {check.name: check.value for check in verdict.checks} == pytest.approx(expected)
    assert [check.passed for check in verdict.checks] == [True, False, False, False]
    assert "put `age` and `sex` in `reweighing.facets`" in verdict.summary


def test_every_metric_agrees_with_the_table_worked_by_hand(crossed: CrossedJob) -> None:
    crossed.judge(gates=[gate("age")])
    estimates = crossed.estimates()
    expected = {
        "DPL": 150 / 300 - 40 / 100,
        "DI": (20 / 100) / (180 / 300),
        "RD": 100 / 150 - 10 / 40,
    }
    for name, value in expected.items():
        row = estimates[name, "old & f"]
        assert row["value"] == pytest.approx(value), name
        assert row["low"] < value < row["high"], name
        assert (row["facet"], row["group"]) == (BOTH, ["old", "f"])
        assert (row["n_disadvantaged"], row["n_advantaged"]) == (100, 300)
        assert row["looks"] == 4
    assert "no group variable" in estimates["CDDPL", "old & f"]["error"]
    assert ("GE", "old & f") not in estimates


def test_clarifys_files_know_nothing_of_them(crossed: CrossedJob) -> None:
    crossed.judge(gates=[gate(BOTH)])
    for name in ("pre-training", "post-training"):
        stages = read_json(crossed.job.output("intervals") / f"{name}-analysis.json")
        (stage,) = (value for key, value in stages.items() if key != "version")
        assert set(stage["facets"]) == {"age", "sex"}
        assert all(len(groups) == 1 for groups in stage["facets"].values())


def test_a_combination_of_few_rows_is_too_few_to_judge_and_has_no_interval(crossed) -> None:
    few = {**FAIR_BY_FACET, ("old", "f"): (10, 10, 10, 10), ("young", "f"): (0, 0, 0, 0)}
    verdict = crossed.judge(few, gates=[gate(BOTH)])
    reasons = {check.name: check.reason for check in verdict.checks if not check.passed}
    assert "40 rows of age=old & sex=f, at least 100" in reasons["DI age=old & sex=f"]
    assert "0 rows of age=young & sex=f, at least 100" in reasons["DI age=young & sex=f"]
    estimates = crossed.estimates()
    assert estimates["DI", "old & f"]["value"] is not None
    assert estimates["DI", "old & f"]["low"] is None
    assert estimates["DI", "young & f"]["error"] == "the disadvantaged group has no rows"
    # the two that are left are all that is judged
    assert estimates["DI", "old & m"]["looks"] == 2


def test_an_undefined_metric_of_a_combination_blocks_with_its_reason(crossed: CrossedJob) -> None:
    nobody = dict.fromkeys(FAIR_BY_FACET, (0, 50, 0, 50))
    verdict = crossed.judge(nobody, gates=[gate(BOTH)])
    assert not any(check.passed for check in verdict.checks)
    assert "undefined: no row is predicted positive" in verdict.checks[0].reason


def test_joined_values_stay_joined_and_a_value_that_no_row_has_is_counted(crossed) -> None:
    contract = two_facets()
    column_of(contract, "age")["enum"] = [{"value": one} for one in ("young", "old", "oldest")]
    contract["schema"][0]["customProperties"][1]["value"][0]["disadvantaged"] = ["old", "oldest"]
    column_of(contract, "sex")["enum"].append({"value": "unknown"})
    verdict = crossed.judge(gates=[gate(BOTH)], contract=contract)
    values = {check.name: check.value for check in verdict.checks}
    assert values["DI age=old,oldest & sex=f"] == pytest.approx(1 / 3)
    assert values["DI age=old,oldest & sex=unknown"] is None
    assert "DI age=young & sex=unknown" not in values
    assert ("DI", "young & unknown") in crossed.estimates()


def test_the_gates_facets_may_come_in_any_order(crossed: CrossedJob) -> None:
    one = crossed.judge(gates=[gate(BOTH)]).checks
    assert crossed.judge(gates=[gate(["sex", "age"])]).checks == one


def test_at_depth_one_only_what_a_gate_names_is_combined(crossed: CrossedJob) -> None:
    crossed.judge(gates=[gate("age")], intersection_depth=1)
    assert {group for _, group in crossed.estimates()} == {"old", "f"}
    crossed.judge(gates=[gate(BOTH)], intersection_depth=1)
    assert ("DI", "old & f") in crossed.estimates()


def test_what_is_judged_by_the_bound_holds_at_once_over_all_that_is_judged_so(crossed) -> None:
    wide = {"minimum": 0.1, "maximum": 3.0}
    crossed.judge(gates=[gate("age", **wide)])
    plain = crossed.estimates()["DI", "old"]
    assert "looks" not in plain
    crossed.judge(gates=[gate("age", judged_by="bound", **wide)])
    assert crossed.estimates()["DI", "old"] == plain

    # age alone, sex alone, and the three combinations with old or f
    names: list[str | list[str]] = ["age", "sex", BOTH]
    gates = [gate(facet, judged_by="bound", **wide) for facet in names]
    verdict = crossed.judge(gates=gates)
    estimates = crossed.estimates()
    for name in ("old", "f", "old & f", "old & m", "young & f"):
        assert estimates["DI", name]["looks"] == 5
    assert estimates["DI", "young & m"]["looks"] == 4
    assert estimates["DI", "old"]["low"] < plain["low"]
    assert estimates["DI", "old"]["high"] > plain["high"]
    assert "looks" not in estimates["RD", "old"]
    said = "judged by the whole interval; the interval holds over 5 looks at once"
    assert said in verdict.checks[0].reason


def test_more_looks_make_a_bound_stricter_and_leave_a_value_alone(crossed: CrossedJob) -> None:
    crossed.judge(gates=[gate("age")])
    plain = crossed.estimates()["DI", "old"]
    just = {"minimum": plain["low"] - 0.001, "maximum": 3.0}
    others = [gate(BOTH, minimum=0.01, maximum=9.0, judged_by="bound")]
    alone = crossed.judge(gates=[gate("age", judged_by="bound", **just)])
    assert alone.checks[0].passed
    among = crossed.judge(gates=[gate("age", judged_by="bound", **just), *others])
    assert not among.checks[0].passed
    value = crossed.judge(gates=[gate("age", **just), *others])
    assert value.checks[0].passed
    assert (value.checks[0].low, value.checks[0].high) == (plain["low"], plain["high"])
