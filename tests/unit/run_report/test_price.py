"""What mitigation cost stands on the first screen, measured on this data or not at all."""

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from sashiko.base.files import read_json, write_json
from tests.unit.run_report import runs
from tests.unit.run_report.folders import RUN_ID
from tests.unit.run_report.page import page_of

OTHER = "20260103-030405-beef"
SPLITS = {name: {"uri": f"s3://bucket/{name}", "sha256": name} for name in ("train", "validation")}


@pytest.fixture
def mitigated(tmp_path):
    """A run that reweighed, and its folder."""
    folder = runs.registered(tmp_path)
    change(folder, strength=1.5, test="test-1")
    return folder


def change(folder, *, strength, test, epochs=1):
    path = folder / "evidence" / "recipe.yaml"
    recipe = yaml.safe_load(path.read_text())
    recipe["reweighing"] = {"facets": ["age"], "strength": strength}
    recipe["train"]["epochs"] = epochs
    path.write_text(yaml.safe_dump(recipe))
    run = read_json(folder / "run.json")
    [evaluated] = [step for step in run["steps"] if step["name"] == "Evaluate"]
    evaluated["inputs"] = SPLITS | {"test": {"uri": "s3://bucket/test", "sha256": test}}
    write_json(folder / "run.json", run)


def another_run(folder, **changes):
    """A copy of a run, with a model that errs less."""
    other = folder.parent / OTHER
    shutil.copytree(folder, other)
    store = folder.parents[1] / "s3/bucket/runs"
    shutil.copytree(store / RUN_ID, store / OTHER)
    run = (other / "run.json").read_text().replace(RUN_ID, OTHER)
    (other / "run.json").write_text(run)
    change(other, **changes)
    path = store / OTHER / "Evaluate/predictions/predictions.parquet"
    table = pq.read_table(path)
    better = np.where(table["label"].to_numpy() == 1, 0.9, 0.1)
    better[:20] = 0.5
    pq.write_table(table.set_column(3, "score", pa.array(better)), path)
    return other


def test_the_newest_run_without_reweighing_says_the_price_on_the_same_rows(mitigated):
    other = another_run(mitigated, strength=0, test="test-1")
    section = page_of(mitigated).text("decision")
    assert f"price of reweighing, AUC 0.913 without (run {OTHER}), 0.913 with it" in section
    start = section.index("price of reweighing, AUC")
    # The interval is that of the difference, of the rows' scores in both runs.
    assert (
        "on the same rows -0.0" in section[start : section.index("price of reweighing, accuracy")]
    )
    assert "price of reweighing" not in page_of(other).text("decision")


@pytest.mark.parametrize(
    "changes",
    [
        {"strength": 0, "test": "of other data"},
        {"strength": 0, "test": "test-1", "epochs": 2},
        {"strength": 1, "test": "test-1"},
    ],
    ids=["other data", "other settings", "reweighed too"],
)
def test_a_run_that_differs_in_more_than_the_weights_is_no_measure(mitigated, changes):
    another_run(mitigated, **changes)
    section = page_of(mitigated).text("decision")
    command = "sashiko run --recipe loans --set train.epochs=2 --set reweighing.strength=0"
    assert (
        f"price of reweighing no run of the same data and settings without it: run {command}"
        f" , then sashiko runs report {RUN_ID} not known" in section
    )
