from pathlib import Path
from typing import Any

import pytest

from sashiko.contract.rule_expectations import expectations
from tests.unit.contract.documents import column_of, contract_of, document, table_of


def _names(edited: dict[str, Any], folder: Path, view: str = "all") -> list[str]:
    return [item.name for item in expectations(contract_of(edited, folder), view)]


def test_a_view_is_judged_by_the_rules_of_its_own_columns(tmp_path):
    names = _names(document(), tmp_path, "facets")
    assert {name.split(":")[0] for name in names} == {"table", "loan_id", "age", "late"}
    assert "table: at least 3 rows" in names
    training = _names(document(), tmp_path, "training")
    assert "lent_at: newest row from 2025-03-08 to 2025-03-10" in training


def test_a_key_is_unique_and_complete_however_often_the_contract_says_so(tmp_path):
    edited = document()
    column_of(edited, "loan_id").update(required=True, unique=True)
    names = _names(edited, tmp_path)
    assert names.count("loan_id: unique") == names.count("loan_id: no nulls") == 1


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ({"metric": "nullValues", "mustBe": 0}, "price: no nulls"),
        ({"metric": "nullValues", "mustBeLessOrEqualTo": 0, "unit": "percent"}, "price: no nulls"),
        ({"metric": "nullValues", "mustBeLessThan": 5, "unit": "percent"},
         "price: less than 5 % nulls"),
        ({"metric": "duplicateValues", "mustBe": 0}, "price: unique"),
        ({"metric": "duplicateValues", "mustBeLessOrEqualTo": 2.5, "unit": "percent"},
         "price: at most 2.5 % repeated"),
        ({"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": [1.5]}},
         "price: valid values"),
        ({"metric": "missingValues", "mustBe": 0, "arguments": {"missingValues": [None, -1]}},
         "price: no stand-ins for missing"),
    ],
)  # fmt: skip
def test_a_quality_rule_becomes_a_named_expectation(rule, name, tmp_path):
    edited = document()
    column_of(edited, "price")["quality"] = [rule]
    assert name in _names(edited, tmp_path)


def test_a_rule_over_columns_that_a_view_lacks_waits_for_the_view_that_has_them(tmp_path):
    edited = document()
    arguments = {"properties": ["title", "reader"]}
    table_of(edited)["quality"] = [
        {"metric": "duplicateValues", "mustBe": 0, "arguments": arguments}
    ]
    name = "table: unique together: title + reader"
    assert name in _names(edited, tmp_path)
    assert name not in _names(edited, tmp_path, "training")
