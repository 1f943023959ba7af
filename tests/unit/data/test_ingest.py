import csv
import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.base.parquet import write_table
from sashiko.contract.derive import arrow_schema
from sashiko.contract.model import Contract
from sashiko.data.ingest import check_file, ingest, typed_batches
from sashiko.errors import InputError
from tests.unit.contract import documents

HEADER = "loan_id,lent_at,pages,price,title,reader,age,late"
LINE = "a,2025-03-01T12:00:00Z,100,9.5,Emma,a@x.org,young,yes"


def _csv(folder: Path, *lines: str, header: str = HEADER, encoding: str = "utf-8") -> Path:
    path = folder / "loans.csv"
    path.write_bytes("\n".join([header, *lines, ""]).encode(encoding))
    return path


def _contract(folder: Path, **ingest_rules: Any) -> Contract:
    bent = documents.document()
    if ingest_rules:
        rule = {"property": "ingest", "value": ingest_rules}
        documents.table_of(bent)["customProperties"].append(rule)
    if row_number := ingest_rules.get("row_number"):
        documents.column_of(bent, row_number)["logicalType"] = "integer"
    return documents.contract_of(bent, folder)


def read_table(path: Path, contract: Contract) -> pa.Table:
    return pa.Table.from_batches(
        typed_batches(path, contract), schema=arrow_schema(contract, "all")
    )


def test_csv_becomes_the_contracts_typed_table(tmp_path):
    contract = _contract(tmp_path)
    text = '"b","2025-03-02 08:30",,,"Dune, ""part""\ntwo",,old,no'
    table = read_table(_csv(tmp_path, LINE, text), contract)
    assert table.schema.equals(arrow_schema(contract, "all"))
    assert table.column("lent_at").to_pylist() == [
        dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC),
        dt.datetime(2025, 3, 2, 8, 30, tzinfo=dt.UTC),
    ]
    assert table.column("pages").to_pylist() == [100, None]
    assert table.column("price").to_pylist() == [9.5, None]
    assert table.column("title").to_pylist() == ["Emma", 'Dune, "part"\ntwo']


@pytest.mark.parametrize(("text", "hour"), [
    ("2025-03-01", 0),
    ("2025-03-01 12:00:00.5", 12),
    ("2025-03-01T12:00:00+02:00", 10),
    ("2025-03-01T12:00Z", 12),
])  # fmt: skip
def test_times_without_a_zone_are_utc(tmp_path, text, hour):
    line = LINE.replace("2025-03-01T12:00:00Z", text)
    lent_at = read_table(_csv(tmp_path, line), _contract(tmp_path)).column("lent_at")[0].as_py()
    assert (lent_at.day, lent_at.hour) == (1, hour)


def test_values_are_cut_and_keys_numbered_as_the_contract_says_and_bad_ones_left(tmp_path):
    contract = _contract(tmp_path, trim=True, null_values=["?"])
    line = LINE.replace("Emma", " ? ").replace("young", " young ")
    (row,) = read_table(_csv(tmp_path, line), contract).to_pylist()
    assert row["title"] is None
    assert row["age"] == "young"

    contract = _contract(tmp_path, row_number="loan_id")
    lines = [f"{n + 40},{LINE.removeprefix('a,')}" for n in range(3)]
    path = _csv(tmp_path, *lines, header=HEADER.removeprefix("loan_id"))
    assert read_table(path, contract).column("loan_id").to_pylist() == [0, 1, 2]
    lines = [LINE, LINE, LINE.replace("yes", "perhaps")]
    table = read_table(_csv(tmp_path, *lines), _contract(tmp_path))
    assert table.column("late").to_pylist() == ["yes", "yes", "perhaps"]


GERMAN = {"delimiter": ";", "encoding": "windows-1252", "decimal": ",", "thousands": "."}


def _german(folder: Path, **rules: Any) -> Contract:
    bent = documents.document()
    documents.table_of(bent)["customProperties"].append(
        {"property": "ingest", "value": GERMAN | rules}
    )
    documents.column_of(bent, "lent_at")["logicalTypeOptions"] = {"format": "d.M.yyyy H:mm"}
    return documents.contract_of(bent, folder)


