"""JoinLabels: the labels that have arrived by now, joined with one version's answers.

    python -m sashiko.steps.monitor.join_labels --start ... --end ... --now ... --version 7

Inputs `config` (contract and the recipe's monitor), `ledger`, `labels`, `draws` and `reference`.
Outputs `labels` (`labels.json`: counts) and `decisions` (`decisions.parquet`: the window's
decisions by key, for the bias evaluator).
"""

import sys

from sashiko.contract.model import Contract
from sashiko.core.job_folders import processing_input, processing_output
from sashiko.errors import InputError
from sashiko.monitoring.joined_labels import DECISIONS_FILE, Sources, join_labels
from sashiko.monitoring.quality import write_labels
from sashiko.monitoring.reference import REFERENCE_FILE, Reference, read_reference
from sashiko.settings.monitor import MonitorSection
from sashiko.steps.entry import run_step
from sashiko.steps.monitor.window_arguments import parse_window
from sashiko.steps.sections import read_contract, read_section


def main() -> None:
    """Runs the step."""
    arguments = parse_window("Joins labels with a version's answers.")
    reference = read_reference(processing_input("reference") / REFERENCE_FILE)
    check_labels(read_contract(), reference)
    summary = join_labels(
        Sources(
            ledger=processing_input("ledger"),
            labels=processing_input("labels"),
            draws=processing_input("draws"),
        ),
        processing_output("decisions") / DECISIONS_FILE,
        version=arguments.version,
        window=arguments.window,
        now=arguments.now,
        label_days=read_section(MonitorSection, "monitor").label_days,
        positive=reference.labels[1],
    )
    write_labels(summary, processing_output("labels"))
    ordinary = summary.ordinary_right + summary.ordinary_wrong
    print(
        f"{len(summary.periods):,} audited periods; {ordinary:,} other labels of the window, "
        f"{summary.waiting:,} of its rows have none",
        file=sys.stderr,
    )


def check_labels(contract: Contract, reference: Reference) -> None:
    """Checks that the labels that arrive are those that the version decides on.

    Raises:
        InputError: if the contract's labels are not the version's.
    """
    label = contract.label
    if (label.negative, label.positive) != reference.labels:
        raise InputError(
            f"contract `{contract.id}`: its labels are `{label.negative}` and `{label.positive}`, "
            f"those of the version are `{'` and `'.join(reference.labels)}` ({REFERENCE_FILE}); "
            "monitor it with the contract that it was trained with, or deploy a new version"
        )


if __name__ == "__main__":
    run_step(main)
