"""Train fits a linear model on the rows that Prepare wrote, without a pre-trained one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from sashiko.base.files import sha256_file, write_json
from sashiko.contract.manifest import Snapshots, read_snapshots, write_snapshots
from sashiko.data.splits import read_split_meta
from sashiko.training.linear_model import load_linear
from tests.e2e.serving.tiny_artifact import OUTCOMES
from tests.unit.training.people import KINDS, labels_of, numbers_of, objects, people
from tests.unit.training.tiny_job import (
    HYPERPARAMETERS,
    TRAINING,
    Train,
    metric_lines,
    save_weights,
    summary_of,
)

CLASSES = ("paid", "late", "lost")
FILES = ("linear.json", "model.safetensors")


def lay_out(
    root: Path, *, edges: Sequence[float] = (0.8,), is_number: bool = False, validation: int = 90,
    **hyperparameters: str,
) -> Path:  # fmt: skip
    """Lays out the job of a linear model of classes, or of a number above or at most 0."""
    channels = root / "input" / "data"
    for name, rows, seed in (("train", 200, 1), ("validation", validation, 2)):
        made = people(rows, seed=seed)
        keys = [f"{name}{index:04}" for index in range(rows)]
        (channels / name).mkdir(parents=True)
        columns = {"key": keys, "text": objects(made), "label": labels_of(made, edges)}
        columns |= {"value": numbers_of(made)} if is_number else {}
        pq.write_table(pa.table(columns), channels / name / "data.parquet")
    meta = {
        "kind": "time", "labels": CLASSES[: len(edges) + 1], "columns": list(KINDS), "kinds": KINDS,
        "splits": {}, "removed_repeats": {}, "removed_over_limit": 0,
    }  # fmt: skip
    if is_number:
        meta |= {"labels": OUTCOMES, "number": summary_of(channels / "train", above=0.0)}
    write_json(channels / "meta" / "split.json", meta)
    write_snapshots(Snapshots(training=TRAINING), channels / "meta")
    config = HYPERPARAMETERS | {"family": "linear"} | hyperparameters
    write_json(root / "input" / "config" / "hyperparameters.json", config)
    return root


def validation(root: Path) -> tuple[list[str], np.ndarray]:
    table = pq.read_table(root / "input/data/validation/data.parquet")
    return table["text"].to_pylist(), table["label"].to_numpy()


@pytest.mark.parametrize("edges", [(0.8,), (0.4, 1.6)], ids=["two", "three"])
def test_it_writes_a_model_and_its_figures_the_same_ones_again(
    run: Train, tmp_path: Path, edges: tuple[float, ...]
) -> None:
    one, other = (lay_out(tmp_path / name, edges=edges) for name in ("one", "other"))
    for root in (one, other):
        run(root)
    assert {file.name for file in (one / "model").iterdir()} == set(FILES)
    for name in FILES:
        assert sha256_file(one / "model" / name) == sha256_file(other / "model" / name)
    rows, labels = validation(one)
    scores = load_linear(one / "model").scores(rows)
    expected = roc_auc_score(labels > 0, scores[:, 1:].sum(axis=1))
    [line] = metric_lines(one)
    assert line["validation_auc"] == pytest.approx(expected)
    assert expected > 0.75
    right = scores[np.arange(len(labels)), labels]
    assert line["validation_loss"] == pytest.approx(-np.log(right).mean())
    assert read_split_meta(one / "output" / "data").kinds == KINDS
    assert read_snapshots(one / "output" / "data").training == TRAINING


def test_weights_move_it_and_a_temperature_fits_the_validation_split(
    run: Train, tmp_path: Path
) -> None:
    plain, weighted = lay_out(tmp_path / "plain"), lay_out(tmp_path / "weighted")
    save_weights(weighted / "input/data/weights", [5.0] * 60 + [0.2] * 140)
    scaled = lay_out(tmp_path / "scaled", calibration="temperature")
    for root in (plain, weighted, scaled):
        run(root)
    rows, _ = validation(plain)
    odds = {
        root.name: np.log(scores / (1 - scores))
        for root in (plain, weighted, scaled)
        for scores in [load_linear(root / "model").scores(rows)[:, 1]]
    }
    assert np.abs(odds["weighted"] - odds["plain"]).max() > 0.1
    ratio = odds["plain"] / odds["scaled"]
    assert ratio == pytest.approx(ratio[0])
    assert ratio[0] != pytest.approx(1, abs=0.01)
    losses = [metric_lines(root)[0]["validation_loss"] for root in (plain, scaled)]
    assert losses[1] < losses[0]
