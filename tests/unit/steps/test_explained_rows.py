"""The rows that are explained: both labels and both decisions, however rare one of them is."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sashiko.base.parquet import write_table
from sashiko.steps.explain import EFFORT, select_rows

ROWS = 2000


def _predictions(root: Path, monkeypatch: pytest.MonkeyPatch, *, label: object) -> None:
    """Predictions of which 1 % are positive: half of them wrong, as half of the positives are."""
    rows = np.arange(ROWS)
    scores = np.where(rows % 100 == 0, 0.9, 0.1)
    table = pa.table(
        {
            "key": [f"k{row}" for row in rows],
            "split": ["test"] * ROWS,
            "label": pa.array(label, pa.int64()),
            "score": scores,
            "predicted": (scores >= 0.5).astype(np.int64),
        }
    )
    write_table(root / "processing/input/predictions/predictions.parquet", table)
    monkeypatch.setenv("OPT_ML", str(root))


def test_a_rare_decision_and_a_rare_label_are_explained_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.arange(ROWS)
    _predictions(tmp_path, monkeypatch, label=(rows % 200 == 0) | (rows % 200 == 1))
    selection = select_rows(EFFORT["default"], rows=40)
    sample = selection.table.take(selection.sample).to_pylist()
    counts = Counter((row["label"], row["predicted"]) for row in sample)
    assert counts == {(0, 0): 10, (0, 1): 10, (1, 0): 10, (1, 1): 10}
    assert len({row["key"] for row in sample}) == 40


def test_what_a_small_group_lacks_comes_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.arange(ROWS)
    _predictions(tmp_path, monkeypatch, label=rows < 3)
    selection = select_rows(EFFORT["default"], rows=40)
    sample = selection.table.take(selection.sample).to_pylist()
    counts = Counter((row["label"], row["predicted"]) for row in sample)
    assert counts[1, 1] + counts[1, 0] == 3
    assert (counts[0, 1], sum(counts.values())) == (18, 40)
