"""How long the monitoring pipeline takes, and how much memory, with millions of captured rows.

    python -m verification.benchmarks.monitoring_rows --rows 1000000 4000000
    python -m verification.benchmarks.monitoring_rows --rows 1000000 10000000 --write

Each number of rows is a window of `sashiko monitor`, run by the local runner in a home of its own
(`monitoring_week`). A step's time is that of the processors, so that it does not depend on what
else runs; its memory is the greatest resident size of its process, as the kernel counts it. Exit
status 4 if a bar does not hold. `--write` writes `docs/monitoring-benchmark.md`.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from sashiko.core.exit_status import CHECK_FAILED
from sashiko.pipeline.monitor_run import run_monitor
from verification.benchmarks.growth import Memory, Size, steps
from verification.benchmarks.monitoring_page import write_part
from verification.benchmarks.monitoring_week import WINDOW, capture_week
from verification.benchmarks.runs import machine

_ROWS = 10_000_000  # that the bars of time are of
_MOST_MB = 512
_DECODING, _DECODING_SECONDS = "ReadCapture", 600
_STATISTICS, _STATISTICS_SECONDS = ("InputQuality", "Drift"), 60


def main() -> None:
    """Prints the table, and writes the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000], help="of each window")
    parser.add_argument("--write", action="store_true", help="write the page")
    options = parser.parse_args()
    sizes = [measure(rows) for rows in sorted(set(options.rows))]
    rows = " ".join(str(size.rows) for size in sizes)
    command = f"python -m verification.benchmarks.monitoring_rows --rows {rows}"
    text = rows_part(sizes, command=command)
    print(text)
    if options.write:
        write_part("How many rows a window may have", text)
    problems = list(faults(sizes))
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        raise SystemExit(CHECK_FAILED)


def measure(rows: int) -> Size:
    """Runs the pipeline on a window of so many rows."""
    print(f"capturing {rows:,} rows ...", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as home:
        folder, version = capture_week(Path(home), rows=rows)
        with Memory(os.getpid()) as watched:
            record, result = run_monitor(folder, version, window=WINDOW, command="sashiko monitor")
    if result is None or result.capture.rows != rows:
        sys.exit(f"error: the run did not judge {rows:,} rows; it ended as `{record.status}`")
    # In the definition's order.
    seconds = {step.name: watched.cpu[step.name] for step in record.steps if step.seconds}
    return Size(rows, seconds, watched.peaks)


def rows_part(sizes: Sequence[Size], *, command: str) -> str:
    """Writes the page's part in Markdown."""
    heads = [f"{size.rows:,} rows, {unit}" for unit in ("CPU s", "MB") for size in sizes]
    lines = [
        "",
        "```",
        command,
        "```",
        "",
        f"On {machine()}.",
        "",
        "Each number of rows is a window of `sashiko monitor`: captures of requests with ten rows",
        "each, a ledger with as many rows of the week before, labels of every tenth row, and the",
        "facets of all rows in the lake. Time is that of the processors. Memory is the greatest",
        "resident size of the step's process, with what it imports.",
        "",
        f"| step | {' | '.join(heads)} |",
        "|---" * (len(heads) + 1) + "|",
    ]
    for step in steps(sizes):
        figures = [f"{size.seconds[step]:.0f}" for size in sizes]
        figures += [f"{size.megabytes[step]:.0f}" for size in sizes]
        lines.append(f"| {step} | {' | '.join(figures)} |")
    lines += [
        "",
        f"The bars: {_DECODING} decodes {_ROWS:,} rows in {_DECODING_SECONDS // 60} minutes, and",
        f"{' and '.join(_STATISTICS)} measure them in {_STATISTICS_SECONDS} seconds together; no",
        f"step needs more than {_MOST_MB} MB, whatever the number of rows.",
    ]
    return "\n".join(lines) + "\n"


def faults(sizes: Sequence[Size]) -> Iterator[str]:
    """Yields the bars that do not hold."""
    for size in sizes:
        for step, megabytes in size.megabytes.items():
            if megabytes > _MOST_MB:
                yield f"{step}: {megabytes:.0f} MB of {size.rows:,} rows, bar {_MOST_MB} MB"
        if size.rows < _ROWS:  # what a step needs to start weighs most
            continue
        for names, seconds in (
            ((_DECODING,), _DECODING_SECONDS),
            (_STATISTICS, _STATISTICS_SECONDS),
        ):
            used = sum(size.seconds[step] for step in names)
            most = seconds * size.rows / _ROWS
            if used > most:
                yield f"{', '.join(names)}: {used:.0f} s of {size.rows:,} rows, bar {most:.0f} s"


if __name__ == "__main__":
    main()
