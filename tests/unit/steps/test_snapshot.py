import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_file, sha256_tree
from sashiko.base.parquet import write_table
from sashiko.contract.load import load_contract
from sashiko.contract.manifest import read_manifest
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.steps import snapshot
from tests.unit.contract.documents import ROWS, document, rows, save


@pytest.fixture
def contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Contract:
    """The contract, lying where the step looks for it."""
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    config = tmp_path / "processing" / "input" / "config"
    config.mkdir(parents=True)
    return load_contract(save(document(), config))


@pytest.fixture
def lake(tmp_path: Path, contract: Contract) -> Path:
    write_table(tmp_path / "lake" / "loans" / "data.parquet", rows(contract))
    return tmp_path / "lake"


def _run(
    lake: Path, monkeypatch: pytest.MonkeyPatch, *, view: str = "training", as_of: str = ""
) -> Path:
    """Runs the step and returns the folder of its outputs."""
    version = as_of or sha256_tree(lake / "loans")
    arguments = ["--view", view, "--lake-uri", f"duckdb://{lake}", "--as-of", version]
    monkeypatch.setattr(sys, "argv", ["snapshot", *arguments])
    snapshot.main()
    return lake.parent / "processing" / "output"


def test_a_snapshot_holds_its_view_in_the_order_of_the_key(lake, monkeypatch) -> None:
    table = pq.read_table(_run(lake, monkeypatch) / "data" / "data.parquet")
    assert table["loan_id"].to_pylist() == ["a", "b", "c", "d"]
    assert table["title"].to_pylist() == ["Ulysses", "Emma", "Dune", "Walden"]
    assert table["lent_at"].to_pylist()[1] == ROWS["lent_at"][0]
    assert "reader" not in table.column_names
    assert "age" not in table.column_names


def test_the_manifest_says_what_was_taken_and_names_no_path(lake, contract, monkeypatch) -> None:
    output = _run(lake, monkeypatch)
    manifest = read_manifest(output / "manifest")
    assert manifest.rows == 4
    assert manifest.sha256 == sha256_file(output / "data" / "data.parquet")
    assert manifest.contract.sha256 == contract.sha256
    assert manifest.as_of == sha256_tree(lake / "loans")
    assert manifest.columns[0].name == "loan_id"
    assert str(lake.parent) not in (output / "manifest" / "manifest.json").read_text()


def test_the_bytes_do_not_depend_on_how_the_lake_lies_or_where_the_machine_is(
    lake: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = sha256_file(_run(lake, monkeypatch) / "data" / "data.parquet")
    table = rows(contract)
    write_table(lake / "loans" / "data.parquet", table.slice(2))
    write_table(lake / "loans" / "more.parquet", table.slice(0, 2))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert sha256_file(_run(lake, monkeypatch) / "data" / "data.parquet") == first


def test_the_facets_are_those_of_the_training_snapshots_rows(lake, monkeypatch) -> None:
    output = _run(lake, monkeypatch)
    training = lake.parent / "processing" / "input" / "training-manifest"
    (output / "manifest").rename(training)
    table = pq.read_table(_run(lake, monkeypatch, view="facets") / "data" / "data.parquet")
    assert table.column_names == ["loan_id", "age", "late"]


def test_facets_of_other_rows_than_the_training_snapshots_are_refused(lake, monkeypatch) -> None:
    output = _run(lake, monkeypatch)
    training = lake.parent / "processing" / "input" / "training-manifest"
    training.mkdir()
    manifest = json.loads((output / "manifest" / "manifest.json").read_text())
    manifest["keys_sha256"] = "0" * 64
    (training / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="do not hold the same keys"):
        _run(lake, monkeypatch, view="facets")


def test_data_that_changed_since_the_run_began_are_refused(lake, contract, monkeypatch) -> None:
    version = sha256_tree(lake / "loans")
    write_table(lake / "loans" / "data.parquet", rows(contract).slice(1))
    with pytest.raises(InputError, match=r"the lake has version .* start a new run"):
        _run(lake, monkeypatch, as_of=version)


def test_keys_that_run_together_differently_have_different_digests(lake, contract, monkeypatch):
    digests = set()
    for keys in (["ab", "c", "d", "e"], ["a", "bc", "d", "e"]):
        write_table(lake / "loans" / "data.parquet", rows(contract, loan_id=keys))
        digests.add(read_manifest(_run(lake, monkeypatch) / "manifest").keys_sha256)
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("bend", "message"),
    [
        (
            lambda table: table.drop_columns(["title"]),
            r"data.parquet: column `title` is missing; the contract `library-loans` asks",
        ),
        (
            lambda table: table.append_column("shoe_size", pa.array([1, 2, 3, 4])),
            r"data.parquet: column `shoe_size` is not in the contract `library-loans`",
        ),
        (
            lambda table: table.set_column(2, "pages", pa.array(["1", "2", "3", "4"])),
            r"data.parquet: column `pages` has type string, .* says integer \(int64\)",
        ),
        (lambda table: table.slice(0, 0), r"loans: the table has no rows"),
        (-100, r"data.parquet is not a whole Parquet file"),
        (0, r"data.parquet is not a whole Parquet file"),
        (None, r"loans: no Parquet files; load table `loans`"),
    ],
)
def test_a_lake_that_does_not_fit_its_contract_is_refused_with_file_and_column(
    bend, message, lake, contract, monkeypatch
) -> None:
    """A file is bent, cut off, or gone."""
    file = lake / "loans" / "data.parquet"
    if bend is None:
        file.unlink()
    elif callable(bend):
        write_table(file, bend(rows(contract)))
    else:
        file.write_bytes(file.read_bytes()[:bend])
    with pytest.raises(InputError, match=message):
        _run(lake, monkeypatch)
    assert list((lake.parent / "processing" / "output").rglob("*.*")) == []


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("lake", "expected duckdb://"),
        ("duckdb://", "exp"),
        ("athena://group", "athena://<workgroup>/<database>"),
        ("athena://group/my-database", "athena://<workgroup>/<database>"),
        ("athena://group/lake/table", "athena://<workgroup>/<database>"),
    ],
)
def test_a_lake_that_no_engine_reads_is_refused_by_name(uri, message, contract, monkeypatch):
    arguments = ["--view", "training", "--lake-uri", uri, "--as-of", "0"]
    monkeypatch.setattr(sys, "argv", ["snapshot", *arguments])
    with pytest.raises(InputError, match=message):
        snapshot.main()
