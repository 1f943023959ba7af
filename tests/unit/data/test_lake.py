import shutil
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_tree
from sashiko.contract.derive import arrow_schema
from sashiko.contract.model import Contract
from sashiko.data.generators import Order
from sashiko.data.generators.base import check_plan
from sashiko.data.generators.tickets import Tickets
from sashiko.data.ingest import raw_batches
from sashiko.data.lake import LakeTable, generate, seed_lake
from sashiko.errors import InputError
from sashiko.settings.recipe_data import DataSection, FileSource
from sashiko.settings.shifts import ShiftPlan
from tests.unit.contract.documents import contract_of, document, rows

SEED = {"bias": True, "drift": False}


@pytest.fixture
def raw(tmp_path, contract):
    path = tmp_path / "raw.parquet"
    pq.write_table(rows(contract), path)
    return path


def _seed(folder: Path, contract: Contract, raw: Path) -> LakeTable:
    data = DataSection(sources=(FileSource(kind="file", path=str(raw)),))
    recipe = SimpleNamespace(data=data)
    return seed_lake(recipe, contract, lake=folder / "lake", cache=folder / "cache")


def _written(table: LakeTable) -> int:
    return (table.path / "data.parquet").stat().st_ino


def test_the_lake_holds_the_typed_table_and_says_which_version(tmp_path, contract, raw):
    table = _seed(tmp_path, contract, raw)
    assert table.uri == f"duckdb://{tmp_path.resolve() / 'lake'}"
    assert table.path == tmp_path / "lake" / contract.table
    assert table.as_of == sha256_tree(table.path)
    table_rows = pq.read_table(table.path / "data.parquet")
    assert table_rows.equals(rows(contract))
    assert table_rows.schema.equals(arrow_schema(contract, "all"))


def test_a_changed_source_or_contract_is_loaded_again_and_no_other(tmp_path, contract, raw):
    first = _seed(tmp_path, contract, raw)
    inode = _written(first)
    assert _seed(tmp_path, contract, raw) == first
    assert _written(first) == inode
    changed = contract_of(document() | {"version": "2.2.0"}, tmp_path)
    assert _written(_seed(tmp_path, changed, raw)) != inode
    pq.write_table(rows(contract, title=["Emma", "Ulysses", "Walden", "Persuasion"]), raw)
    second = _seed(tmp_path, contract, raw)
    assert second.as_of != first.as_of
    assert pq.read_table(second.path).column("title")[3].as_py() == "Persuasion"


@pytest.mark.parametrize("damage", ["table", "record"])
def test_a_damaged_lake_mends_itself(tmp_path, contract, raw, damage):
    first = _seed(tmp_path, contract, raw)
    if damage == "table":
        (first.path / "data.parquet").write_bytes(b"PAR1")
    else:
        (tmp_path / "lake" / f"{contract.table}.source.json").write_text("{")
    assert _seed(tmp_path, contract, raw) == first
    assert pq.read_table(first.path).num_rows == 4


def test_a_failed_load_keeps_the_old_table_and_leaves_nothing_else(tmp_path, contract, raw):
    first = _seed(tmp_path, contract, raw)
    raw.write_bytes(raw.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"raw\.parquet"):
        _seed(tmp_path, contract, raw)
    assert sha256_tree(first.path) == first.as_of
    assert sorted(p.name for p in (tmp_path / "lake").iterdir()) == sorted(
        [contract.table, f"{contract.table}.source.json"]
    )


def test_a_foreign_file_in_the_tables_folder_is_refused(tmp_path, contract, raw):
    table = _seed(tmp_path, contract, raw)
    shutil.copy(raw, table.path / "more.parquet")
    with pytest.raises(InputError, match=r"more\.parquet does not belong"):
        _seed(tmp_path, contract, raw)


