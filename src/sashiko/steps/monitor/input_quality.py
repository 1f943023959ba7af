"""InputQuality: judges captured rows by the contract's rules of their columns.

    python -m sashiko.steps.monitor.input_quality

Inputs `config` (contract) and `rows` (`rows.parquet` of ReadCapture); output `checks`
(`checks.json`). Rows that came as plain texts are counted, not judged.
"""

import argparse
import sys
from collections import Counter

from sashiko.core.job_folders import processing_input, processing_output
from sashiko.monitoring.capture.rows import ROWS_FILE
from sashiko.monitoring.input_quality import count_plain, judge_inputs
from sashiko.monitoring.result import Checks, write_checks
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract


def main() -> None:
    """Writes a check for each rule."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    rows = processing_input("rows") / ROWS_FILE
    checks = judge_inputs(rows, read_contract())
    write_checks(Checks(checks=checks), processing_output("checks"))

    print(f"{count_plain(rows):,} rows came as plain texts", file=sys.stderr)
    outcomes = Counter(check.outcome for check in checks)
    print(
        ", ".join(f"{outcomes[name]} {name}" for name in ("ok", "alarm", "not judged")),
        file=sys.stderr,
    )
    for check in checks:
        if check.outcome == "alarm":
            print(f"{check.name}: {check.reason}", file=sys.stderr)


if __name__ == "__main__":
    run_step(main)
