import json
from typing import Any

import pytest

from sashiko.contract.rule_expectations import (
    COLUMNS,
    COMPOUND_UNIQUE,
    MAXIMUM,
    ROWS,
    RULE_TABLE,
    TYPE,
    UNIQUE,
    UNIQUE_SHARE,
)
from sashiko_packs.monitoring.checks import MonitorCheck, judge_measurements
from sashiko_packs.monitoring.result import Inputs
from sashiko_packs.monitoring.steps import input_quality
from tests.unit.contract.documents import column_of, document, every_rule, save, table_of

GOOD = {
    "lent_at": "2025-03-09T12:00:00+00:00", "pages": "200", "price": "3.5", "title": "Emma",
    "due": "2025-03-15",
}  # fmt: skip


def _contract(*, optional: bool = False, ingest: Any = None) -> dict[str, Any]:
    """A contract with a rule or two for each type; a job requests no text columns."""
    edited = document()
    column_of(edited, "title")["enum"] = [{"value": title} for title in ("Emma", "Dune")]
    column_of(edited, "pages")["logicalTypeOptions"] = {"minimum": 1, "maximum": 400}
    column_of(edited, "pages")["required"] = not optional
    if ingest:
        table_of(edited)["customProperties"].append({"property": "ingest", "value": ingest})
    return edited


def _run(job, rows, contract=None, columns=("title", "pages", "price")) -> dict[str, MonitorCheck]:
    save(contract or _contract(), job.input("config"))
    job.put_section("monitor", {})
    job.put_rows(rows, columns)
    job.run(input_quality)
    measured = Inputs.read(job.output("checks")).measurements
    checks = judge_measurements(measured, false_alarms=0.002)
    by_name = {check.name: check for check in checks}
    assert len(by_name) == len(checks)
    return by_name


def _rows(number: int, columns=("title", "pages", "price"), **values: Any) -> list[dict[str, Any]]:
    return [{"input": {name: GOOD[name] for name in columns} | values}] * number


def _alarms(checks) -> list[str]:
    return [name for name, check in checks.items() if check.outcome == "alarm"]


def test_good_rows_are_ok_by_the_rules_of_the_captured_columns_alone(job) -> None:
    checks = _run(job, _rows(120))
    assert list(checks) == [
        "inputs: pages: type integer", "inputs: pages: no nulls", "inputs: pages: at least 1",
        "inputs: pages: at most 400", "inputs: price: type number", "inputs: title: no nulls",
        "inputs: title: allowed values",
    ]  # fmt: skip
    assert {check.outcome for check in checks.values()} == {"ok"}
    assert {(check.rows, check.value, check.tolerance) for check in checks.values()} == {
        (120, 0, 0.01)
    }


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"title": "Walden"}, "title: allowed values"),
        ({"title": None}, "title: no nulls"),
        ({"pages": "401"}, "pages: at most 400"),
        ({"pages": "0"}, "pages: at least 1"),
        ({"pages": "many"}, "pages: type integer"),
        ({"pages": "99999999999999999999"}, "pages: type integer"),
        ({"pages": "1.5"}, "pages: type integer"),
        ({"price": "3,5"}, "price: type number"),
    ],
)
def test_rows_that_break_a_rule_raise_its_alarm_and_no_other(job, change, broken, capsys) -> None:
    checks = _run(job, [*_rows(150), *_rows(50, **change)])
    assert _alarms(checks) == [f"inputs: {broken}"]
    check = checks[f"inputs: {broken}"]
    assert (check.rows, check.value) == (200, 0.25)
    assert check.low < 0.25 < check.high
    assert check.reason == "25 % of the rows break the rule, 1 % are tolerated"
    assert f"inputs: {broken}: 25 % of the rows break it" in capsys.readouterr().err


def test_numbers_of_requests_are_those_of_json_and_not_of_the_raw_file(job) -> None:
    assert _alarms(_run(job, _rows(120, pages="200.0", price="3"))) == []
    contract = _contract(ingest={"decimal": ",", "thousands": "."})
    assert _alarms(_run(job, _rows(120, price="3.5"), contract)) == []


def test_times_and_missing_values_are_those_of_requests_and_the_contract(job) -> None:
    contract = every_rule()
    column_of(contract, "due")["logicalTypeOptions"] |= {"format": "dd.MM.yyyy"}
    columns = ("lent_at", "due")
    assert _alarms(_run(job, _rows(120, columns), contract, columns)) == []
    checks = _run(job, _rows(120, columns, due="15.03.2025"), contract, columns)
    assert _alarms(checks) == ["inputs: due: type date"]

    contract = _contract(ingest={"trim": True, "null_values": ["", "?"]})
    checks = _run(job, [*_rows(100, title=" Emma "), *_rows(100, title=" ? ")], contract)
    assert _alarms(checks) == ["inputs: title: no nulls"]
    assert (checks["inputs: title: allowed values"].rows, checks["inputs: title: no nulls"].rows) \
        == (100, 200)  # fmt: skip


