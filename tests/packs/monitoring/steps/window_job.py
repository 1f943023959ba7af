"""A job of the monitoring pipeline: its folders, reference and captured rows."""

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sashiko.base.files import sha256_tree, write_json
from sashiko.base.parquet import write_table
from sashiko.contract.derive import arrow_schema
from sashiko.evaluation.metrics.quality import Confusion
from sashiko.evaluation.reference import ColumnCounts, Reference, write_reference
from sashiko.steps.sections import read_contract
from sashiko_packs.monitoring.audited import AuditedMeasure, AuditedPeriod, LabelSummary, Quality
from sashiko_packs.monitoring.capture.record import CaptureSummary, VersionRows, row_schema
from sashiko_packs.monitoring.checks import BROKEN_RULE, Kind, Measurement, MonitorCheck, Outcome
from sashiko_packs.monitoring.clusters import ClusteredCounts
from sashiko_packs.monitoring.result import SCORES_DRIFT, Distribution, Drift, Inputs
from sashiko_packs.monitoring.steps import bias
from sashiko_packs.monitoring.steps import drift as drift_step
from sashiko_packs.monitoring.steps.drift import measure_drift
from sashiko_packs.monitoring.steps.input_quality import measure_share
from tests.packs.monitoring.captures import NOON
from tests.unit.bias.steps.bias_folders import Job
from tests.unit.contract.documents import ROWS

DIGEST = "0" * 64
PRODUCT = ColumnCounts(
    column="product", kind="category", values=("Card", "Loan"), counts=(600, 400, 0, 0)
)
SCORES = ColumnCounts(
    column="score", kind="number", edges=(0.25, 0.5, 0.75), counts=(400, 300, 200, 100, 0, 0)
)


def make_reference(**changes: Any) -> Reference:
    values: dict[str, Any] = {
        "rows": 1000, "positives": 300, "true_positives": 240, "labels": ("no", "yes"),
        "threshold": 0.5, "template": "{product}: {complaint_text}", "missing": "unknown",
        "columns": (
            PRODUCT,
            ColumnCounts(column="complaint_text", kind="text", counts=(1000, 0, 0)),
        ),
        "scores": SCORES, "right": (390, 250, 150, 90, 0, 0), "calibration": (),
        "artifact_sha256": DIGEST, "test_sha256": DIGEST, "columns_sha256": DIGEST,
    }  # fmt: skip
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
        schema = row_schema(columns, has_classes=any("scores" in record for record in records))
        table = pa.Table.from_pylist(records, schema=schema)
        write_table(self.input("rows") / "rows.parquet", table)

    def measure_drift(
        self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], reference: Reference
    ) -> Drift:
        """Measures rows against a reference whose test split has one text."""
        table = pa.table({"key": ["t"] * 500, "text": ["late"] * 500, "label": [0] * 500})
        write_table(self.input("test") / "data.parquet", table)
        digest = sha256_tree(self.input("test"))
        self.put_reference(**(reference.model_dump() | {"test_sha256": digest}))
        self.put_section("monitor", {})
        self.put_rows(rows, columns)
        self.run(drift_step)
        return Drift.read(self.output("drift"))

    def run(self, step: ModuleType, *arguments: str) -> None:
        self._monkeypatch.setattr(sys, "argv", [step.__name__, *arguments])
        step.main()


def _row(number: int) -> dict[str, Any]:
    return {
        "event_id": f"e{number}", "position": 0, "time": NOON + dt.timedelta(seconds=number),
        "version": 7, "key": f"k{number}", "score": 0.6, "decision": "yes", "text": None,
        "input": None, "dominates": False,
    }  # fmt: skip


START = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
WEEK = dt.timedelta(days=7)
END = dt.datetime(2026, 3, 9, tzinfo=dt.UTC)
FOUR_FIFTHS = {
    "metric": "DI", "facet": "age", "minimum": 0.8, "maximum": 1.25, "reason": "four fifths",
}  # fmt: skip
QUIET = (1000, 600, 400)
ARGUMENTS = ("--group", "loans", "--recipe", "lending", "--version", "7")


