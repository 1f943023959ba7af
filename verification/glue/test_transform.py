"""The transform of a row, compared with the local lake's."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from sashiko.contract.derive import ARROW_TYPES, arrow_schema
from sashiko.contract.glue_job.spec import LoadError, LoadSpec, parse_spec
from sashiko.contract.glue_job.table_load import read_raw
from sashiko.contract.glue_job.transform import REASONS, transform
from sashiko.contract.load import load_contract
from sashiko.contract.load_spec import load_spec
from sashiko.contract.model import Contract
from sashiko.data.ingest import typed_batches
from sashiko.data.lake import generate
from sashiko.data.values import cast_values
from sashiko.errors import InputError
from tests.unit.contract.documents import column_of, contract_of, document, table_of
from verification.glue.contracts import FINE, HEADER, dirty_document, line, spec_of, write_csv

CONTRACTS = Path.cwd() / "contracts"  # tests/conftest.py: with the samples

# As the published file has them: an index without a name, blanks, question marks, repeated rows.
CENSUS = """\
,age,workclass,education,education-num,marital-status,occupation,relationship,ethnicity,gender,\
capital-gain,capital-loss,hours-per-week,loan
0,39, State-gov, Bachelors,13, Never-married, Adm-clerical, Unmarried, White, Male,2174,0,40, <=50K
1,50, ?, Bachelors,13, Married-civ-spouse, ?, Husband, White, Male,0,0,13, >50K
2,38, Private, HS-grad,9, Divorced, Handlers-cleaners, Not-in-family, Black, Female,0,0,40, <=50K
3,38, Private, HS-grad,9, Divorced, Handlers-cleaners, Not-in-family, Black, Female,0,0,40, <=50K
"""

# Row -> what is wrong with it, and the reasons that it is quarantined for.
DIRTY = {
    "no-integer": ({"pages": "1.5"}, ["pages: type integer"]),
    "too-large": ({"pages": "9223372036854775808"}, ["pages: type integer"]),
    "no-number": ({"price": "1d"}, ["price: type number"]),
    "no-time": ({"lent_at": "yesterday"}, ["lent_at: type timestamp"]),
    "no-such-day": ({"due": "2025-02-30"}, ["due: type date"]),
    "no-boolean": ({"lost": "perhaps"}, ["lost: type boolean"]),
    "null": ({"title": ""}, ["title: no nulls"]),
    "too-small": ({"pages": "0"}, ["pages: at least 1"]),
    "too-big": ({"pages": "901"}, ["pages: at most 900"]),
    "at-the-open-end": ({"price": "0"}, ["price: more than 0"]),
    "too-early": ({"lent_at": "2024-12-31T23:59:59Z"},
                  ["lent_at: at least 2025-01-01 00:00:00+00:00"]),
    "too-late": ({"due": "2026-01-01"}, ["due: less than 2026-01-01 00:00:00"]),
    "not-allowed": ({"age": "ancient"}, ["age: allowed values"]),
    "stand-in": ({"price": "99.5"}, ["price: no stand-ins for missing"]),
    "no-match": ({"reader": "nobody"}, ["reader: matches @"]),
    "too-short": ({"title": "x"}, ["title: at least 2 characters"]),
    "too-long": ({"title": "Ulysses"}, ["title: at most 6 characters"]),
    "two-faults": ({"pages": "x", "age": "?"}, ["pages: type integer", "age: allowed values"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> LoadSpec:
    return spec_of(dirty_document(), tmp_path_factory.mktemp("contract"))


@pytest.fixture(scope="module")
def split_rows(
    spark: SparkSession, spec: LoadSpec, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Loan id -> its row: clean ones typed, others as text with `_reasons`."""
    folder = tmp_path_factory.mktemp("raw")
    # Each row has a reader of its own, so that none but the faults meant here is in it.
    dirty = [
        line(**({"loan_id": name, "reader": f"{name}@x.org"} | changes))
        for name, (changes, _) in DIRTY.items()
    ]
    nothing = line(loan_id="gaps", pages="", price="NaN", reader="", due="", lost="")
    quoted = line(loan_id="quoted", reader="q@x.org", title='"a,""\n"')
    short, long = "short,2025-03-01", line(loan_id="long", reader="l@x.org") + ",more"
    bad = line(loan_id="latin", title="Caf\udce9", reader="c@x.org")
    lines = [*dirty, nothing, quoted, short, long, bad, line(loan_id="fine")]
    write_csv(folder / "loans.csv", *lines)
    parts = transform(read_raw(spark, spec, str(folder)), spec)
    rows = [row.asDict() for part in parts for row in part.collect()]
    assert len(rows) == len(lines)
    return {row["loan_id"]: row for row in rows}


