from pathlib import Path
from typing import Any, get_args

import pytest

from sashiko.contract.glue import check_lake, glue_table
from sashiko.contract.grants import (
    ColumnGrant,
    FilterGrant,
    TagAssignment,
    TagGrant,
    reader_grants,
    tag_assignments,
    tag_values,
)
from sashiko.contract.model import Contract, ExistingTable, LogicalType
from sashiko.errors import InputError
from tests.unit.contract.documents import column_of, contract_of, document, table_of

_FILTER = {"persona": "data-scientist", "filter": " late = 'a  b' ", "columns": ["loan_id", "late"]}


def _filtered(folder: Path) -> Contract:
    edited = document()
    rows = {"property": "rowFilters", "value": [_FILTER]}
    table_of(edited)["customProperties"].append(rows)
    return contract_of(edited, folder)


def _other(folder: Path) -> Contract:
    edited = document()
    table_of(edited)["physicalName"] = "returns"
    return contract_of(edited, folder)


def test_a_table_is_pii_until_a_column_says_otherwise_in_its_own_environment(tmp_path):
    tags = tag_assignments([contract_of(document(), tmp_path)], environment="dev")
    assert TagAssignment(kind="sensitivity", value="pii") in tags
    assert TagAssignment(kind="sensitivity", value="pii", table="loans") in tags
    names = ("loan_id", "lent_at", "pages", "price", "title", "late", "as_of")
    expected = dict.fromkeys(names, "none") | {"age": "sensitive"}
    assert {tag.column: tag.value for tag in tags if tag.column} == expected

    grants = reader_grants([contract_of(document(), tmp_path)], environment="dev")
    expressions = [dict(grant.expression) for grant in grants if isinstance(grant, TagGrant)]
    assert len(expressions) == len(grants) == 6
    assert all(expression["environment"] == ("dev",) for expression in expressions)


def test_a_domain_is_a_tag_of_the_table_and_a_comment_one_line_that_glue_takes(tmp_path):
    without = contract_of(document(), tmp_path)
    domain = contract_of(document() | {"domain": "lending"}, tmp_path)
    assert "domain" not in tag_values([without], environments=("dev",))
    assert tag_values([domain, without], environments=("dev",))["domain"] == ("lending",)
    tags = tag_assignments([domain], environment="dev")
    assert [tag for tag in tags if tag.kind == "domain"] == [
        TagAssignment(kind="domain", value="lending", table="loans")
    ]

    edited = document()
    column_of(edited, "title")["description"] = "The title,\n" + "as printed, " * 40
    comments = {c.name: c.comment for c in glue_table(contract_of(edited, tmp_path)).columns}
    assert len(comments["title"]) <= 255
    assert comments["title"].startswith("The title, as printed, as printed")
    assert comments["title"].endswith(" ...")


def test_who_has_a_row_filter_gets_it_and_other_tables_by_name(tmp_path):
    contracts = [_filtered(tmp_path), _other(tmp_path)]
    lake = ExistingTable(database="sales", table="claims")
    existing = contracts[1].model_copy(update={"table": "claims", "lake": lake})
    grants = reader_grants([*contracts, existing], environment="dev")
    mine = [grant for grant in grants if grant.persona == "data-scientist"]
    assert [grant for grant in mine if isinstance(grant, FilterGrant)] == [FilterGrant(
        persona="data-scientist", table="loans", filter="late = 'a  b'",
        columns=("loan_id", "late", "as_of"),
    )]  # fmt: skip
    named = {(grant.table, grant.column) for grant in mine if isinstance(grant, ColumnGrant)}
    assert named == {
        ("returns", name)
        for name in ("loan_id", "lent_at", "pages", "price", "title", "late", "as_of")
    }
    tagged = [grant for grant in mine if isinstance(grant, TagGrant)]
    assert [grant.permission for grant in tagged] == ["DESCRIBE"]


def test_the_table_has_the_contracts_columns_in_its_order_with_glues_types(contract):
    table = glue_table(contract)
    assert {column.name: column.type for column in table.columns} == {
        "loan_id": "string", "lent_at": "timestamp", "pages": "bigint", "price": "double",
        "title": "string", "reader": "string", "age": "string", "late": "string",
    }  # fmt: skip
    assert [column.name for column in table.columns] == [c.name for c in contract.columns]
    assert (table.partition_key.name, table.partition_key.type) == ("as_of", "string")
    assert table.columns[0].comment == "The loan_id."


@pytest.mark.parametrize("kind", get_args(LogicalType))
def test_glue_has_a_type_for_each_type_that_a_contract_may_use(kind, tmp_path):
    edited = document()
    column_of(edited, "price")["logicalType"] = kind
    types = {c.name: c.type for c in glue_table(contract_of(edited, tmp_path)).columns}
    assert types["price"]


