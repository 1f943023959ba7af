"""Drift: measures a window's columns, scores and texts against the version's held-out rows.

    python -m sashiko_packs.monitoring.steps.drift

Inputs `config` (monitor), `rows` (`rows.parquet` of ReadCapture), `reference` (the version's
`reference.json`) and `test` (the test split that it describes); output `drift` (`drift.json`). The
measurements are judged together with the window's others, by JudgeMonitor.
"""

import argparse
import sys

from sashiko.base.files import sha256_tree
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.errors import InputError
from sashiko.evaluation.reference import REFERENCE_FILE, Reference, read_reference
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_section
from sashiko_packs.monitoring.capture.rows import ROWS_FILE
from sashiko_packs.monitoring.drift import measure_window
from sashiko_packs.monitoring.result import write_drift
from sashiko_packs.monitoring.settings import MonitorSection


def main() -> None:
    """Writes what drifted by how much."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    section = read_section(MonitorSection, "monitor")
    reference = read_reference(processing_input("reference") / REFERENCE_FILE)
    check_test(reference)
    drift = measure_window(
        processing_input("rows") / ROWS_FILE,
        reference,
        test=processing_input("test") / "data.parquet",
        section=section,
    )
    write_drift(drift, processing_output("drift"))
    measured = sum(item.is_judged for item in drift.measurements)
    print(
        f"{sum(drift.scores):,} rows: {measured} of {len(drift.measurements)} measurements have "
        "enough rows",
        file=sys.stderr,
    )


def check_test(reference: Reference) -> None:
    """Checks that the test split is the one that the reference describes.

    Raises:
        InputError: names both digests.
    """
    folder = processing_input("test")
    digest = sha256_tree(folder)
    if digest != reference.test_sha256:
        raise InputError(
            f"{folder}: the files' SHA-256 is {digest}, and {REFERENCE_FILE} describes those of "
            f"{reference.test_sha256}: give the test split of the version's own run"
        )


if __name__ == "__main__":
    run_step(main)
