"""Publish: adds a window's outcome to the history of all windows.

    python -m sashiko_packs.monitoring.steps.publish

Input `result` (JudgeMonitor's `monitor.json`); output `history`: the same file.
"""

import argparse
import sys

from sashiko.base.job_folders import processing_input, processing_output
from sashiko.steps.entry import run_step
from sashiko_packs.monitoring.result import MonitorResult


def main() -> None:
    """Copies the outcome, as a valid record: equal bytes, and never a count that it must hide."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    result = MonitorResult.read(processing_input("result"))
    result.write(processing_output("history"))
    print(f"{result.start:%Y-%m-%d} to {result.end:%Y-%m-%d}: {result.outcome}", file=sys.stderr)


if __name__ == "__main__":
    run_step(main)
