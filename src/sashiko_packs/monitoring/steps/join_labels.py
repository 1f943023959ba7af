"""JoinLabels: adds the window's answers to the ledger, and joins the labels that have arrived.

    python -m sashiko_packs.monitoring.steps.join_labels --start ... --end ... --now ... --version 7

Inputs `config` (contract and the recipe's monitor), `rows`, `ledger`, `labels`, `draws` and
`reference`. Outputs `ledger` (the input with the window's answers of all versions), `labels`
(`labels.json`: counts) and `decisions` (`decisions.parquet`: the window's decisions by key, and
`audited.parquet`: the labelled drawn rows, both for the bias evaluator).
"""

import shutil
import sys
from pathlib import Path

from sashiko.base.files import walk_files
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.contract.model import Contract
from sashiko.errors import InputError, disk_reason
from sashiko.evaluation.reference import REFERENCE_FILE, Reference, read_reference
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_contract, read_section
from sashiko_packs.monitoring.capture.rows import LATE_FILE, OTHERS_FILE, ROWS_FILE
from sashiko_packs.monitoring.joined_labels import (
    Sources,
    join_labels,
)
from sashiko_packs.monitoring.ledger import add_rows
from sashiko_packs.monitoring.quality import write_labels
from sashiko_packs.monitoring.settings import MonitorSection
from sashiko_packs.monitoring.steps.window_arguments import parse_window


def main() -> None:
    """Runs the step."""
    arguments = parse_window("Joins labels with a version's answers.")
    reference = read_reference(processing_input("reference") / REFERENCE_FILE)
    check_labels(read_contract(), reference)
    ledger = processing_output("ledger")
    copy_ledger(processing_input("ledger"), ledger)
    # Of all versions, since each one's labels arrive after the capture is deleted.
    rows = processing_input("rows")
    additions = sum(add_rows(ledger, file) for file in _captured(rows))
    late = add_rows(ledger, rows / LATE_FILE)
    sources = Sources(
        ledger=ledger, labels=processing_input("labels"), draws=processing_input("draws")
    )
    summary = join_labels(
        sources,
        processing_output("decisions"),
        version=arguments.version,
        window=arguments.window,
        now=arguments.now,
        label_days=read_section(MonitorSection, "monitor").label_days,
        positive=reference.labels[1],
    )
    write_labels(summary, processing_output("labels"))
    ordinary = summary.ordinary_right + summary.ordinary_wrong
    others = f", and {late:,} of late captures" if late else ""
    print(f"added {additions:,} rows to the ledger{others}", file=sys.stderr)
    print(
        f"{len(summary.periods):,} audited periods; {ordinary:,} other labels of the window, "
        f"{summary.waiting:,} of its rows have none",
        file=sys.stderr,
    )


def _captured(rows: Path) -> list[Path]:
    others = rows / OTHERS_FILE
    return [rows / ROWS_FILE, *([others] if others.exists() else [])]


def copy_ledger(source: Path, out: Path) -> None:
    """Copies the ledger's files.

    Raises:
        InputError: if a file cannot be copied.
    """
    try:
        for file in walk_files(source):
            path = out / file.relative_to(source)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, path)
    except OSError as error:
        raise InputError(
            f"cannot copy the ledger {source} to {out}: {disk_reason(error)}"
        ) from error


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