@pytest.mark.parametrize(("nulls", "outcome"), [(12, "ok"), (18, "ok"), (36, "alarm")])
def test_the_contracts_own_tolerance_counts(job, nulls, outcome) -> None:
    contract = _contract()
    column_of(contract, "price")["quality"] = [
        {"metric": "nullValues", "mustBeLessOrEqualTo": 5, "unit": "percent"}
    ]
    checks = _run(job, [*_rows(200 - nulls), *_rows(nulls, price=None)], contract)
    check = checks["inputs: price: at most 5 % nulls"]
    assert (check.outcome, check.tolerance) == (outcome, pytest.approx(0.06))
    assert check.value == pytest.approx(nulls / 200)


def test_invalid_values_are_a_share_of_the_values(job) -> None:
    contract = _contract()
    column_of(contract, "price")["quality"] = [
        {"metric": "invalidValues", "mustBeLessOrEqualTo": 4, "unit": "percent",
         "arguments": {"validValues": [3.5]}},
    ]  # fmt: skip
    rows = [*_rows(190), *_rows(10, price="9"), *_rows(100, price=None)]
    check = _run(job, rows, contract)["inputs: price: at most 4.0 % invalid values"]
    assert (check.outcome, check.rows, check.value) == ("ok", 200, 0.05)


def test_few_rows_or_values_and_unknown_columns_are_not_judged(job) -> None:
    checks = _run(job, _rows(99, title="Walden"))
    assert {check.outcome for check in checks.values()} == {"not judged"}
    check = checks["inputs: title: allowed values"]
    assert (check.value, check.rows, check.rows_needed) == (None, 99, 100)
    assert check.reason == "99 rows, 100 are needed"

    checks = _run(job, [*_rows(150, pages=None), *_rows(50)], _contract(optional=True))
    outcomes = {name: check.outcome for name, check in checks.items()}
    assert outcomes["inputs: pages: at most 400"] == "not judged"
    assert checks["inputs: pages: at most 400"].rows == 50
    assert outcomes["inputs: title: allowed values"] == "ok"
    assert list(_run(job, [{"input": {"shelf": "A"}}] * 120, columns=("shelf",))) == []


def test_plain_texts_are_counted_and_not_judged(job, capsys) -> None:
    plain = [{"text": "Walden"}] * 1200
    checks = _run(job, [*plain, *_rows(120)])
    assert {check.outcome for check in checks.values()} == {"ok"}
    assert {check.rows for check in checks.values()} == {120}
    suffix = "; 1,200 rows came as plain texts, which have no columns"
    assert all(check.reason.endswith(suffix) for check in checks.values())
    assert "1,200 rows came as plain texts" in capsys.readouterr().err
    checks = _run(job, plain)
    assert {check.outcome for check in checks.values()} == {"not judged"}
    assert {check.rows for check in checks.values()} == {0}


def test_no_captured_value_is_written_or_printed(job, capsys) -> None:
    private = "stolen card in Vienna"
    values = dict.fromkeys(("title", "pages", "price"), private)
    checks = _run(job, [*_rows(150), *_rows(150, **values), {"text": private}])
    assert len(_alarms(checks)) == 3
    output = capsys.readouterr()
    written = (job.output("checks") / "inputs.json").read_text()
    assert "stolen" not in output.err + output.out + written


def test_each_rule_of_single_rows_has_a_check(job) -> None:
    """All of the rule table's but those of the whole table, and of types that every text has."""
    contract = every_rule()
    columns = ("lent_at", "pages", "price", "title", "due")
    checks = _run(job, _rows(120, columns), contract, columns)
    assert {check.outcome for check in checks.values()} == {"ok"}
    whole = (COLUMNS, COMPOUND_UNIQUE, MAXIMUM, ROWS, UNIQUE, UNIQUE_SHARE, TYPE)
    titles = {row.title.partition("{")[0] for row in RULE_TABLE if row.kind not in whole}
    names = json.dumps([name.partition(": ")[2].partition(": ")[2] for name in checks])
    assert [title for title in sorted(titles) if title not in names] == []


def test_one_odd_row_client_or_text_raises_no_alarm_alone(job) -> None:
    assert _alarms(_run(job, [*_rows(499), *_rows(1, title="Walden")])) == []
    assert _alarms(_run(job, [*_rows(1980), *_rows(20, title="Walden")])) == []
    assert _alarms(_run(job, [*_rows(470), *_rows(30, title="Walden")])) == [
        "inputs: title: allowed values"
    ]

    # The bad rows are of one of twenty clusters, or of all of them.
    good = [row | {"cluster": n % 20} for n, row in enumerate(_rows(950))]
    bad = _rows(50, title="Walden")
    assert _alarms(_run(job, [*good, *[row | {"cluster": 7} for row in bad]])) == []
    spread = [row | {"cluster": n % 20} for n, row in enumerate(bad)]
    assert _alarms(_run(job, [*good, *spread])) == ["inputs: title: allowed values"]
