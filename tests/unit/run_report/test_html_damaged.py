"""The page of a run whose records are missing, damaged or gone: it says so and shows the rest."""

from pathlib import Path

import pytest

from sashiko.errors import InputError
from sashiko.run_report import write_report
from tests.unit.run_report import runs
from tests.unit.run_report.folders import RUN_ID, RunFolder
from tests.unit.run_report.page import page_of, pictures


def test_a_run_folder_with_nothing_but_run_json_is_reported(tmp_path):
    folder = RunFolder(tmp_path).write("failed", reason="no space left")
    (folder / "definition.json").unlink()
    page = page_of(folder)
    assert "No space left." in page.text("decision")
    assert "definition.json does not exist" in page.text("lineage")


def test_a_folder_without_run_json_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"run\.json does not exist"):
        write_report(tmp_path, tmp_path)


def damage(root: Path, *files: str) -> None:
    for file in files:
        path = root / "home" / "s3" / "bucket" / "runs" / RUN_ID / file
        path.write_bytes(b'label,predicted_label,age\n{"a')


def test_damaged_records_are_named_and_the_rest_is_shown(tmp_path):
    folder = runs.registered(tmp_path)
    damage(
        tmp_path,
        "Snapshot/manifest/manifest.json",
        "Prepare/meta/split.json",
        "Evaluate/metrics/metrics.json",
        "Evaluate/verdict/verdict.json",
        "JudgeBias/intervals/intervals.json",
    )
    page = page_of(folder)
    assert "metrics.json is not readable JSON" in page.text("quality")
    assert "verdict.json is not readable JSON" in page.text("gates")
    assert "intervals.json is not readable JSON" in page.text("fairness")
    assert page.text("data").count("is not readable JSON") == 2
    assert "facets 1,234" in page.text("data")
    assert "DataGate passed" in pictures(page, "lineage")[0]


def test_damaged_data_costs_its_own_picture_only(tmp_path):
    folder = runs.registered(tmp_path)
    damage(tmp_path, "SnapshotFacets/data/data.parquet", "BiasInput/data/data.csv")
    page = page_of(folder)
    assert len(pictures(page, "quality")) == 5
    assert "data.csv is not what BiasInput writes" in page.text("fairness")
    assert "data.parquet is not a whole Parquet file" in page.text("fairness")
    assert [alt[:3] for alt in pictures(page, "fairness")] == ["DI:", "Bia"]

    damage(tmp_path, "Evaluate/predictions/predictions.parquet")
    page = page_of(folder)
    assert "predictions.parquet is not a whole Parquet file" in page.text("quality")
    assert len(pictures(page, "quality")) == 4


def test_a_store_that_was_cleaned_is_reported_and_not_taken_for_a_failure(tmp_path):
    folder = runs.registered(tmp_path)
    (tmp_path / "home" / "s3").rename(tmp_path / "home" / "elsewhere")
    page = page_of(folder)
    assert "WAITS FOR YOUR DECISION" in page.text("decision")
    assert "is no longer in the local store" in page.text("quality")