def _german_csv(folder: Path, *lines: str) -> Path:
    return _csv(folder, *lines, header=HEADER.replace(",", ";"), encoding="windows-1252")


def test_a_file_is_read_as_the_contract_says_that_it_is_written(tmp_path):
    lines = ("a;1.3.2025 9:05;1.100;1.009,5;Füße;a@x.org;young;yes", "b;31.12.2025 12:00;7;,25;;;;")
    table = read_table(_german_csv(tmp_path, *lines), _german(tmp_path))
    assert table.column("lent_at").to_pylist() == [
        dt.datetime(2025, 3, 1, 9, 5, tzinfo=dt.UTC),
        dt.datetime(2025, 12, 31, 12, tzinfo=dt.UTC),
    ]
    assert table.column("pages").to_pylist() == [1100, 7]
    assert table.column("price").to_pylist() == [1009.5, 0.25]
    assert table.column("title").to_pylist() == ["Füße", None]


@pytest.mark.parametrize(("old", "new", "message"), [
    ("1,5", "1.5", r"`price`, row 1: '1\.5' .* written with ',' before decimals and '\.'"),
    ("1,5", "1.23,5", r"`price`, row 1: '1\.23,5' is not a value of type number"),
    ("100", "10.00", r"`pages`, row 1: '10\.00' is not a value of type integer"),
    ("1.3.2025", "2025-03-01", r"`lent_at`, row 1: .* written d\.M\.yyyy H:mm"),
    ("1.3.2025", "31.2.2025", r"`lent_at`, row 1: '31\.2\.2025 9:05'"),
])  # fmt: skip
def test_a_value_that_is_written_otherwise_is_named_with_how_it_should_be(
    tmp_path, old, new, message
):
    line = "a;1.3.2025 9:05;100;1,5;Emma;a@x.org;young;yes".replace(old, new)
    with pytest.raises(InputError, match=message):
        read_table(_german_csv(tmp_path, line), _german(tmp_path))


def test_a_delimiter_that_the_contract_does_not_know_is_named(tmp_path):
    for line in ("a;1.3.2025;1;1,5;Emma;;young;yes", "a;1.3.2025;1;1;Emma;;young;yes"):
        with pytest.raises(InputError, match="say `delimiter: ';'` under `ingest` of the contract"):
            read_table(_german_csv(tmp_path, line), _contract(tmp_path))


def test_columns_are_matched_by_their_physical_names_in_any_order(tmp_path):
    bent = documents.document()
    documents.column_of(bent, "title")["physicalName"] = "Book Title"
    path = _csv(
        tmp_path,
        "Emma,a,2025-03-01,100,9.5,a@x.org,young,yes",
        header="Book Title,loan_id,lent_at,pages,price,reader,age,late",
    )
    table = read_table(path, documents.contract_of(bent, tmp_path))
    assert table.select(["loan_id", "title"]).to_pylist() == [{"loan_id": "a", "title": "Emma"}]


def test_parquet_is_cast_to_the_contracts_types(tmp_path):
    contract = _contract(tmp_path)
    table = documents.rows(contract)
    loose = table.set_column(2, "pages", table.column("pages").cast(pa.float64()))
    loose = loose.set_column(6, "age", table.column("age").dictionary_encode())
    loose = loose.set_column(3, "price", pa.array([9.5, float("nan"), 3.0, 1.25]))
    pq.write_table(loose, tmp_path / "loans.parquet")
    assert read_table(tmp_path / "loans.parquet", contract).equals(table)


def test_a_value_of_another_type_is_named_and_a_personal_one_not_repeated(tmp_path):
    path = _csv(tmp_path, *[LINE] * 3, LINE.replace("100", "many"))
    with pytest.raises(InputError, match=r"loans\.csv: column `pages`, row 4: 'many'.*integer"):
        read_table(path, _contract(tmp_path))

    bent = documents.document()
    documents.column_of(bent, "reader").update(logicalType="integer", logicalTypeOptions={})
    with pytest.raises(InputError, match="column `reader`, row 1") as caught:
        read_table(_csv(tmp_path, LINE), documents.contract_of(bent, tmp_path))
    assert "a@x.org" not in str(caught.value)


