from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from sashiko.contract import rule_expectations
from sashiko.contract.derive import select_sql
from sashiko.contract.load import load_contract
from sashiko.contract.load_spec import dqdl_ruleset, load_spec
from sashiko.contract.rule_expectations import RULE_TABLE, Row, expectations
from sashiko.errors import InputError
from tests.unit.contract import documents


def _names(edited: dict[str, Any], folder: Path, view: str = "all") -> list[str]:
    return [item.name for item in expectations(documents.contract_of(edited, folder), view)]


def test_a_view_has_the_rules_of_its_columns_and_a_key_each_once(tmp_path):
    names = _names(documents.document(), tmp_path, "facets")
    assert {name.split(":")[0] for name in names} == {"table", "loan_id", "age", "late"}
    assert "table: at least 3 rows" in names
    training = _names(documents.document(), tmp_path, "training")
    assert "lent_at: newest row from 2025-03-08 to 2025-03-10" in training

    edited = documents.document()
    documents.column_of(edited, "loan_id").update(required=True, unique=True)
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
    edited = documents.document()
    documents.column_of(edited, "price")["quality"] = [rule]
    assert name in _names(edited, tmp_path)


def test_a_rule_over_columns_that_a_view_lacks_waits_for_the_view_that_has_them(tmp_path):
    edited = documents.document()
    arguments = {"properties": ["title", "reader"]}
    documents.table_of(edited)["quality"] = [
        {"metric": "duplicateValues", "mustBe": 0, "arguments": arguments}
    ]
    name = "table: unique together: title + reader"
    assert name in _names(edited, tmp_path)
    assert name not in _names(edited, tmp_path, "training")


def test_the_governed_select_runs_and_shows_the_view_in_the_order_of_the_key(tmp_path):
    edited = documents.document()
    documents.column_of(edited, "title")["name"] = "order"  # a word of SQL
    edited["schema"][0]["customProperties"][-1]["value"] = ["order"]
    contract = documents.contract_of(edited, tmp_path)
    loans = documents.rows(contract, order=["Emma", "Ulysses", "Walden", "Dune"])
    with duckdb.connect() as connection:
        connection.register("loans", loans)
        shown = connection.sql(select_sql(contract, "training")).to_arrow_table()
    assert shown.column_names == ["loan_id", "lent_at", "pages", "price", "order", "late"]
    assert shown["loan_id"].to_pylist() == ["a", "b", "c", "d"]


def test_the_select_of_no_governed_view_names_a_personal_column(contract):
    for view in ("training", "facets"):
        assert "reader" not in select_sql(contract, view)


def test_one_version_of_a_table_that_has_versions_is_selected(contract):
    loans = documents.rows(contract)
    versions = pa.array(["load-1", "load-2", "load-1", "load-2"])
    with duckdb.connect() as connection:
        connection.register("loans", loans.append_column("as_of", versions))
        shown = connection.sql(select_sql(contract, "facets", as_of="load-2")).to_arrow_table()
    assert shown.column_names == ["loan_id", "age", "late"]
    assert shown["loan_id"].to_pylist() == ["a", "c"]


