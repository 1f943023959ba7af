from typing import get_args

import pytest

from sashiko.contract.glue import check_lake, glue_table
from sashiko.contract.model import LogicalType
from sashiko.errors import InputError
from tests.unit.contract.documents import column_of, contract_of, document, table_of


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


def test_a_comment_is_one_line_and_no_longer_than_glue_takes(tmp_path):
    edited = document()
    column_of(edited, "title")["description"] = "The title,\n" + "as printed, " * 40
    comments = {c.name: c.comment for c in glue_table(contract_of(edited, tmp_path)).columns}
    assert len(comments["title"]) <= 255
    assert comments["title"].startswith("The title, as printed, as printed")
    assert comments["title"].endswith(" ...")


def test_two_contracts_of_one_table_are_refused_with_both_files(contract):
    with pytest.raises(InputError, match=r"a\.yaml, b\.yaml: table `loans`: 2 contracts"):
        check_lake({"a.yaml": contract, "b.yaml": contract}, row_filters_hold=True)


@pytest.mark.parametrize(
    ("table", "domain", "message"),
    [
        ("quarantine", None, r"a\.yaml: table `quarantine`: .*physicalName"),
        ("loans", "Lending", r"a\.yaml: .*key `domain`: .*lower-case"),
        ("loans", "lending desk", r"key `domain`: .*lower-case"),
        ("loans", "-x", r"key `domain`: .*lower-case"),
    ],
)
def test_names_that_the_lake_cannot_hold_are_refused(table, domain, message, tmp_path, contract):
    edited = document() | ({} if domain is None else {"domain": domain})
    table_of(edited)["physicalName"] = table
    with pytest.raises(InputError, match=message):
        check_lake({"a.yaml": contract_of(edited, tmp_path)}, row_filters_hold=True)
    check_lake({"a.yaml": contract}, row_filters_hold=True)
