"""The steps that see every row of the data need no more memory for twice as many."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_tree, write_json
from tests.unit.contract.documents import document, save

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from Linux's /proc"),
]

_ROWS = 750_000
_MORE = 1.2
# Imports, Arrow's buffers and what a scratch database may hold: up to here, memory is free.
_FREE_MB = 600
# The peak of the process itself: what a parent reads of a child includes the parent's own.
_STEP = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(f"sashiko.steps.{sys.argv[0]}", run_name="__main__")
except SystemExit as exit:
    assert not exit.code, exit.code
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def _peak_mb(root: Path, *command: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _STEP, *command],
        env=os.environ | {"OPT_ML": str(root), "OMP_NUM_THREADS": "2"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1]) / 1024


def _loans(rows: int) -> dict[str, pa.Array]:
    """Columns of the contract of loans, in no order, with long texts that all differ."""
    draw = np.random.default_rng(0)
    keys = pc.binary_join_element_wise("k", pa.array(draw.permutation(rows)).cast("string"), "")
    words = pa.array(["the history of a library and of those who borrow " * 6])
    texts = words.take(pa.array(np.zeros(rows, np.int64)))

    def either(one: str, other: str) -> pa.Array:
        return pa.array([one, other]).take(pa.array(draw.integers(0, 2, rows)))

    return {
        "loan_id": keys,
        "lent_at": pa.array(np.full(rows, 1_740_000_000_000_000), pa.timestamp("us", "UTC")),
        "pages": pa.array(draw.integers(1, 900, rows)),
        "price": pa.array(draw.random(rows)),
        "title": pc.binary_join_element_wise(texts, keys, " "),
        "reader": pc.binary_join_element_wise(keys, "example.org", "@"),
        "age": either("young", "old"),
        "late": either("yes", "no"),
    }


def _write(path: Path, columns: dict[str, pa.Array], names: Sequence[str] = ()) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: columns[name] for name in names or columns}), path)


def _snapshot(root: Path, rows: int) -> list[str]:
    table = root / "lake" / "loans"
    _write(table / "data.parquet", _loans(rows))
    version = sha256_tree(table)
    return ["snapshot", "--view", "training", "--lake-uri", f"duckdb://{table.parent}",
            "--as-of", version]  # fmt: skip


def _prepare(root: Path, rows: int) -> list[str]:
    config: Any = root / "processing" / "input" / "config"
    write_json(config / "data.json", {"sources": [{"kind": "file", "path": "rows.csv"}]})
    write_json(config / "text.json", {"template": "{title}"})
    training = ("loan_id", "lent_at", "pages", "price", "title", "late")
    _write(root / "processing" / "input" / "data" / "data.parquet", _loans(rows), training)
    return ["prepare"]


def _bias_input(root: Path, rows: int) -> list[str]:
    columns = _loans(rows)
    late = pc.equal(columns["late"], "yes").cast(pa.int64())
    inputs = root / "processing" / "input"
    _write(inputs / "facets" / "data.parquet", columns, ("loan_id", "age", "late"))
    test = pa.array(["test"]).take(pa.array(np.zeros(rows, np.int64)))
    predictions = {"key": columns["loan_id"], "split": test, "label": late, "predicted": late}
    _write(inputs / "predictions" / "predictions.parquet", predictions)
    return ["bias_input"]


def _bias(root: Path, rows: int) -> list[str]:
    columns = _loans(rows)
    config = {
        "dataset_type": "application/x-parquet",
        "label": "late",
        "label_values_or_threshold": ["yes"],
        "facet": [{"name_or_index": "age", "value_or_threshold": ["old"]}],
        "methods": {"pre_training_bias": {"methods": "all"}},
    }
    inputs = root / "processing" / "input"
    write_json(inputs / "config" / "analysis_config.json", config)
    _write(inputs / "data" / "data.parquet", columns)
    return ["bias"]


def _weights(root: Path, rows: int) -> list[str]:
    columns = _loans(rows)
    inputs = root / "processing" / "input"
    write_json(inputs / "config" / "reweighing.json", {"facets": ["age"], "strength": 1})
    _write(inputs / "facets" / "data.parquet", columns, ("loan_id", "age", "late"))
    late = pc.equal(columns["late"], "yes").cast(pa.int64())
    train = {"key": columns["loan_id"], "text": columns["title"], "label": late}
    _write(inputs / "train" / "data.parquet", {name: part[:1000] for name, part in train.items()})
    return ["weights"]


@pytest.mark.parametrize("step", [_snapshot, _prepare, _weights, _bias_input, _bias])
def test_twice_the_rows_take_no_more_memory(tmp_path: Path, step: Any) -> None:
    peaks = []
    for rows in (_ROWS, 2 * _ROWS):
        root = tmp_path / str(rows)
        config = root / "processing" / "input" / "config"
        config.mkdir(parents=True)
        save(document(), config)
        peaks.append(_peak_mb(root, *step(root, rows)))
    less, more = peaks
    assert more < max(_FREE_MB, _MORE * less), (
        f"{less:.0f} MB of {_ROWS:,} rows, {more:.0f} MB of twice as many"
    )