@pytest.mark.parametrize("name", DIRTY)
def test_a_row_that_breaks_a_rule_is_quarantined_with_the_reason(
    name: str, split_rows: dict[str, Any]
) -> None:
    changes, reasons = DIRTY[name]
    assert split_rows[name][REASONS] == reasons
    for column, value in changes.items():
        assert (split_rows[name][column] or "") == value


@pytest.mark.parametrize("name", ["short", "long", "latin"])
def test_a_line_that_is_no_row_is_quarantined(name: str, split_rows: dict[str, Any]) -> None:
    (reason,) = split_rows[name][REASONS]
    assert reason.startswith("row: not UTF-8 text, or not as many values")
    assert name in split_rows[name]["_unreadable"]


def test_gaps_that_the_contract_allows_are_nulls(split_rows: dict[str, Any]) -> None:
    row = split_rows["gaps"]
    assert REASONS not in row
    assert [row[name] for name in ("pages", "price", "reader", "due", "lost")] == [None] * 5
    assert split_rows["quoted"]["title"] == 'a,"\n'


def _duplicates(spark: SparkSession, spec: LoadSpec, folder: Path, *lines: str) -> Any:
    write_csv(folder / "loans.csv", *lines)
    parts = transform(read_raw(spark, spec, str(folder)), spec)
    clean = [(row.loan_id, row.title) for row in parts.clean.collect()]
    return sorted(clean), sorted((row.title, row[REASONS]) for row in parts.quarantined.collect())


def test_of_rows_with_one_key_the_same_one_stays_in_whatever_order_they_come(
    spark: SparkSession, spec: LoadSpec, tmp_path: Path
) -> None:
    lines = [
        line(title="Walden", reader="w@x.org"),
        line(title="Dune", reader="d@x.org"),
        line(title="A", reader="e@x.org"),  # would sort first, but is too short
        line(loan_id="b", title="Emma", reader="d@x.org"),  # the reader of Dune at the same time
        line(loan_id="c", title="Faust", reader=""),
        line(loan_id="d", title="Momo", reader=""),
    ]
    in_order = _duplicates(spark, spec, tmp_path / "forth", *lines)
    reverse = _duplicates(spark, spec, tmp_path / "back", *reversed(lines))
    assert in_order == reverse
    clean, quarantined = in_order
    assert clean == [("a", "Dune"), ("c", "Faust")]
    assert quarantined == [
        ("A", ["title: at least 2 characters"]),
        ("Emma", ["table: unique together: lent_at + reader"]),
        ("Momo", ["table: unique together: lent_at + reader"]),
        ("Walden", ["loan_id: unique"]),
    ]


def test_census_becomes_what_the_local_lake_holds(spark: SparkSession, tmp_path: Path) -> None:
    contract = load_contract(CONTRACTS / "census.odcs.yaml")
    file = tmp_path / "census.csv"
    file.write_text(CENSUS)
    spec = parse_spec(load_spec(contract).to_json())
    parts = transform(read_raw(spark, spec, str(tmp_path)), spec)
    assert _arrow(parts.clean, contract) == _read(file, contract)
    assert parts.quarantined.count() == 0


def test_complaints_become_what_the_local_lake_holds(spark: SparkSession, tmp_path: Path) -> None:
    contract = load_contract(CONTRACTS / "complaints.odcs.yaml")
    file = tmp_path / "complaints.parquet"
    generate(file, generator="complaints", rows=400, seed=1, bias=True, drift=False)
    spec = parse_spec(load_spec(contract).to_json())
    parts = transform(read_raw(spark, spec, str(tmp_path)), spec)
    assert _arrow(parts.clean, contract) == _read(file, contract).sort_by(contract.key)
    assert parts.quarantined.count() == 0