class WindowJob(Job):
    """One job of the monitoring pipeline, whose inputs are those of every step."""

    def run(self, module: ModuleType, *arguments: str) -> None:
        self._monkeypatch.setenv("OPT_ML", str(self.root))
        self._monkeypatch.setattr(sys, "argv", [module.__name__, *arguments])
        module.main()

    def measure_bias(self, as_of: str = "", *, lake: str = "") -> None:
        """Runs MonitorBias, without an argument on the lake as it is, which may be empty."""
        folder = self.root / "lake" / "loans"
        as_of = as_of or (sha256_tree(folder) if folder.exists() else "none")
        self.run(bias, "--lake-uri", lake or f"duckdb://{folder.parent}", "--as-of", as_of)

    def facets(self, keys: Sequence[Any], **columns: Sequence[Any]) -> None:
        """Loads rows of loans into the lake, in the contract's types."""
        self._monkeypatch.setenv("OPT_ML", str(self.root))
        schema = arrow_schema(read_contract(), "all")
        given = {"loan_id": keys, **columns}
        values = {
            name: given[name] if name in given else [ROWS[name][0]] * len(keys)
            for name in schema.names
        }
        folder = self.root / "lake" / "loans"
        if keys:  # else nothing is loaded yet
            write_table(folder / "data.parquet", pa.table(values, schema))

    def bias_section(self, *gates: Any, **changes: Any) -> None:
        self.section("bias", {"gates": gates, "bootstrap_replicates": 1000, **changes})
        self.section("monitor", {})

    def decisions(self, keys, positive, **columns) -> None:
        times = [START + dt.timedelta(seconds=number) for number in range(len(keys))]
        table = pa.table(
            {
                "key": pa.array(keys, pa.string()),
                "positive": pa.array(positive, pa.bool_()),
                "time": pa.array(times, pa.timestamp("us", tz="UTC")),
                "cluster": pa.array(range(len(keys)), pa.int64()),
                "windows_ago": pa.array([0] * len(keys), pa.int64()),
                **columns,
            }
        )
        self.parquet("decisions", table, file="decisions.parquet")
        self.audited([], [], [])

    def audited(self, keys, labels, decisions, **numbers) -> None:
        """Stages the labelled drawn rows, of which there are none else."""
        columns = {
            "key": pa.array(keys, pa.string()),
            "label": pa.array(labels, pa.bool_()),
            "decision": pa.array(decisions, pa.bool_()),
        }
        self.parquet("decisions", pa.table(columns | numbers), file="audited.parquet")

    def groups(self, **positives: tuple[int, int]) -> None:
        """Stages decisions: for each value of `age` the positive ones, and all."""
        ages = [age for age, (_, rows) in positives.items() for _ in range(rows)]
        decisions = [
            number < chosen for chosen, rows in positives.values() for number in range(rows)
        ]
        keys = [f"L{number}" for number in range(len(ages))]
        self.decisions(keys, decisions)
        self.facets(keys, age=ages)

    def reference_groups(self, **positives: tuple[int, int]) -> None:
        """Stages BiasInput's CSV likewise; every other row has a positive label."""
        lines = [
            f"{number % 2},{int(number < chosen)},{age}"
            for age, (chosen, rows) in positives.items()
            for number in range(rows)
        ]
        self.text("bias-rows", "\n".join(["label,predicted_label,age", *lines, ""]))

    def window(
        self,
        *,
        product: Sequence[int] = QUIET,
        scores: Sequence[int] = (500, 1000, 500, 0, 0),
        rows: int = 2000,
        audit: Outcome = "ok",
        inputs: Outcome = "ok",
    ) -> None:
        """Stages everything that JudgeMonitor reads apart from bias."""
        capture(rows).write(self.folder("summary"))
        Inputs(measurements=(rule(inputs),)).write(self.folder("checks"))
        drift(product, scores).write(self.folder("drift"))
        quality(audit).write(self.folder("quality"))
        write_reference(REFERENCE, self.folder("reference"))
        self.section("monitor", {})


