"""A job of the monitoring pipeline: its folders, reference and captured rows."""

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from sashiko.base.files import write_json
from sashiko.base.parquet import write_table
from sashiko.evaluation.reference import ColumnCounts, Reference, write_reference
from sashiko_packs.monitoring.capture.record import row_schema
from tests.packs.monitoring.captures import NOON

DIGEST = "0" * 64
PRODUCT = ColumnCounts(
    column="product", kind="category", values=("Card", "Loan"), counts=(600, 400, 0, 0)
)
SCORES = ColumnCounts(
    column="score", kind="number", edges=(0.25, 0.5, 0.75), counts=(400, 300, 200, 100, 0, 0)
)


def make_reference(**changes: Any) -> Reference:
    """A reference of 1,000 rows."""
    values: dict[str, Any] = {
        "rows": 1000,
        "positives": 300,
        "true_positives": 240,
        "labels": ("no", "yes"),
        "threshold": 0.5,
        "template": "{product}: {complaint_text}",
        "missing": "unknown",
        "columns": (
            PRODUCT,
            ColumnCounts(column="complaint_text", kind="text", counts=(1000, 0, 0)),
        ),
        "scores": SCORES,
        "right": (390, 250, 150, 90, 0, 0),
        "calibration": (),
        "artifact_sha256": DIGEST,
        "test_sha256": DIGEST,
        "columns_sha256": DIGEST,
    }
    return Reference(**(values | changes))


class MonitorJob:
    """Runs a step in folders below `root`."""

    def __init__(self, root: Path, monkeypatch: Any) -> None:
        self.root = root
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("OPT_ML", str(root))

    def input(self, name: str) -> Path:
        folder = self.root / "processing" / "input" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def output(self, name: str) -> Path:
        return self.root / "processing" / "output" / name

    def put_reference(self, **changes: Any) -> None:
        write_reference(make_reference(**changes), self.input("reference"))

    def put_section(self, name: str, value: Mapping[str, Any]) -> None:
        write_json(self.input("config") / f"{name}.json", value)

    def put_rows(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
        """Writes rows as ReadCapture does; each has `input` or `text`, and what it leaves open.

        Rows of one event share a cluster, where they name none.
        """
        records = [_row(number) | dict(row) for number, row in enumerate(rows)]
        numbers: dict[str, int] = {}
        for record in records:
            record.setdefault("cluster", numbers.setdefault(record["event_id"], len(numbers)))
        table = pa.Table.from_pylist(records, schema=row_schema(columns))
        write_table(self.input("rows") / "rows.parquet", table)

    def run(self, step: ModuleType, *arguments: str) -> None:
        self._monkeypatch.setattr(sys, "argv", [step.__name__, *arguments])
        step.main()


def _row(number: int) -> dict[str, Any]:
    return {
        "event_id": f"e{number}",
        "position": 0,
        "time": NOON + dt.timedelta(seconds=number),
        "version": 7,
        "key": f"k{number}",
        "score": 0.6,
        "decision": "yes",
        "text": None,
        "input": None,
        "dominates": False,
    }
