import datetime as dt
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sashiko.contract.model import View
from sashiko.contract.rule_expectations import expectations
from sashiko.contract.rule_table import RULE_TABLE
from sashiko.contract.suite_checks import run_checks
from sashiko.evaluation.gates.verdict import Check
from tests.unit.contract.documents import (
    column_of,
    contract_of,
    document,
    every_rule,
    rows,
    stream_of,
)


def _checks(edited: dict[str, Any], folder: Path, **changes: list[Any]) -> dict[str, Check]:
    contract = contract_of(edited, folder)
    return {c.name: c for c in run_checks(stream_of(rows(contract, **changes)), contract, "all")}


def test_every_row_of_the_rule_table_passes_good_rows(tmp_path):
    contract = contract_of(every_rule(), tmp_path)
    kinds = {item.kind for item in expectations(contract, "all")}
    assert kinds == {row.kind for row in RULE_TABLE}
    checks = run_checks(stream_of(rows(contract)), contract, "all")
    assert [c.name for c in checks] == [e.name for e in expectations(contract, "all")]
    assert [c for c in checks if not c.passed] == []


def test_every_row_of_the_rule_table_blocks_bad_rows(tmp_path):
    when = [dt.datetime(2025, 3, 1, tzinfo=dt.UTC)] * 7
    checks = _checks(
        every_rule(),
        tmp_path,
        loan_id=["a", "a", "b", None, "c", "d", "e"],
        lent_at=[*when[:5], dt.datetime(2026, 1, 1, tzinfo=dt.UTC), None],
        pages=[0, 500, 500, None, None, 1, 2],
        price=[99.5, 99.5, 99.5, None, None, None, 1.0],
        title=["?", "?", None, "lower case title", "x", "y", "A9"],
        reader=["not an address", "a", *["a@x.org"] * 5],
        age=["young", "young", "old", "old", "ancient", None, "old"],
        late=["yes", "no", "maybe", None, "no", "yes", "yes"],
        due=[dt.date(2024, 3, 1), dt.date(2025, 4, 1), *[None] * 5],
    )
    fine = {name for name, check in checks.items() if check.passed}
    assert {name for name in fine if ": type " not in name} == {
        "table: exactly the contract's columns",
        "table: more than 3 rows",
        "table: at least 4 rows",
    }


def test_a_failing_check_says_how_many_which_and_what_to_try(tmp_path):
    check = _checks(document(), tmp_path, late=["yes", "maybe", "no", "maybe"])[
        "late: allowed values"
    ]
    assert not check.passed
    assert (check.value, check.threshold, check.comparison) == (2.0, 0.0, "<=")
    assert check.reason == "2 of 4 rows fail, such as 'maybe'"
    assert "say so in the contract" in check.try_


def test_no_failing_value_of_a_sensitive_or_personal_column_is_repeated(tmp_path):
    changes = {
        "reader": ["Ann Lee", "a@x.org", "b@x.org", None],
        "age": ["young", "old", "x9", "old"],
    }
    checks = _checks(document(), tmp_path, **changes)
    failed = [check for check in checks.values() if not check.passed]
    assert [check.name for check in failed] == ["reader: matches @", "age: allowed values"]
    text = " ".join(check.model_dump_json() for check in failed)
    assert "Ann Lee" not in text
    assert "x9" not in text


def test_a_share_of_nulls_is_reported_in_percent_and_blocks_above_its_limit(tmp_path):
    edited = document()
    limit = {"metric": "nullValues", "mustBeLessThan": 25, "unit": "percent"}
    column_of(edited, "price")["quality"] = [limit]
    check = _checks(edited, tmp_path)["price: less than 25 % nulls"]
    assert not check.passed
    assert (check.value, check.threshold, check.comparison) == (25.0, 25.0, "<")


@pytest.mark.parametrize("day", [7, 11])
def test_rows_too_old_or_from_the_future_are_not_fresh(day, tmp_path):
    late = [dt.datetime(2025, 3, day, tzinfo=dt.UTC)] * 4
    check = _checks(document(), tmp_path, lent_at=late)[
        "lent_at: newest row from 2025-03-08 to 2025-03-10"
    ]
    assert not check.passed
    assert f"2025-03-{day:02}" in check.reason


def test_a_wrong_type_and_a_foreign_column_fail(contract):
    table = rows(contract)
    table = table.set_column(2, "pages", pa.array(["1", "2", "3", "4"]))
    table = table.append_column("shoe_size", pa.array([1, 2, 3, 4]))
    failed = {c.name: c for c in run_checks(stream_of(table), contract, "all") if not c.passed}
    assert failed["pages: type integer"].reason == "found str"
    assert failed["table: exactly the contract's columns"].reason == "unexpected: shoe_size"


def test_an_expectation_that_cannot_run_is_a_failure_of_its_own_name(contract):
    failed = [
        c
        for c in run_checks(stream_of(rows(contract).drop_columns(["title"])), contract, "all")
        if not c.passed
    ]
    names = [check.name for check in failed]
    assert "title: no nulls (expectation could not run)" in names
    assert all(check.reason and check.try_ for check in failed)


def test_data_docs_show_the_rules_and_lie_in_their_folder(tmp_path, contract):
    run_checks(stream_of(rows(contract)), contract, "all", docs=tmp_path / "docs")
    pages = list((tmp_path / "docs").rglob("*.html"))
    assert tmp_path / "docs" / "index.html" in pages
    assert any(re.search("loan_id", page.read_text()) for page in pages)


def _shown(folder: Path, *, view: View, **values: list[str]) -> str:
    """The text of all pages about rows of which some break a rule."""
    contract = contract_of(document(), folder)
    columns = [column.name for column in contract.view_columns(view)]
    table = rows(contract, **values).select(columns)
    run_checks(stream_of(table), contract, view, docs=folder / "docs")
    return "".join(page.read_text() for page in (folder / "docs").rglob("*.html"))


def test_data_docs_of_a_view_with_sensitive_columns_show_no_failing_value(tmp_path):
    shown = _shown(
        tmp_path,
        view="all",
        age=["centenarian", "young", "old", "old"],
        reader=["a secret name", "b@x", "c@x", "d@x"],
        late=["perhaps", "no", "yes", "no"],
    )
    assert "must belong to this set" in shown
    for value in ("centenarian", "a secret name", "perhaps"):
        assert value not in shown


def test_data_docs_of_a_view_without_one_show_what_fails(tmp_path):
    assert "perhaps" in _shown(tmp_path, view="training", late=["perhaps", "no", "yes", "no"])
