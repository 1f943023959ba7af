import datetime as dt
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.base.files import read_json, sha256_file, sha256_tree, write_json
from sashiko.base.parquet import write_table
from sashiko.contract.load import load_contract
from sashiko.contract.manifest import read_manifest
from sashiko.contract.model import Contract
from sashiko.data.lake_reader import DuckDbLake
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Verdict, read_verdict
from sashiko.steps import snapshot, validate
from sashiko.steps.snapshot import take_snapshot
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


def test_the_facets_have_the_key_the_label_and_sensitive_columns(lake, monkeypatch) -> None:
    table = pq.read_table(_run(lake, monkeypatch, view="facets") / "data" / "data.parquet")
    assert table.column_names == ["loan_id", "age", "late"]


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


def _snapshot(root: Path, *, view: str = "training", **changes: list[Any]) -> None:
    """Lays a snapshot out as the step's inputs below `root`."""
    inputs = root / "processing" / "input"
    (inputs / "config").mkdir(parents=True)
    contract = load_contract(save(document(), inputs / "config"))
    table = root / "lake" / "loans"
    write_table(table / "data.parquet", rows(contract, **changes))
    manifest = take_snapshot(
        contract,
        view,
        lake=DuckDbLake(folder=root / "lake"),
        as_of=sha256_tree(table),
        data_file=inputs / "data" / "data.parquet",
    )
    write_json(inputs / "manifest" / "manifest.json", manifest.model_dump(mode="json"))


def _judge(root: Path, monkeypatch: pytest.MonkeyPatch, *, view: str = "training") -> Verdict:
    monkeypatch.setenv("OPT_ML", str(root))
    monkeypatch.setattr(sys, "argv", ["validate", "--view", view])
    validate.main()
    return read_verdict(root / "processing" / "output" / "verdict")


def test_good_data_pass_with_a_check_for_each_rule_and_of_another_contract_are_refused(
    tmp_path, monkeypatch
) -> None:
    _snapshot(tmp_path)
    verdict = _judge(tmp_path, monkeypatch)
    assert (verdict.gate, verdict.passed) == ("data-quality", True)
    assert "loan_id: unique" in [check.name for check in verdict.checks]
    assert (tmp_path / "processing" / "output" / "docs" / "index.html").is_file()

    with pytest.raises(InputError, match="is a training snapshot, not a facets snapshot"):
        _judge(tmp_path, monkeypatch, view="facets")
    save(document() | {"version": "9.9.9"}, tmp_path / "processing" / "input" / "config")
    with pytest.raises(InputError, match="another version of the contract `library-loans`"):
        _judge(tmp_path, monkeypatch)


def test_bad_data_are_blocked_by_the_name_of_the_rule(tmp_path, monkeypatch) -> None:
    _snapshot(tmp_path, loan_id=["a", "a", None, "b"], late=["yes", "no", "never", "no"])
    verdict = _judge(tmp_path, monkeypatch)
    assert not verdict.passed
    failed = [check.name for check in verdict.checks if not check.passed]
    assert failed == ["loan_id: no nulls", "loan_id: unique", "late: allowed values"]
    assert "late: allowed values = 1, required <= 0: 1 of 4 rows fail" in verdict.summary


def test_a_column_that_tells_the_label_apart_alone_is_blocked_by_its_name(tmp_path, monkeypatch):
    late = ["yes", "no", "no", "no"] * 20
    day = dt.datetime(2025, 3, 10, tzinfo=dt.UTC)
    _snapshot(
        tmp_path,
        loan_id=[f"L{n}" for n in range(80)],
        title=["a fine was paid" if label == "yes" else "a book" for label in late],
        late=late,
        lent_at=[day] * 80,
        pages=[7] * 80,
        price=[2.5] * 80,
        reader=["a@b.org"] * 80,
        age=["young", "old"] * 40,
    )
    verdict = _judge(tmp_path, monkeypatch)
    [leak] = [check for check in verdict.checks if not check.passed]
    assert (leak.name, leak.value) == ("title: AUC alone against the label", 1.0)
    assert "remove `title` from `textColumns`" in verdict.summary


def test_the_facets_have_a_gate_of_their_own(tmp_path, monkeypatch) -> None:
    _snapshot(tmp_path, view="facets", age=["young", "old", None, "old"])
    inputs = tmp_path / "processing" / "input"
    training = inputs / "training-manifest" / "manifest.json"
    manifest = read_json(inputs / "manifest" / "manifest.json") | {"view": "training"}
    write_json(training, manifest)
    verdict = _judge(tmp_path, monkeypatch, view="facets")
    assert verdict.gate == "data-quality-facets"
    assert [check.name for check in verdict.checks if not check.passed] == ["age: no nulls"]
    assert read_verdict(tmp_path / "processing" / "output" / "evidence") == verdict
    assert read_manifest(tmp_path / "processing" / "output" / "evidence").view == "facets"

    for other in ({"keys_sha256": "0" * 64}, {"as_of": "another"}):
        write_json(training, manifest | other)
        with pytest.raises(InputError, match="do not hold the same keys"):
            _judge(tmp_path, monkeypatch, view="facets")


def test_data_that_are_not_their_manifests_are_refused(tmp_path, monkeypatch) -> None:
    _snapshot(tmp_path)
    inputs = tmp_path / "processing" / "input"
    contract = load_contract(inputs / "config" / "contract.odcs.yaml")
    write_table(inputs / "data" / "data.parquet", rows(contract).slice(1))
    with pytest.raises(InputError, match="is not the file that its manifest describes"):
        _judge(tmp_path, monkeypatch)
