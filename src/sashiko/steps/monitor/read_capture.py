"""ReadCapture: makes rows of a window's captured requests, and adds them to the ledger.

    python -m sashiko.steps.monitor.read_capture
        --start 20261121T000000Z --end 20261128T000000Z --now 20261128T010000Z --version 7

Inputs `capture` (the folder above `version=<n>`), `reference` (the version's `reference.json`) and
`ledger`; outputs `rows` (`rows.parquet`, the rows of the version), `summary` (`capture.json`, of
all versions that answered in the window) and `ledger` (the input with the rows of all versions).
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.core.files import walk_files
from sashiko.core.job_folders import processing_input, processing_output
from sashiko.core.parquet import write_batches
from sashiko.errors import InputError, disk_reason
from sashiko.monitoring.capture.reading import read_captures
from sashiko.monitoring.capture.record import CaptureSummary, row_schema, write_summary
from sashiko.monitoring.capture.rows import ROWS_FILE, stream_rows
from sashiko.monitoring.ledger import add_rows
from sashiko.monitoring.reference import REFERENCE_FILE, read_reference
from sashiko.steps.entry import run_step
from sashiko.steps.monitor.window_arguments import WindowArguments, parse_window


def main() -> None:
    """Writes the rows, their summary and the ledger."""
    arguments = parse_window(__doc__)
    reference = read_reference(processing_input("reference") / REFERENCE_FILE)
    columns = tuple(counts.column for counts in reference.columns)
    rows, ledger = processing_output("rows") / ROWS_FILE, processing_output("ledger")
    copy_ledger(processing_input("ledger"), ledger)

    summary = read_captures(
        processing_input("capture"),
        rows,
        window=arguments.window,
        now=arguments.now,
        columns=columns,
    )
    write_summary(summary, processing_output("summary"))
    # Of all versions, since each one's labels arrive after the capture is deleted.
    additions = add_rows(ledger, rows)
    if any(answered.version != arguments.version for answered in summary.versions):
        batches = rows_of_version(rows, arguments.version)
        write_batches(rows, batches, schema=row_schema(columns))
    for line in outcome_lines(summary, arguments, additions=additions):
        print(line, file=sys.stderr)


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


def rows_of_version(path: Path, version: int) -> Iterator[pa.RecordBatch]:
    """Yields the rows that one version answered, in their order."""
    for table in stream_rows(path):
        yield from table.filter(pc.equal(table["version"], version)).to_batches()


def outcome_lines(
    summary: CaptureSummary, arguments: WindowArguments, *, additions: int
) -> Iterator[str]:
    """Yields what was read, in counts."""
    own = [answered for answered in summary.versions if answered.version == arguments.version]
    rows = sum(answered.rows for answered in own)
    requests = sum(answered.requests for answered in own)
    yield f"version {arguments.version} answered {rows:,} rows in {requests:,} requests"
    if rows < summary.rows:
        others = (str(v.version or "none") for v in summary.versions if v not in own)
        yield (
            f"left out {summary.rows - rows:,} rows of other versions ({', '.join(others)}), which "
            "the summary and the ledger have"
        )
    for problem in summary.problems:
        yield f"{problem.kind}: {problem.count:,}"
    yield f"added {additions:,} rows to the ledger"


if __name__ == "__main__":
    run_step(main)