def _read(file: Path, contract: Contract) -> pa.Table:
    batches = typed_batches(file, contract)
    return pa.Table.from_batches(batches, schema=arrow_schema(contract, "all"))


def _arrow(rows: Any, contract: Any) -> pa.Table:
    values = [row.asDict() for row in rows.orderBy(contract.key).collect()]
    schema = arrow_schema(contract, "all")
    utc = {
        field.name: [
            value[field.name].replace(tzinfo=None) if pa.types.is_timestamp(field.type)
            else value[field.name]
            for value in values
        ]
        for field in schema
    }  # fmt: skip
    return pa.table({f.name: pa.array(utc[f.name], f.type) for f in schema}, schema=schema)


FORMS = {
    "pages": ["1", "-7", "007", "+1", "1.0", "1e3", "1_0", "9223372036854775807", "١", "\u00a05\t"],
    "price": ["1", "+1", ".5", "5.", "1E+5", "inf", "-Infinity", "nan", "1d", "0x1p3", "1e999",
              "1,5"],
    "lost": ["true", "FALSE", "0", "1", "t", "yes"],
    "due": ["2025-02-28", "2025-02-30", "2025-2-3", "2025", "20250101", "2025-01-01T00:00"],
    "lent_at": [
        "2025-03-01", "2025-03-01 12:00", "2025-03-01T12:00:00.5", "2025-03-01T12:00:00.1234567",
        "2025-03-01T12:00+02:00", "2025-03-01T12:00:00+0530", "2025-03-01T12:00:00-03",
        "2025-03-01T12:00:00+2", "2025-03-01T24:00", "2025-03-01T12:00:00z", "2025-02-30T00:00",
        "2025-03-01T12:00 Europe/Berlin", "2025-03-01T12",
    ],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("column", FORMS)
def test_a_text_is_a_value_here_if_it_is_one_on_a_laptop(
    column: str, spark: SparkSession, tmp_path: Path
) -> None:
    contract = document()
    described = {"description": "Said.", "classification": "none"}
    for name, kind in (("due", "date"), ("lost", "boolean")):
        table_of(contract)["properties"].append({"name": name, "logicalType": kind, **described})
    column_of(contract, "pages").pop("logicalTypeOptions")
    spec = spec_of(contract, tmp_path)
    lines = [
        line(**{"loan_id": str(index), column: f'"{text}"'})
        for index, text in enumerate(FORMS[column])
    ]
    write_csv(tmp_path / "raw/loans.csv", *lines)
    parts = transform(read_raw(spark, spec, str(tmp_path / "raw")), spec)
    clean = parts.clean.selectExpr("loan_id", f"cast({column} as string) as text")
    here = {int(row.loan_id): row.text for row in clean.collect()}

    kind = ARROW_TYPES[contract_of(contract, tmp_path).column(column).logical_type]
    for index, text in enumerate(FORMS[column]):
        try:
            (local_value,) = cast_values(pa.array([text.strip()]), kind).to_pylist()
        except pa.ArrowException:
            assert index not in here, text
            continue
        (formatted,) = spark.sql(
            "select cast(:value as string)", args={"value": local_value}
        ).first()
        assert here[index] == formatted, text


GERMAN = {"delimiter": ";", "encoding": "windows-1252", "decimal": ",", "thousands": "."}
GERMAN_FORMS = {
    "pages": ["1", "-7", "1.234", "1.23", "12.345.678", "0.123", "1,0"],
    "price": ["1", "1,5", ",5", "1.234,5", "1234,5", "1.23,5", "1.5", "1,5e3", "nan", "inf"],
    "due": ["1.2.2025", "28.02.2025", "31.02.2025", "2025-02-28", "1.2.25", "01/02/2025"],
    "lent_at": ["01.03.25 12:00", "1.3.25 12:00", "01.03.2025 12:00", "01.03.25", "31.02.25 00:00"],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("column", GERMAN_FORMS)
def test_a_file_is_read_as_the_contract_says_that_it_is_written(
    column: str, spark: SparkSession, tmp_path: Path
) -> None:
    changed = dirty_document()
    changed["schema"][0]["properties"] = [
        {key: value for key, value in item.items() if key not in ("logicalTypeOptions", "quality")}
        for item in changed["schema"][0]["properties"]
    ]
    column_of(changed, "due")["logicalTypeOptions"] = {"format": "d.M.yyyy"}
    column_of(changed, "lent_at")["logicalTypeOptions"] = {"format": "dd.MM.yy HH:mm"}
    table_of(changed)["customProperties"].append({"property": "ingest", "value": GERMAN})
    contract, spec = contract_of(changed, tmp_path), spec_of(changed, tmp_path)
    valid = {"title": "Füße", "lent_at": "01.03.25 12:00", "due": "20.3.2025", "price": "9,5"}
    header = HEADER.replace(",", ";")
    files = []
    for index, text in enumerate(GERMAN_FORMS[column]):
        values = FINE | valid | {"loan_id": str(index), column: text, "reader": f"{index}@x"}
        file = tmp_path / str(index) / "loans.csv"
        file.parent.mkdir()
        file.write_bytes(f"{header}\n{';'.join(values.values())}\n".encode("windows-1252"))
        files.append(file)
    raw = tmp_path / "raw/loans.csv"
    raw.parent.mkdir()
    lines = [file.read_bytes().splitlines()[1] for file in files]
    raw.write_bytes(b"\n".join([header.encode(), *lines, b""]))
    local_rows = {
        row["loan_id"]: row
        for row in _arrow(transform(read_raw(spark, spec, str(raw.parent)), spec).clean, contract)
        .to_pylist()
    }  # fmt: skip
    for index, file in enumerate(files):
        try:
            (here,) = _read(file, contract).to_pylist()
        except InputError:
            assert str(index) not in local_rows, GERMAN_FORMS[column][index]
            continue
        assert local_rows[str(index)] == here
        assert here["title"] == "Füße"
    assert 0 < len(local_rows) < len(files)


def test_a_file_of_another_encoding_keeps_its_letters_and_line_breaks(
    spark: SparkSession, tmp_path: Path
) -> None:
    changed = dirty_document()
    ingest = {"delimiter": "\t", "encoding": "utf-16"}
    table_of(changed)["customProperties"].append({"property": "ingest", "value": ingest})
    contract, spec = contract_of(changed, tmp_path), spec_of(changed, tmp_path)
    file = tmp_path / "raw/loans.csv"
    file.parent.mkdir()
    text = "\n".join([HEADER, line(title='"Tür\n2"'), ""]).replace(",", "\t")
    file.write_bytes(text.encode("utf-16"))
    parts = transform(read_raw(spark, spec, str(file.parent)), spec)
    assert _arrow(parts.clean, contract) == _read(file, contract)
    assert [row.title for row in parts.clean.collect()] == ["Tür\n2"]


def test_columns_that_are_missing_or_too_many_are_named(
    spark: SparkSession, spec: LoadSpec, tmp_path: Path
) -> None:
    write_csv(tmp_path / "a/loans.csv", line(), header=HEADER.replace("title", "name"))
    with pytest.raises(LoadError, match=r"loans: column title of the contract is missing"):
        transform(read_raw(spark, spec, str(tmp_path / "a")), spec)
    write_csv(tmp_path / "b/loans.csv", line() + ",1", header=f"{HEADER},extra")
    with pytest.raises(LoadError, match="loans: column extra is not in the contract"):
        transform(read_raw(spark, spec, str(tmp_path / "b")), spec)


def test_a_parquet_column_that_would_lose_values_is_refused(
    spark: SparkSession, tmp_path: Path
) -> None:
    spec = spec_of(document(), tmp_path)
    names = ", ".join(f"'x' as {column.name}" for column in spec.columns if column.name != "pages")
    rows = spark.sql(f"select {names}, 1.5 as pages")
    with pytest.raises(LoadError, match=r"column `pages` of the raw files is decimal"):
        transform(rows, spec)
