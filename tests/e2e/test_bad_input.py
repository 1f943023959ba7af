"""Bad files and keys: one message that names the place and the fix, and the next run works."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.project import RUN, Attempt, Project, refuses, write_csv

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def some(rows: Path) -> Rows:
    return pq.read_table(rows).slice(0, 5).to_pylist()


def lacking(folder: Path, some: Rows) -> Path:
    rows = [{name: row[name] for name in row if name != "channel"} for row in some]
    return write_csv(folder / "lacking.csv", rows)


def extra(folder: Path, some: Rows) -> Path:
    return write_csv(folder / "extra.csv", [row | {"mood": "sour"} for row in some])


def wrong_type(folder: Path, some: Rows) -> Path:
    rows = [*some[:3], some[3] | {"received_at": "yesterday"}]
    return write_csv(folder / "wrong.csv", rows)


def empty(folder: Path, some: Rows) -> Path:
    (folder / "empty.csv").touch()
    return folder / "empty.csv"


def without_rows(folder: Path, some: Rows) -> Path:
    path = write_csv(folder / "header.csv", some)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    return path


def truncated(folder: Path, some: Rows) -> Path:
    path = folder / "cut.parquet"
    pq.write_table(pa.Table.from_pylist(some), path)
    path.write_bytes(path.read_bytes()[:-20])
    return path


def latin_1(folder: Path, some: Rows) -> Path:
    rows = [*some[:1], some[1] | {"customer_name": "José Müller"}]
    return write_csv(folder / "latin.csv", rows, encoding="latin-1")


BAD_FILES = [
    (lacking, ("lacking.csv", "column `channel`", "is missing", "physicalName")),
    (extra, ("extra.csv", "column `mood`", "leave it out of the file")),
    (wrong_type, ("wrong.csv", "column `received_at`, row 4", "'yesterday'", "timestamp")),
    (empty, ("empty.csv is empty", "expected a header and rows")),
    (without_rows, ("header.csv has columns but no rows",)),
    (truncated, ("cut.parquet is not a whole Parquet file", "copy it again")),
    (latin_1, ("latin.csv: line 3 is not UTF-8", "iconv")),
]


@pytest.mark.parametrize(("make", "texts"), BAD_FILES, ids=[make.__name__ for make, _ in BAD_FILES])
def test_a_bad_file_is_refused_by_the_check(
    registered: Project,
    some: Rows,
    tmp_path: Path,
    make: Callable[[Path, Rows], Path],
    texts: tuple[str, ...],
) -> None:
    file = make(tmp_path, some)
    contract = "contracts/tiny.odcs.yaml"
    refuses(registered.sashiko("data", "check", file, "--contract", contract), *texts)


def test_a_good_file_passes_the_check_and_bad_rows_fail_it(
    registered: Project, rows: Path, tmp_path: Path
) -> None:
    contract = ("--contract", "contracts/tiny.odcs.yaml")
    good = registered.sashiko("data", "check", rows, *contract, "--json")
    assert (good.returncode, json.loads(good.stdout)["passed"]) == (0, True), good.stderr

    table = pq.read_table(rows).to_pylist()
    table[7]["product"] = "Lottery"
    bad = registered.sashiko("data", "check", write_csv(tmp_path / "bad.csv", table), *contract)
    assert bad.returncode == 3
    assert "FAIL  product" in bad.stdout
    assert "Lottery" in bad.stdout


@pytest.mark.parametrize("make", [lacking, truncated], ids=["lacking", "truncated"])
def test_a_run_refuses_a_bad_file_and_leaves_the_lake_as_it_was(
    registered: Project, some: Rows, tmp_path: Path, make: Callable[[Path, Rows], Path]
) -> None:
    [table] = registered.home.glob("lake/*/*.parquet")
    before = table.read_bytes()
    runs = registered.runs()
    file = make(tmp_path, some)
    source = f"data.sources=[{{kind: file, path: {file}}}]"
    refuses(registered.sashiko(*RUN, "--set", source), file.name)
    assert table.read_bytes() == before
    assert registered.runs() == runs
    assert registered.left_behind() == []


def test_a_run_refuses_a_contract_with_an_unknown_type(registered: Project) -> None:
    path = registered.root / "contracts/tiny.odcs.yaml"
    text = path.read_text().replace("logicalType: timestamp", "logicalType: moment")
    (registered.root / "contracts/moment.odcs.yaml").write_text(text)
    done = registered.sashiko(*RUN, "--set", "contract=contracts/moment.odcs.yaml")
    refuses(done, "moment.odcs.yaml", "received_at", "moment", "timestamp")


def test_a_run_refuses_a_recipe_with_an_unknown_key(registered: Project) -> None:
    recipe = registered.root / "recipes/odd.yaml"
    recipe.write_text("extends: tiny.yaml\ntrain: {epoch: 1}\n")
    done = registered.sashiko("run", "--recipe", "odd")
    refuses(done, "recipes/odd.yaml", "unknown key `train.epoch`", "epochs")


def test_the_next_good_run_works(unchanged: Attempt) -> None:
    assert unchanged.returncode == 0, unchanged.stderr