def test_two_contracts_of_one_table_are_refused_with_both_files(contract):
    with pytest.raises(InputError, match=r"a\.yaml, b\.yaml: table `loans`: 2 contracts"):
        check_lake(
            {"a.yaml": contract, "b.yaml": contract}, row_filters_hold=True, region="us-east-1"
        )


@pytest.mark.parametrize(("table", "domain", "message"), [
    ("quarantine", None, r"a\.yaml: table `quarantine`: .*physicalName"),
    ("loans", "Lending", r"a\.yaml: .*key `domain`: .*lower-case"),
    ("loans", "lending desk", r"key `domain`: .*lower-case"),
    ("loans", "-x", r"key `domain`: .*lower-case"),
])  # fmt: skip
def test_names_that_the_lake_cannot_hold_are_refused(table, domain, message, tmp_path, contract):
    edited = document() | ({} if domain is None else {"domain": domain})
    table_of(edited)["physicalName"] = table
    with pytest.raises(InputError, match=message):
        check_lake(
            {"a.yaml": contract_of(edited, tmp_path)}, row_filters_hold=True, region="us-east-1"
        )
    check_lake({"a.yaml": contract}, row_filters_hold=True, region="us-east-1")


def _with(*filters: dict[str, Any]) -> dict[str, Any]:
    edited = document()
    rows = {"property": "rowFilters", "value": list(filters)}
    table_of(edited)["customProperties"].append(rows)
    return edited


def _filter(condition: str = "late = 'yes'", **more: Any) -> dict[str, Any]:
    columns = {"persona": "data-scientist", "columns": ["loan_id", "late"]}
    return columns | {"filter": condition} | more


@pytest.mark.parametrize("condition", [
    "late = 'yes'",
    "late <> 'it''s; late' AND (pages >= 100 OR price < -1.5)",
    "title like 'A%' and lent_at is not null",
    "pages between 10 and 20 or late in ('yes', 'no')",
    "lent_at > timestamp '2025-01-01 00:00:00'",
])  # fmt: skip
def test_a_condition_that_lake_formation_reads_is_taken_as_it_stands(condition, tmp_path):
    contract = contract_of(_with(_filter(condition)), tmp_path)
    assert contract.row_filters[0].filter == condition


@pytest.mark.parametrize(("filters", "message"), [
    ([_filter(columns=["loan_id", "lateness"])], r"persona data-scientist: no column `latenes"),
    ([_filter(columns=["loan_id", "reader"])], r"column `reader` is pii, but the persona may read"),
    ([_filter(columns=["loan_id", "age"])], r"column `age` is sensitive, but the persona may read"),
    ([_filter("lat = 'yes'")], r"key `filter`: no column `lat`; the columns are loan_id"),
    ([_filter("reader = 'a@x.org'")], r"key `filter`: column `reader` is pii"),
    ([_filter("late = 'yes'; drop")], r"key `filter`: cannot read '; drop'"),
    ([_filter('late = "yes"')], r"key `filter`: cannot read"),
    ([_filter("late =")], r"key `filter`: 'late =' is not a valid condition: "),
    ([_filter("pages > 'many'")], r"is not a valid condition: .*'many'"),
    ([_filter("late = 'yes') or (1 = 1")], r"is not a valid condition: "),
    ([_filter(), _filter("pages > 1")], r"data-scientist has 2; join them by OR into one"),
    ([_filter(persona="training")], r"key `rowFilters.0.persona`.*'broker'"),
    ([_filter(columns=[])], r"key `rowFilters.0.columns`"),
    ([_filter(persona="broker")], r"broker and bias-evaluator .* the same `filter`"),
    ([_filter(persona="broker")], r"its snapshot needs lent_at, pages, price, title as well"),
])  # fmt: skip
def test_what_is_wrong_with_a_row_filter_is_reported_with_reader_and_column(
    filters, message, tmp_path
):
    with pytest.raises(InputError, match=message) as error:
        contract_of(_with(*filters), tmp_path)
    assert str(tmp_path) in str(error.value).splitlines()[0]
    assert "rowFilters" in str(error.value)


def test_both_snapshots_may_be_of_the_same_part_of_the_rows(tmp_path):
    training = ["loan_id", "lent_at", "pages", "price", "title", "late"]
    facets = ["loan_id", "age", "late"]
    filters = [
        _filter(persona="broker", columns=training),
        _filter(persona="bias-evaluator", columns=facets),
    ]
    assert len(contract_of(_with(*filters), tmp_path).row_filters) == 2
    filters[1]["filter"] = "late = 'no'"
    with pytest.raises(InputError, match=r"the same `filter`"):
        contract_of(_with(*filters), tmp_path)