# Properties of a column -> its rule in DQDL; only the rule against nulls fails on nulls.
PAGES = [
    ({"logicalTypeOptions": {"minimum": 1}},
     'ColumnValues "pages" >= 1 where "`pages` is not null"'),
    ({"logicalTypeOptions": {"maximum": 9}},
     'ColumnValues "pages" <= 9 where "`pages` is not null"'),
    ({"logicalTypeOptions": {"exclusiveMinimum": -1}},
     'ColumnValues "pages" > -1 where "`pages` is not null"'),
    ({"logicalTypeOptions": {"exclusiveMaximum": 9}},
     'ColumnValues "pages" < 9 where "`pages` is not null"'),
    ({"required": True}, 'IsComplete "pages"'),
    ({"unique": True}, 'IsUnique "pages"'),
    ({"enum": [{"value": 1}, {"value": 2}]}, 'ColumnValues "pages" in [1, 2, NULL]'),
    ({"quality": [{"metric": "nullValues", "mustBeLessThan": 6, "unit": "percent"}]},
     'Completeness "pages" > 0.94'),
    ({"quality": [{"metric": "nullValues", "mustBeLessOrEqualTo": 5, "unit": "percent"}]},
     'Completeness "pages" >= 0.95'),
    ({"quality": [{"metric": "missingValues", "mustBe": 0,
                   "arguments": {"missingValues": [None, -1, 0.5]}}]},
     'ColumnValues "pages" not in [-1, 0.5]'),
    ({"quality": [{"metric": "invalidValues", "mustBeLessOrEqualTo": 2, "unit": "percent",
                   "arguments": {"validValues": [1, 2]}}]},
     'ColumnValues "pages" in [1, 2] where "`pages` is not null" with threshold >= 0.98'),
    ({"quality": [{"metric": "duplicateValues", "mustBe": 0}]}, 'IsUnique "pages"'),
    ({"quality": [{"metric": "duplicateValues", "mustBeLessThan": 5, "unit": "percent"}]},
     'CustomSql "select count(distinct `pages`) / count(`pages`) from primary" > 0.95'),
    ({"quality": [{"metric": "duplicateValues", "mustBeLessOrEqualTo": 5, "unit": "percent"}]},
     'CustomSql "select count(distinct `pages`) / count(`pages`) from primary" >= 0.95'),
]  # fmt: skip

FILLED = ' where "`title` is not null"'

TITLE = [
    ({"logicalTypeOptions": {"minLength": 2}}, f'ColumnLength "title" >= 2{FILLED}'),
    ({"logicalTypeOptions": {"maxLength": 9}}, f'ColumnLength "title" <= 9{FILLED}'),
    ({"enum": [{"value": 'a "b" \\'}]}, r'ColumnValues "title" in ["a \"b\" \\", NULL]'),
    ({"logicalTypeOptions": {"pattern": "^[a-z]+$"}},
     f'ColumnValues "title" matches "(?s).*(?:^[a-z]+$).*"{FILLED}'),
    ({"logicalTypeOptions": {"pattern": "^a|b$"}},
     f'ColumnValues "title" matches "(?s).*(?:^a|b$).*"{FILLED}'),
    ({"logicalTypeOptions": {"pattern": r'^\d"\\"$'}},
     rf'ColumnValues "title" matches "(?s).*(?:(?U)^\d\"\\\"$).*"{FILLED}'),
    ({"quality": [{"metric": "invalidValues", "mustBe": 0, "arguments": {"pattern": "^x$"}}]},
     f'ColumnValues "title" matches "(?s).*(?:^x$).*"{FILLED}'),
    ({"quality": [{"metric": "invalidValues", "mustBeLessOrEqualTo": 2.5, "unit": "percent",
                   "arguments": {"pattern": "^x$"}}]},
     f'ColumnValues "title" matches "(?s).*(?:^x$).*"{FILLED} with threshold >= 0.975'),
]  # fmt: skip

TABLE = [
    ({"metric": "rowCount", "mustBe": 5}, "RowCount = 5"),
    ({"metric": "rowCount", "mustBeGreaterThan": 5}, "RowCount > 5"),
    ({"metric": "rowCount", "mustBeGreaterOrEqualTo": 5}, "RowCount >= 5"),
    ({"metric": "rowCount", "mustBeLessThan": 5}, "RowCount < 5"),
    ({"metric": "rowCount", "mustBeLessOrEqualTo": 5}, "RowCount <= 5"),
    ({"metric": "rowCount", "mustBeBetween": [2, 5]}, "(RowCount >= 2) and (RowCount <= 5)"),
    ({"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": ["title", "reader"]}},
     'Uniqueness "title" "reader" = 1.0'),
]  # fmt: skip

TIMES = [
    ({"minimum": "2025-01-01"},
     "CustomSql \"select count(*) from primary where `lent_at` < timestamp '2025-01-01 00:00:00Z'\""
     " = 0"),
    ({"exclusiveMaximum": "2025-01-01T10:00+02:00"},
     "CustomSql \"select count(*) from primary where `lent_at` >= "
     "timestamp '2025-01-01 08:00:00Z'\" = 0"),
]  # fmt: skip


def _edited(column: str, **properties: Any) -> dict[str, Any]:
    edited = documents.document()
    documents.column_of(edited, column).update(properties)
    return edited


