"""InputQuality: measures captured rows by the contract's rules of their columns.

    python -m sashiko_packs.monitoring.steps.input_quality

Inputs `config` (contract and the recipe's monitor) and `rows` (`rows.parquet` of ReadCapture);
output `checks` (`inputs.json`). Rows that came as plain texts are counted, not judged. JudgeMonitor
judges the measurements.
"""

import argparse
import sys

from sashiko.base.job_folders import processing_input, processing_output
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract, read_section
from sashiko_packs.monitoring.capture.rows import ROWS_FILE
from sashiko_packs.monitoring.input_quality import count_plain, measure_inputs
from sashiko_packs.monitoring.result import Inputs, write_inputs
from sashiko_packs.monitoring.settings import MonitorSection


def main() -> None:
    """Writes a measurement for each rule."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    rows = processing_input("rows") / ROWS_FILE
    tolerance = read_section(MonitorSection, "monitor").input_tolerance
    measurements = measure_inputs(rows, read_contract(), tolerance=tolerance)
    write_inputs(Inputs(measurements=measurements), processing_output("checks"))

    print(f"{count_plain(rows):,} rows came as plain texts", file=sys.stderr)
    for item in measurements:
        if item.value:
            print(f"{item.name}: {100 * item.value:.3g} % of the rows break it", file=sys.stderr)


if __name__ == "__main__":
    run_step(main)
