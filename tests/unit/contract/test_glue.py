from typing import get_args

import pytest

from sashiko.contract.glue import check_lake, glue_table
from sashiko.contract.model import LogicalType
from sashiko.errors import InputError
from tests.unit.contract.documents import column_of, contract_of, document, table_of


def test_the_table_has_the_contracts_columns_in_its_order_with_glues_types(tmp_path):
    table = glue_table(contract_of(document(), tmp_path))
    assert [(column.name, column.type) for column in table.columns] == [
        ("loan_id", "string"),
        ("lent_at", "timestamp"),
        ("pages", "bigint"),
        ("price", "double"),
        ("title", "string"),
        ("reader", "string"),
        ("age", "string"),
        ("late", "string"),
    ]
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


def test_two_contracts_of_one_table_are_refused_with_both_files(tmp_path):
    contract = contract_of(document(), tmp_path)
    with pytest.raises(InputError, match=r"a\.yaml, b\.yaml: table `loans`: 2 contracts"):
        check_lake({"a.yaml": contract, "b.yaml": contract}, row_filters_hold=True)


def test_a_table_may_not_be_called_as_the_place_of_rejected_rows(tmp_path):
    edited = document()
    table_of(edited)["physicalName"] = "quarantine"
    contract = contract_of(edited, tmp_path)
    with pytest.raises(InputError, match=r"a\.yaml: table `quarantine`: .*physicalName"):
        check_lake({"a.yaml": contract}, row_filters_hold=True)


@pytest.mark.parametrize("domain", ["Lending", "lending desk", "-x"])
def test_a_domain_that_no_lf_tag_can_hold_is_refused(domain, tmp_path):
    contract = contract_of(document() | {"domain": domain}, tmp_path)
    with pytest.raises(InputError, match=r"a\.yaml: .*key `domain`: .*lower-case"):
        check_lake({"a.yaml": contract}, row_filters_hold=True)
    check_lake({"a.yaml": contract_of(document(), tmp_path)}, row_filters_hold=True)
