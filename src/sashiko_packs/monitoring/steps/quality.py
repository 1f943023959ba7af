"""Quality: how right decisions are by audited labels, judged, and by ordinary ones, shown apart.

    python -m sashiko_packs.monitoring.steps.quality

Inputs `config` (the recipe's monitor), `labels` (JoinLabels' counts) and `reference`.
Output `quality` (`quality.json`).
"""

import argparse
import sys

from sashiko.base.job_folders import processing_input, processing_output
from sashiko.evaluation.reference import REFERENCE_FILE, read_reference
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_section
from sashiko_packs.monitoring.audited import LabelSummary, count_held_out, measure_quality
from sashiko_packs.monitoring.settings import MonitorSection


def main() -> None:
    """Runs the step."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    reference = read_reference(processing_input("reference") / REFERENCE_FILE)
    quality = measure_quality(
        LabelSummary.read(processing_input("labels")),
        held_out=count_held_out(reference),
        settings=read_section(MonitorSection, "monitor"),
        classes=reference.labels,
        number=reference.number,
    )
    quality.write(processing_output("quality"))
    for check in quality.checks:
        print(f"{check.name}: {check.outcome}, {check.reason}", file=sys.stderr)


if __name__ == "__main__":
    run_step(main)
