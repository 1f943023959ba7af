"""ReadCapture: makes rows of a window's captured requests.

    python -m sashiko_packs.monitoring.steps.read_capture
        --start 20261121T000000Z --end 20261128T000000Z --now 20261128T010000Z --version 7

Inputs `capture` (the folder above `version=<n>`, with the objects of an endpoint that sleeps) and
`reference` (the version's `reference.json`);
outputs `rows` (`rows.parquet` of the version, `other_versions.parquet` of others that answered in
the window, `late.parquet` of all answers of the two days before it, for the ledger alone) and
`summary` (`capture.json`, of all versions).
"""

import datetime as dt
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.job_folders import processing_input, processing_output
from sashiko.base.parquet import open_parquet, write_batches
from sashiko.evaluation.reference import REFERENCE_FILE, Reference, read_reference
from sashiko.steps.entry import run_step
from sashiko_packs.monitoring.capture.objects import collect_lines
from sashiko_packs.monitoring.capture.reading import read_captures
from sashiko_packs.monitoring.capture.record import (
    LATE_FILE,
    OTHERS_FILE,
    ROWS_FILE,
    CaptureSummary,
    stream_rows,
)
from sashiko_packs.monitoring.ledger import LATE_CLUSTERS, LEDGER_SCHEMA
from sashiko_packs.monitoring.window import Window, WindowArguments, parse_window

# A file can be delivered after its window was read. A schedule reads a window hours after its end,
# so that is a file of the window's last days. All of theirs are read again, since nothing says
# which ones the earlier read had: a job's copies of S3 objects have the time of the copy.
_LATE: Final = dt.timedelta(days=2)


def main() -> None:
    """Writes the rows and their summary."""
    arguments = parse_window(__doc__)
    reference = read_reference(processing_input("reference") / REFERENCE_FILE)
    columns = tuple(counts.column for counts in reference.columns)
    rows = processing_output("rows") / ROWS_FILE
    with tempfile.TemporaryDirectory(prefix="sashiko-capture-") as lines:
        since = arguments.window.start - _LATE
        captures = collect_lines(processing_input("capture"), Path(lines), since=since)
        _read(captures, rows, arguments, reference, columns)


def _read(
    captures: Path,
    rows: Path,
    arguments: WindowArguments,
    reference: Reference,
    columns: tuple[str, ...],
) -> None:
    read = partial(
        read_captures,
        captures,
        now=arguments.now,
        columns=columns,
        has_texts=any(counts.kind == "text" for counts in reference.columns),
        classes=reference.labels if reference.classes else (),
        first_favourable=reference.first_favourable,
        above=reference.threshold if reference.number else None,
    )
    summary = read(rows, window=arguments.window)
    summary.write(processing_output("summary"))
    if any(answered.version != arguments.version for answered in summary.versions):
        split_versions(rows, arguments.version)
    with tempfile.TemporaryDirectory(prefix="sashiko-capture-") as scratch:
        earlier = Path(scratch, ROWS_FILE)
        start = arguments.window.start
        read(earlier, window=Window(start - _LATE, start))
        write_batches(rows.with_name(LATE_FILE), _answers(earlier), schema=LEDGER_SCHEMA)
    for line in outcome_lines(summary, arguments):
        print(line, file=sys.stderr)


def split_versions(rows: Path, version: int) -> None:
    """Moves the rows of other versions into a file beside: only the ledger is to have them."""
    with open_parquet(rows) as file:
        schema = file.schema_arrow

    def rows_of(*, own: bool) -> Iterator[pa.RecordBatch]:
        for table in stream_rows(rows):
            answered = pc.fill_null(pc.equal(table["version"], version), False)
            yield from table.filter(answered if own else pc.invert(answered)).to_batches()

    for path, own in ((rows.with_name(OTHERS_FILE), False), (rows, True)):
        write_batches(path, rows_of(own=own), schema=schema)


def _answers(path: Path) -> Iterator[pa.RecordBatch]:
    """Yields what the ledger keeps of rows, with numbers of clusters that no window has."""
    for table in stream_rows(path, LEDGER_SCHEMA.names):
        answers = table.select(LEDGER_SCHEMA.names)
        place = LEDGER_SCHEMA.get_field_index("cluster")
        clusters = pc.add(answers["cluster"], LATE_CLUSTERS)
        yield from answers.set_column(place, "cluster", clusters).to_batches()


def outcome_lines(summary: CaptureSummary, arguments: WindowArguments) -> Iterator[str]:
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


if __name__ == "__main__":
    run_step(main)
