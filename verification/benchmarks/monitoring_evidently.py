"""evidently on the windows of `monitoring_peers`; imports nothing of the project but its format.

    .venv-evidently/bin/python -m verification.benchmarks.monitoring_evidently FOLDER ANSWERS

`DataDriftPreset` with tests, as https://docs.evidentlyai.com/metrics/preset_data_drift has it: the
methods follow from the columns' types and the rows of the reference, and half of the columns make
the dataset's verdict. Set up by hand: tests of significance for the columns, at a window's false
alarms divided by the columns.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
from evidently import BinaryClassification, DataDefinition, Dataset, Report
from evidently.metrics import Accuracy
from evidently.presets import DataDriftPreset
from evidently.tests import Reference, eq, gte

from verification.benchmarks.monitoring_verdicts import (
    ACCURACY_TOLERANCE,
    CATEGORICAL,
    COLUMNS,
    FALSE_ALARMS,
    Setup,
    StreamVerdict,
    Verdict,
    judge_all,
)

_DEFAULT_RELATIVE = 0.2  # of evidently's own test of a metric against a reference


def judge_window(case: Path) -> list[Verdict]:
    """Compares a window with its reference, without texts and with them."""
    reference, window = (
        pd.read_parquet(case / f"{name}.parquet") for name in ("reference", "window")
    )
    at = FALSE_ALARMS / len(COLUMNS)
    tests = DataDriftPreset(
        cat_method="chisquare", num_method="ks", cat_threshold=at, num_threshold=at
    )
    a_column, dataset, seconds = _drift(DataDriftPreset(), reference, window, COLUMNS)
    by_tests, _, tests_seconds = _drift(tests, reference, window, COLUMNS)
    results = [
        (Setup.EVIDENTLY, a_column, seconds),
        (Setup.EVIDENTLY_DATASET, dataset, seconds),
        (Setup.EVIDENTLY_TESTS, by_tests, tests_seconds),
    ]
    if "text" in window:
        columns = [*COLUMNS, "text"]
        a_column, dataset, seconds = _drift(DataDriftPreset(), reference, window, columns)
        results += [
            (Setup.EVIDENTLY_TEXTS, a_column, seconds),
            (Setup.EVIDENTLY_DATASET_TEXTS, dataset, seconds),
        ]
    return [Verdict(int(case.parent.name), *one) for one in results]


def judge_stream(case: Path) -> list[StreamVerdict]:
    """Tests the accuracy on each week's audited rows."""
    reference, weeks = (
        pd.read_parquet(case / f"{name}.parquet") for name in ("reference", "weeks")
    )
    least = float((reference.label == reference.decision).mean()) - ACCURACY_TOLERANCE
    setups = {"eq": Setup.EVIDENTLY_ACCURACY, "ge": Setup.EVIDENTLY_BOUND}
    first: dict[Setup, int | None] = dict.fromkeys(setups.values())
    audited = weeks[weeks.label.notna()].astype({"label": "int64"})
    for week, rows in audited.groupby("week"):
        metric = Accuracy(tests=[eq(Reference(relative=_DEFAULT_RELATIVE)), gte(least)])
        definition = DataDefinition(
            classification=[BinaryClassification(target="label", prediction_labels="decision")]
        )
        for test in _tests(metric, definition, reference, rows, ["label", "decision"]):
            setup = setups[test["id"]]
            if test["status"] == "FAIL" and first[setup] is None:
                first[setup] = int(week)
    return [StreamVerdict(case.parent.name, setup, week) for setup, week in first.items()]


def _drift(
    preset: Any, reference: pd.DataFrame, window: pd.DataFrame, columns: list[str]
) -> tuple[bool, bool, float]:
    """Says whether a column drifted, whether the dataset did, and the seconds that it took."""
    definition = DataDefinition(
        categorical_columns=CATEGORICAL,
        numerical_columns=["score"],
        text_columns=[name for name in columns if name == "text"],
    )
    start = time.process_time()
    tests = _tests(preset, definition, reference, window, columns)
    seconds = time.process_time() - start
    failed = [
        test["metric_config"]["params"]["type"].rpartition(":")[2]
        for test in tests
        if test["status"] == "FAIL"
    ]
    return "ValueDrift" in failed, "DriftedColumnsCount" in failed, seconds


def _tests(
    metric: Any,
    definition: DataDefinition,
    reference: pd.DataFrame,
    window: pd.DataFrame,
    columns: list[str],
) -> list[dict[str, Any]]:
    before, now = (
        Dataset.from_pandas(rows[columns], data_definition=definition)
        for rows in (reference, window)
    )
    tests: list[dict[str, Any]] = json.loads(
        Report([metric], include_tests=True).run(now, before).json()
    )["tests"]
    if errors := [test["description"] for test in tests if test["status"] == "ERROR"]:
        sys.exit(f"error: evidently could not judge: {'; '.join(errors)}")
    return tests


if __name__ == "__main__":
    judge_all(judge_window, judge_stream)
