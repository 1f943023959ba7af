import duckdb
import pyarrow as pa

from sashiko.contract.derive import select_sql
from tests.unit.contract.documents import column_of, contract_of, document, rows


def test_the_governed_select_runs_and_shows_the_view_in_the_order_of_the_key(tmp_path):
    edited = document()
    column_of(edited, "title")["name"] = "order"  # a word of SQL
    edited["schema"][0]["customProperties"][-1]["value"] = ["order"]
    contract = contract_of(edited, tmp_path)
    loans = rows(contract, order=["Emma", "Ulysses", "Walden", "Dune"])
    with duckdb.connect() as connection:
        connection.register("loans", loans)
        shown = connection.sql(select_sql(contract, "training")).to_arrow_table()
    assert shown.column_names == ["loan_id", "lent_at", "pages", "price", "order", "late"]
    assert shown["loan_id"].to_pylist() == ["a", "b", "c", "d"]


def test_the_select_of_no_governed_view_names_a_personal_column(contract):
    for view in ("training", "facets"):
        assert "reader" not in select_sql(contract, view)


def test_one_version_of_a_table_that_has_versions_is_selected(contract):
    loans = rows(contract)
    versions = pa.array(["load-1", "load-2", "load-1", "load-2"])
    with duckdb.connect() as connection:
        connection.register("loans", loans.append_column("as_of", versions))
        shown = connection.sql(select_sql(contract, "facets", as_of="load-2")).to_arrow_table()
    assert shown.column_names == ["loan_id", "age", "late"]
    assert shown["loan_id"].to_pylist() == ["a", "c"]
