"""NannyML on the windows of `monitoring_peers`; imports nothing of the project but its format.

    .venv-nannyml/bin/python -m verification.benchmarks.monitoring_nannyml FOLDER ANSWERS

`UnivariateDriftCalculator` and `CBPE` with a size of the chunks, as the quickstart has them: a
window is a chunk (https://nannyml.readthedocs.io/en/stable/quick.html). Without a size, reference
and window are cut into ten chunks each. Set up by hand: a reference of 30 chunks.
"""

import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import nannyml as nml
import pandas as pd

from verification.benchmarks.monitoring_verdicts import (
    CATEGORICAL,
    COLUMNS,
    Setup,
    StreamVerdict,
    Verdict,
    judge_all,
)

_MODEL = {
    "metrics": ["accuracy"],
    "y_pred_proba": "score",
    "y_pred": "decision",
    "y_true": "label",
    "problem_type": "classification_binary",
}


def judge_window(case: Path) -> list[Verdict]:
    """Compares a window with its reference, and with a larger one if there is one."""
    setting = int(case.parent.name)
    reference, window = (
        pd.read_parquet(case / f"{name}.parquet") for name in ("reference", "window")
    )
    chunk = {"chunk_size": len(window)}
    verdicts = [
        _drift(setting, Setup.NANNYML, reference, window, chunk),
        _cbpe(setting, Setup.NANNYML_CBPE, reference, window, chunk),
        _drift(setting, Setup.NANNYML_TEN, reference, window, {}),
    ]
    if (case / "larger.parquet").exists():
        larger = pd.read_parquet(case / "larger.parquet")
        verdicts += [
            _drift(setting, Setup.NANNYML_LARGER, larger, window, chunk),
            _cbpe(setting, Setup.NANNYML_CBPE_LARGER, larger, window, chunk),
        ]
    return verdicts


def judge_stream(case: Path) -> list[StreamVerdict]:
    """Estimates the accuracy of each week without labels, and computes it of the audited rows."""
    reference, weeks = (
        pd.read_parquet(case / f"{name}.parquet") for name in ("reference", "weeks")
    )
    audited = weeks[weeks.label.notna()].astype({"label": "int64"})
    rows, labels = (int(table.groupby("week").size().iloc[0]) for table in (weeks, audited))
    estimated = nml.CBPE(**_MODEL, chunk_size=rows).fit(reference).estimate(weeks)
    realized = (
        nml.PerformanceCalculator(**_MODEL, chunk_size=labels).fit(reference).calculate(audited)
    )
    return [
        StreamVerdict(case.parent.name, setup, _first(result))
        for setup, result in (
            (Setup.NANNYML_CBPE, estimated),
            (Setup.NANNYML_REALIZED, realized),
        )
    ]


def _drift(
    setting: int, setup: Setup, reference: pd.DataFrame, window: pd.DataFrame, chunk: dict[str, Any]
) -> Verdict:
    start = time.process_time()
    calculator = nml.UnivariateDriftCalculator(
        column_names=COLUMNS, treat_as_categorical=CATEGORICAL, **chunk
    )
    alerts = _alerts(calculator.fit(reference).calculate(window))
    return Verdict(setting, setup, bool(alerts.any(axis=None)), time.process_time() - start)


def _cbpe(
    setting: int, setup: Setup, reference: pd.DataFrame, window: pd.DataFrame, chunk: dict[str, Any]
) -> Verdict:
    start = time.process_time()
    result = nml.CBPE(**_MODEL, **chunk).fit(reference).estimate(window)
    seconds = time.process_time() - start
    estimate = float(result.filter(period="analysis").to_df()["accuracy", "value"].iloc[0])
    return Verdict(setting, setup, bool(_alerts(result).any(axis=None)), seconds, estimate)


def _alerts(result: Any) -> pd.DataFrame:
    table = result.filter(period="analysis").to_df()
    alerts = table[[column for column in table.columns if column[-1] == "alert"]]
    if alerts.isna().any(axis=None):
        sys.exit(f"error: NannyML could not judge:\n{alerts}")
    return alerts.astype(bool)


def _first(result: Any) -> int | None:
    alerts = _alerts(result).any(axis=1).to_numpy()
    return int(alerts.argmax()) + 1 if alerts.any() else None


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # fewer than six chunks, of every window
    logging.disable(logging.WARNING)
    judge_all(judge_window, judge_stream)
