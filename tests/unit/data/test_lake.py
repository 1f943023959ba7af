import shutil
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from sashiko.base.files import read_json, sha256_tree
from sashiko.contract.derive import arrow_schema
from sashiko.contract.model import Contract
from sashiko.data.generators import Order
from sashiko.data.generators.base import check_plan
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


def test_an_unchanged_source_is_not_loaded_again(tmp_path, contract, raw):
    first = _seed(tmp_path, contract, raw)
    inode = _written(first)
    assert _seed(tmp_path, contract, raw) == first
    assert _written(first) == inode


def test_a_changed_source_is_loaded_again(tmp_path, contract, raw):
    first = _seed(tmp_path, contract, raw)
    pq.write_table(rows(contract, title=["Emma", "Ulysses", "Walden", "Persuasion"]), raw)
    second = _seed(tmp_path, contract, raw)
    assert second.as_of != first.as_of
    assert pq.read_table(second.path).column("title")[3].as_py() == "Persuasion"


def test_a_changed_contract_loads_again(tmp_path, contract, raw):
    inode = _written(_seed(tmp_path, contract, raw))
    changed = document() | {"version": "2.2.0"}
    assert _written(_seed(tmp_path, contract_of(changed, tmp_path), raw)) != inode


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
        generate(tmp_path / name, generator=None, rows=300, seed=seed, **SEED)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c
    assert pq.read_table(tmp_path / "a").num_rows == 300


def test_generate_into_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        generate(tmp_path / "file" / "a", generator=None, rows=1, seed=1, **SEED)


def test_generate_writes_a_plans_weeks_and_what_is_planted_into_them(tmp_path):
    plan = tmp_path / "quarter.yaml"
    plan.write_text("weeks: 2\nrows_per_week: 30\nshifts: [{kind: concept, size: 0.1, week: 2}]\n")
    _generate(tmp_path / "rows.parquet", plan)
    assert pq.read_metadata(tmp_path / "rows.parquet").num_rows == 20 + 2 * 30
    planted = read_json(tmp_path / "rows.planted.json")
    assert [week["reversed_labels"] for week in planted] == [0, 0.1]


def test_a_plan_with_a_wrong_key_is_refused_by_file_and_key(tmp_path):
    plan = tmp_path / "quarter.yaml"
    plan.write_text("weeks: 2\nrows_per_week: 30\nshifts: [{kind: season, size: 0.1}]\n")
    with pytest.raises(InputError, match=r"quarter\.yaml.*kind"):
        _generate(tmp_path / "rows.parquet", plan)


def test_a_generator_that_follows_no_plan_refuses_one():
    class Plain:
        schema = None
        batches = None

    order = Order(rows=1, plan=ShiftPlan(weeks=1, rows_per_week=1))
    with pytest.raises(InputError, match="generator `acme` follows no shift plan: remove `plan`"):
        check_plan(Plain(), order, name="acme")  # type: ignore[arg-type]


def _generate(path: Path, plan: Path) -> None:
    generate(path, generator="complaints", rows=20, seed=1, bias=True, drift=False, plan=plan)