def scores(counts: Sequence[int]) -> ColumnCounts:
    return ColumnCounts(column="score", kind="number", edges=(0.3, 0.6), counts=tuple(counts))


REFERENCE = make_reference(
    rows=2000, positives=800, true_positives=600, template="{product}", columns=(),
    scores=scores((500, 1000, 500, 0, 0)), right=(450, 600, 450, 0, 0),
)  # fmt: skip


def capture(rows: int) -> CaptureSummary:
    versions = VersionRows(version=7, requests=rows, rows=rows, first=START, last=END)
    return CaptureSummary(
        start=START, end=END, files=1, lines=rows, requests=rows, rows=rows,
        versions=(versions,) if rows else (), problems=(),
    )  # fmt: skip


def drift(product: Sequence[int], window_scores: Sequence[int]) -> Drift:
    """Measures a column and the scores; the texts are a measurement without rows."""
    reference = np.array(QUIET)
    measurements = (
        measure_drift(
            "drift of product", reference, ClusteredCounts(np.array(product)), ordered=False,
            tolerance=0.1,
        ),
        Measurement(
            name="drift of the texts", kind="drift", effect="AUC", rows=0, rows_needed=100,
            tolerance=0.55,
        ),
        measure_drift(
            SCORES_DRIFT, np.array(REFERENCE.scores.counts),
            ClusteredCounts(np.array(window_scores)), ordered=True, tolerance=0.1,
        ),
    )  # fmt: skip
    distribution = Distribution(
        name="product", cells=("Book", "Film", "other"), reference=QUIET, window=tuple(product)
    )
    return Drift(measurements=measurements, distributions=(distribution,))


def rule(outcome: Outcome) -> Measurement:
    """A rule that a tenth of 2,000 rows break, or of 50, or that all keep."""
    rows, broken = {"ok": (2000, 0), "alarm": (2000, 200), "not judged": (50, 5)}[outcome]
    counts = ClusteredCounts(np.array([rows - broken, broken]))
    return measure_share(
        "rule of product", counts, kind="inputs", effect=BROKEN_RULE, allowed=0.0, tolerance=0.01
    )


def check(name: str, outcome: Outcome, *, kind: Kind = "inputs") -> MonitorCheck:
    return MonitorCheck(
        name=name, kind=kind, outcome=outcome, rows=200, rows_needed=100,
        effect="accuracy", value=0.7, tolerance=0.73,
        reason="accuracy is below 0.730" if outcome == "alarm" else "no change",
    )  # fmt: skip


def quality(audit: Outcome, *, closed: dt.datetime = START) -> Quality:
    """The audit's verdict by one period, whose last label came at `closed`."""
    counts = Confusion(true_positives=70, false_positives=30, false_negatives=30, true_negatives=70)
    periods = (
        AuditedPeriod(start=START - WEEK, end=START, answers=2000, labelled=counts,
                      unlabelled_positive=0, unlabelled_negative=0, late=0, state="complete",
                      closed=closed),
    )  # fmt: skip
    accuracy = AuditedMeasure(
        name="accuracy", rows=200, value=0.7, low=0.65, high=0.75, worst=0.7, best=0.7,
        reference=0.75,
    )  # fmt: skip
    labels = LabelSummary(
        version=7, periods=periods, waiting=0, known=4, duplicated=0, corrected=0, unknown=0,
    )  # fmt: skip
    return Quality(
        checks=(check("audited accuracy", audit, kind="accuracy"),), periods=periods,
        since_deploy=accuracy, measures=(), labels=labels,
    )  # fmt: skip


def make_job(folder: Path, monkeypatch: pytest.MonkeyPatch) -> WindowJob:
    job = WindowJob(folder, monkeypatch)
    job.contract()
    job.bias_section(FOUR_FIFTHS)
    return job
