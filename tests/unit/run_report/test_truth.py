"""A truth that is known is shown, and never where the data are not the generator's."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from sashiko.base.plugin_names import names
from sashiko.base.plugins import load
from sashiko.data.generators import Order
from tests.unit.run_report import runs
from tests.unit.run_report.folders import RUN_ID
from tests.unit.run_report.page import page_of

ORDER = Order(rows=600, seed=5)


@pytest.fixture(params=names("generators"))
def made(request, tmp_path):
    """A run on a generator's rows, whose model is right by the truth in all but ten of 400.

    Yields its folder, its predictions, and how many of the labels are the truth.
    """
    truth = pa.Table.from_batches(load("generators", request.param, key="k").truth(ORDER)).slice(
        200
    )
    folder = runs.registered(tmp_path)
    path = folder / "evidence" / "recipe.yaml"
    recipe = yaml.safe_load(path.read_text())
    recipe["data"]["sources"] = [
        {"kind": "generator", "generator": request.param, "rows": ORDER.rows, "seed": ORDER.seed}
    ]
    path.write_text(yaml.safe_dump(recipe))
    predicted = truth["truth"].to_numpy().copy()
    predicted[:10] = 1 - predicted[:10]
    predictions = folder.parents[1] / "s3/bucket/runs" / RUN_ID / "Evaluate/predictions"
    table = pa.table(
        {
            "key": truth["key"],
            "split": ["test"] * len(truth),
            "label": truth["label"],
            "score": predicted.astype(float),
            "predicted": predicted,
        }
    )
    pq.write_table(table, predictions / "predictions.parquet")
    agreed = (truth["label"].to_numpy() == truth["truth"].to_numpy()).mean()
    return folder, predictions / "predictions.parquet", agreed


def test_predictions_and_labels_are_held_against_the_generators_truth(made):
    folder, _, agreed = made
    section = page_of(folder).text("quality")
    assert "accuracy by the truth 97.5 % [9" in section
    assert f"agree with it on {100 * agreed:.1f} %" in section
    assert agreed < 1


def test_rows_with_other_labels_are_not_the_generators(made):
    folder, predictions, _ = made
    table = pq.read_table(predictions)
    labels = table["label"].to_numpy().copy()
    labels[7] = 1 - labels[7]
    pq.write_table(table.set_column(2, "label", pa.array(labels)), predictions)
    assert "accuracy by the truth" not in page_of(folder).html