def _rules(edited: dict[str, Any], folder: Path) -> list[str]:
    return [*dqdl_ruleset(documents.contract_of(edited, folder)).rules.values()]


@pytest.mark.parametrize(("properties", "rule"), PAGES)
def test_what_a_column_of_numbers_says(properties, rule, tmp_path):
    edited = _edited("pages", **{"logicalTypeOptions": {}} | properties)
    assert rule in _rules(edited, tmp_path)


@pytest.mark.parametrize(("properties", "rule"), TITLE)
def test_what_a_column_of_texts_says(properties, rule, tmp_path):
    assert rule in _rules(_edited("title", **properties), tmp_path)


@pytest.mark.parametrize(("rule", "text"), TABLE)
def test_what_a_table_says(rule, text, tmp_path):
    edited = documents.document()
    documents.table_of(edited)["quality"] = [rule]
    assert text in _rules(edited, tmp_path)


@pytest.mark.parametrize(("options", "text"), TIMES)
def test_a_bound_of_a_time_is_not_cut_to_its_day(options, text, tmp_path):
    assert text in _rules(_edited("lent_at", logicalTypeOptions=options), tmp_path)


def test_bounds_of_dates_the_newest_row_and_the_columns_are_rules(tmp_path):
    edited = _edited("lent_at", logicalType="date", logicalTypeOptions={"minimum": "2025-01-01"})
    assert 'ColumnValues "lent_at" >= "2025-01-01" where "`lent_at` is not null"' in _rules(
        edited, tmp_path
    )

    newest = "from (select max(`lent_at`) as newest from primary) where newest between "
    rules = [text for text in _rules(documents.document(), tmp_path) if newest in text]
    assert len(rules) == 1
    ends = "timestamp '2025-03-08 00:00:00Z' and timestamp '2025-03-10 23:59:59.999999Z'"
    assert rules[0].endswith(f'{ends}" = 1')
    first = _rules(documents.document(), tmp_path)[0]
    assert first.startswith('(ColumnCount = 8) and (ColumnExists "loan_id") and (ColumnExists "le')
    edited = _edited("title", logicalTypeOptions={"pattern": "(?P<year>[0-9]+)"})
    with pytest.raises(InputError, match=r"loans: `title: matches .*without a name"):
        dqdl_ruleset(documents.contract_of(edited, tmp_path))


@pytest.mark.parametrize(("column", "properties", "reason"), [
    ("title", {}, "not what they are"),
    ("title", {"enum": [{"value": "2025-01-01"}]}, "as a date or a time"),
    ("title", {"enum": [{"value": "10:30 AM"}]}, "as a date or a time"),
    ("title", {"enum": [{"value": "Bachelor's"}]}, "apostrophe"),
    ("lent_at", {"enum": [{"value": "2025-01-01"}]}, "no list of timestamp values"),
])  # fmt: skip
def test_what_dqdl_cannot_say_is_listed_with_its_reason(column, properties, reason, tmp_path):
    unmapped = dqdl_ruleset(documents.contract_of(_edited(column, **properties), tmp_path)).unmapped
    assert any(name.startswith(f"{column}: ") and reason in why for name, why in unmapped.items())


@pytest.mark.parametrize("name", ["complaints", "census", "every rule"])
def test_each_expectation_is_in_the_ruleset_or_refused_with_a_reason(name, tmp_path):
    if name == "every rule":
        contract = documents.contract_of(documents.every_rule(), tmp_path)
    else:
        contract = load_contract(Path(f"contracts/{name}.odcs.yaml"))
    ruleset = dqdl_ruleset(contract)
    assert ruleset.rules
    assert sorted([*ruleset.rules, *ruleset.unmapped]) == sorted(
        item.name for item in expectations(contract, "all")
    )
    assert all(ruleset.unmapped.values())


@pytest.mark.parametrize("render", [dqdl_ruleset, load_spec])
def test_an_expectation_that_nobody_placed_is_an_error(render, monkeypatch, contract):
    strange = Row("required", "strange", "expect_something_new", lambda _: {}, "mend it")
    monkeypatch.setattr(rule_expectations, "RULE_TABLE", (*RULE_TABLE, strange))
    with pytest.raises(InputError, match=r"strange.*`expect_something_new`"):
        render(contract)