def test_generate_writes_the_same_bytes_for_the_same_seed(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        generate(tmp_path / name, generator="complaints", rows=300, seed=seed, **SEED)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c
    assert pq.read_table(tmp_path / "a").num_rows == 300


def test_generate_into_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        generate(tmp_path / "file" / "a", generator="complaints", rows=1, seed=1, **SEED)


def test_generate_writes_a_plans_weeks_and_refuses_a_wrong_key_of_one(tmp_path):
    plan = tmp_path / "quarter.yaml"
    plan.write_text("weeks: 2\nrows_per_week: 30\nshifts: [{kind: concept, size: 0.1, week: 2}]\n")
    _generate(tmp_path / "rows.parquet", plan)
    assert pq.read_metadata(tmp_path / "rows.parquet").num_rows == 20 + 2 * 30
    plan.write_text("weeks: 2\nrows_per_week: 30\nshifts: [{kind: season, size: 0.1}]\n")
    with pytest.raises(InputError, match=r"quarter\.yaml.*kind"):
        _generate(tmp_path / "rows.parquet", plan)


def test_a_generator_that_follows_no_plan_refuses_one():
    order = Order(rows=1, plan=ShiftPlan(weeks=1, rows_per_week=1))
    with pytest.raises(InputError, match="generator `tickets` follows no shift plan: remove"):
        check_plan(Tickets(), order, name="tickets")


def _generate(path: Path, plan: Path) -> None:
    generate(path, generator="complaints", rows=20, seed=1, bias=True, drift=False, plan=plan)


def _table(path: Path) -> pa.Table:
    return pa.Table.from_batches(raw_batches(path))


def _file(folder: Path, content: bytes, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_csv_is_read_as_text_in_its_encoding_and_a_missing_file_is_named(tmp_path):
    path = _file(tmp_path, '﻿id,Wörter\n007,"a,\n""b"""\n,\n'.encode())
    assert _table(path).to_pydict() == {"id": ["007", ""], "Wörter": ['a,\n"b"', ""]}
    path = _file(tmp_path, b"a,b\nx,y\nx,\x81\n")
    with pytest.raises(InputError, match="line 3 is not windows-1252 text"):
        pa.Table.from_batches(raw_batches(path, encoding="windows-1252"))


def test_a_csv_of_several_blocks_stays_text_with_its_line_breaks(tmp_path):
    lines = b"id,filler\n" + b"1,%s\n" % (b"x" * 1000) * 20_000 + b"one,x\n"
    ids = _table(_file(tmp_path, lines)).column("id")
    assert ids.type == pa.string()
    assert (len(ids), ids[-1].as_py()) == (20_001, "one")
    value = "one\ntwo, " * 100
    path = _file(tmp_path, b"id,text\n" + f'1,"{value}"\n'.encode() * 12_000)
    assert set(_table(path).column("text").to_pylist()) == {value}


@pytest.mark.parametrize(("name", "content", "message"), [
    ("rows.csv", b"", "is empty"),
    ("rows.csv", b"a,b\n", "has columns but no rows"),
    ("rows.csv", b"a,b\n1,2\n3\n", r"Row #3: Expected 2 columns, got 1 \(the"),
    ("rows.csv", "a,b\nx,y\nx,né\n".encode("cp1252"), "line 3 is not UTF-8"),
    ("rows.csv", "a,b\nx,y\n".encode("utf-16"), "line 1 is not UTF-8"),
    ("rows.csv", b"a,b\nx,y\nx,n\xc3", "line 3 is not UTF-8"),
    ("rows.parquet", b"", "is empty"),
    ("rows.parquet", b"PAR1 and then nothing", "not a whole Parquet file"),
    ("rows.csv", b"sep=;\na;b\n1;2\n", "the first line is a spreadsheet's `sep=`"),
    ("rows.xlsx", b"x", r"ends in \.csv or \.parquet"),
])  # fmt: skip
def test_bad_files_are_refused_by_name(tmp_path, name, content, message):
    with pytest.raises(InputError, match=message) as caught:
        _table(_file(tmp_path, content, name))
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("utf-8", "utf-8-sig"), ("utf-16", "utf-16"), ("windows-1252", "windows-1252")],
)
def test_a_file_is_read_with_its_delimiter_and_encoding(tmp_path, encoding, written):
    path = _file(tmp_path, 'Größe;Art\n"1;5";Tür\n'.encode(written))
    table = pa.Table.from_batches(raw_batches(path, delimiter=";", encoding=encoding))
    assert table.to_pydict() == {"Größe": ["1;5"], "Art": ["Tür"]}


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"rows\.csv does not exist"):
        _table(tmp_path / "rows.csv")


def test_parquet_without_rows_or_cut_off_or_damaged_is_refused(tmp_path):
    path = tmp_path / "rows.parquet"
    table = pa.table({"t": [f"text {n}" for n in range(5000)]})
    pq.write_table(table.slice(0, 0), path)
    with pytest.raises(InputError, match="no rows"):
        _table(path)
    pq.write_table(table, path, compression="zstd")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(InputError, match="cut off"):
        _table(path)
    path.write_bytes(whole[:200] + bytes(2000) + whole[2200:])
    with pytest.raises(InputError, match="damaged"):
        _table(path)