def test_rows_are_counted_through_the_whole_file(tmp_path):
    contract = _contract(tmp_path, row_number="loan_id")
    long = LINE.replace("Emma", "x" * 1000).removeprefix("a,")
    header = HEADER.removeprefix("loan_id,")
    lines = [long] * 20_000
    table = read_table(_csv(tmp_path, *lines, header=header), contract)
    assert table.column("loan_id").to_pylist() == list(range(20_000))
    path = _csv(tmp_path, *lines, long.replace("100", "many"), header=header)
    with pytest.raises(InputError, match="row 20001: 'many'"):
        read_table(path, contract)


@pytest.mark.parametrize(("header", "message"), [
    (HEADER.replace("pages", "leaves"), "column `pages` .* is missing.*`leaves`"),
    (HEADER + ",extra", "column `extra` is not in the contract"),
    (HEADER.replace("pages", "title"), "column `title` is there twice"),
])  # fmt: skip
def test_other_columns_than_the_contracts_are_refused(tmp_path, header, message):
    line = LINE + ",x" * (header.count(",") - HEADER.count(","))
    with pytest.raises(InputError, match=message):
        read_table(_csv(tmp_path, line, header=header), _contract(tmp_path))


def test_ingest_writes_the_same_bytes_again_and_counts_the_rows(tmp_path):
    contract = _contract(tmp_path)
    path = _csv(tmp_path, LINE, LINE)
    assert ingest(path, contract, tmp_path / "a.parquet") == 2
    ingest(path, contract, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_a_bad_row_leaves_no_file_and_the_old_one_in_place(tmp_path):
    contract = _contract(tmp_path)
    target = tmp_path / "lake" / "data.parquet"
    ingest(_csv(tmp_path, LINE), contract, target)
    before = target.read_bytes()
    with pytest.raises(InputError):
        ingest(_csv(tmp_path, LINE, LINE.replace("100", "many")), contract, target)
    assert target.read_bytes() == before
    assert [path.name for path in target.parent.iterdir()] == ["data.parquet"]


def _good_csv(path: Path, *, encoding: str = "utf-8", **changes: list[object]) -> Path:
    known = [column["name"] for column in documents.table_of(documents.document())["properties"]]
    columns = {**{name: documents.ROWS[name] for name in known}, **changes}
    with path.open("w", encoding=encoding, newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def test_csv_and_parquet_are_judged_by_every_rule_and_no_personal_value_is_repeated(
    tmp_path, contract
):
    verdict = check_file(_good_csv(tmp_path / "loans.csv"), contract)
    assert (verdict.gate, verdict.passed) == ("data-quality", True), verdict.summary
    assert "reader: matches @" in [check.name for check in verdict.checks]
    write_table(tmp_path / "loans.parquet", documents.rows(contract, loan_id=["a", "a", "b", "c"]))
    verdict = check_file(tmp_path / "loans.parquet", contract)
    assert [check.name for check in verdict.checks if not check.passed] == ["loan_id: unique"]

    file = _good_csv(tmp_path / "loans.csv", reader=["Ann Lee", "a@x.org", "b@x.org", "c@x.org"])
    verdict = check_file(file, contract)
    assert not verdict.passed
    assert "Ann Lee" not in verdict.model_dump_json()


def test_what_ingest_would_clean_is_not_held_against_the_file(tmp_path):
    bent = documents.document()
    cleaning = {"property": "ingest", "value": {"trim": True, "null_values": ["", "?"]}}
    documents.table_of(bent)["customProperties"].append(cleaning)
    file = _good_csv(
        tmp_path / "loans.csv", late=[" yes", "no ", " no", "yes"], pages=[1, "?", " 3", 4]
    )
    assert check_file(file, documents.contract_of(bent, tmp_path)).passed
    documents.custom(bent, "ingest")["value"]["trim"] = False
    verdict = check_file(file, documents.contract_of(bent, tmp_path))
    assert [check.name for check in verdict.checks if not check.passed] == ["late: allowed values"]
