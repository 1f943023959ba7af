import datetime as dt
import sys
from pathlib import Path
from typing import Any

import pytest

from sashiko.base.files import sha256_tree, write_json
from sashiko.base.parquet import write_table
from sashiko.contract.load import load_contract
from sashiko.data.lake_reader import DuckDbLake
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Verdict, read_verdict
from sashiko.steps import validate
from sashiko.steps.snapshot import take_snapshot
from tests.unit.contract.documents import document, rows, save


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


def _run(root: Path, monkeypatch: pytest.MonkeyPatch, *, view: str = "training") -> Verdict:
    monkeypatch.setenv("OPT_ML", str(root))
    monkeypatch.setattr(sys, "argv", ["validate", "--view", view])
    validate.main()
    return read_verdict(root / "processing" / "output" / "verdict")


def test_good_data_pass_with_a_check_for_each_rule(tmp_path, monkeypatch) -> None:
    _snapshot(tmp_path)
    verdict = _run(tmp_path, monkeypatch)
    assert (verdict.gate, verdict.passed) == ("data-quality", True)
    assert "loan_id: unique" in [check.name for check in verdict.checks]
    assert (tmp_path / "processing" / "output" / "docs" / "index.html").is_file()


def test_bad_data_are_blocked_by_the_name_of_the_rule(tmp_path, monkeypatch) -> None:
    _snapshot(tmp_path, loan_id=["a", "a", None, "b"], late=["yes", "no", "never", "no"])
    verdict = _run(tmp_path, monkeypatch)
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
    verdict = _run(tmp_path, monkeypatch)
    [leak] = [check for check in verdict.checks if not check.passed]
    assert (leak.name, leak.value) == ("title: AUC alone against the label", 1.0)
    assert "remove `title` from `textColumns`" in verdict.summary


def test_the_facets_have_a_gate_of_their_own(tmp_path, monkeypatch) -> None:
    _snapshot(tmp_path, view="facets", age=["young", "old", None, "old"])
    verdict = _run(tmp_path, monkeypatch, view="facets")
    assert verdict.gate == "data-quality-facets"
    assert [check.name for check in verdict.checks if not check.passed] == ["age: no nulls"]


def test_data_that_are_not_their_manifests_are_refused(tmp_path, monkeypatch) -> None:
    _snapshot(tmp_path)
    inputs = tmp_path / "processing" / "input"
    contract = load_contract(inputs / "config" / "contract.odcs.yaml")
    write_table(inputs / "data" / "data.parquet", rows(contract).slice(1))
    with pytest.raises(InputError, match="is not the file that its manifest describes"):
        _run(tmp_path, monkeypatch)


def test_a_snapshot_of_another_view_or_contract_is_refused(tmp_path, monkeypatch) -> None:
    _snapshot(tmp_path)
    with pytest.raises(InputError, match="is a training snapshot, not a facets snapshot"):
        _run(tmp_path, monkeypatch, view="facets")
    save(document() | {"version": "9.9.9"}, tmp_path / "processing" / "input" / "config")
    with pytest.raises(InputError, match="another version of the contract `library-loans`"):
        _run(tmp_path, monkeypatch)


def test_a_cut_off_snapshot_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _snapshot(tmp_path)
    file = tmp_path / "processing" / "input" / "data" / "data.parquet"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(InputError, match="is not a whole Parquet file"):
        _run(tmp_path, monkeypatch)
