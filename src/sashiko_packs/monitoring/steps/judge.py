"""JudgeMonitor: judges a window by all of its checks together.

    python -m sashiko_packs.monitoring.steps.judge --group NAME --recipe NAME --version 7

Inputs `config` (the recipe's monitor), `summary` (`capture.json`), `checks` (InputQuality's
`inputs.json`), `drift` (`drift.json`), `quality` (`quality.json`), `reference` (`reference.json`),
`history` (each earlier window's `monitor.json`) and, where the recipe judges bias, `bias`
(`measurements.json`). Output `result`: `monitor.json`.
"""

import argparse
import sys

from sashiko.base.files import sha256_file
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.evaluation.reference import REFERENCE_FILE, read_reference
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_section
from sashiko_packs.monitoring.capture.record import SUMMARY_FILE, read_summary
from sashiko_packs.monitoring.quality import QUALITY_FILE, read_quality
from sashiko_packs.monitoring.result import (
    DRIFT_FILE,
    INPUTS_FILE,
    MEASUREMENTS_FILE,
    read_bias,
    read_drift,
    read_history,
    read_inputs,
    write_result,
)
from sashiko_packs.monitoring.settings import MonitorSection
from sashiko_packs.monitoring.window import WindowEvidence, judge_window


def main() -> None:
    """Writes the outcome, and prints it with its alarms."""
    parser = argparse.ArgumentParser(description="Judges a window of a deployed model.")
    parser.add_argument("--group", required=True)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--version", type=int, required=True)
    arguments = parser.parse_args()

    result = judge_window(
        read_evidence(),
        read_section(MonitorSection, "monitor"),
        group=arguments.group,
        recipe=arguments.recipe,
        version=arguments.version,
    )
    write_result(result, processing_output("result"))
    print(result.summary, file=sys.stderr)
    for line in result.alarms:
        print(f"alarm: {line}", file=sys.stderr)


def read_evidence() -> WindowEvidence:
    """Reads the inputs; without an input `bias` the recipe does not judge it.

    Raises:
        InputError: if a file is missing or invalid.
    """
    bias, reference = processing_input("bias"), processing_input("reference") / REFERENCE_FILE
    return WindowEvidence(
        capture=read_summary(processing_input("summary") / SUMMARY_FILE),
        inputs=read_inputs(processing_input("checks") / INPUTS_FILE),
        drift=read_drift(processing_input("drift") / DRIFT_FILE),
        bias=read_bias(bias / MEASUREMENTS_FILE) if bias.exists() else None,
        quality=read_quality(processing_input("quality") / QUALITY_FILE),
        reference=read_reference(reference),
        reference_sha256=sha256_file(reference),
        history=read_history(processing_input("history")),
    )


if __name__ == "__main__":
    run_step(main)
