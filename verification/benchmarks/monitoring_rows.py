"""How long the monitoring pipeline takes, and how much memory, with millions of captured rows.

    python -m verification.benchmarks.monitoring_rows --rows 1000000 4000000
    python -m verification.benchmarks.monitoring_rows --rows 1000000 10000000 --write

Each number of rows is a window of `sashiko monitor`, run by the local runner in a home of its own,
whose champion was monitored for a week before. Everything that the pipeline reads is there:
captures, as the server writes them, ten rows a request; the held-out rows of the version; the
ledger with the week before, of which 100 rows were drawn; labels of those and of every tenth row;
and all rows in the lake. Scores are drawn at random, since neither time nor memory depends on them.
A step's time is that of the processors, so that it does not depend on what else runs. Exit status 4
if a bar does not hold. `--write` writes `verification/results/monitoring.md`.
"""

import datetime as dt
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.base.files import sha256_tree, write_bytes
from sashiko.base.parquet import read_columns, write_batches, write_table
from sashiko.bias.steps.bias_input import DATA_FILE, csv_pieces
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.data.generators.base import Order
from sashiko.data.generators.complaints import PERIOD_END, Complaints
from sashiko.errors import CHECK_FAILED
from sashiko.evaluation.reference import Reference, write_reference
from sashiko.evaluation.reference_columns import cells_of, count_reference
from sashiko.pipeline.project import CAPTURES, LAKE, contract_file
from sashiko.pipeline.runner.store import Store
from sashiko.registry.versions import MONITORING_TAGS, ModelVersion
from sashiko.serving.artifact import JSON
from sashiko.serving.container.text import assemble, columns
from sashiko.serving.local_capture import Capture, CaptureSettings
from sashiko.settings.environment import load_settings
from sashiko.settings.shifts import ShiftPlan
from sashiko_packs.monitoring.labels import add_labels, create_stores
from sashiko_packs.monitoring.ledger import LEDGER_SCHEMA, add_rows, draw_period
from sashiko_packs.monitoring.local_run import MonitorFolder, run_monitor
from sashiko_packs.monitoring.window import Window
from verification.benchmarks import bench
from verification.benchmarks.bench import machine, options, recipe_of, show, table
from verification.benchmarks.monitoring_pools import PAGE, REFERENCE_ROWS

_WEEK = dt.timedelta(days=7)
WINDOW = Window(PERIOD_END + _WEEK, PERIOD_END + 2 * _WEEK)
_BEFORE = Window(PERIOD_END, WINDOW.start)
_ROWS_PER_REQUEST = 10
_LABELLED = 10  # each so many rows one has a label
_DRAWN = 100
_VERSION = 1
_THRESHOLD = 0.5
_KEY, _TIME, _LABEL = "complaint_id", "received_at", "escalate"
_NO_DIGEST = "0" * 64
_ROWS = 10_000_000  # that the bars of time are of
_MOST_MB = 512
_MOST_SECONDS = {("ReadCapture",): 600, ("InputQuality", "Drift"): 60}


@dataclass(frozen=True)
class Size:
    """A run of one size: rows, and of each step its seconds and its peak memory in MB."""

    rows: int
    seconds: dict[str, float]
    megabytes: dict[str, float]


def main() -> None:
    """Prints the table, and writes it into the page if asked to."""
    chosen = options(__doc__, rows=[1_000_000], write=False)
    sizes = [_measure(rows) for rows in sorted(set(chosen.rows))]
    lines = [f"On {machine()}.", "", *size_table(sizes)]
    show(lines)
    if chosen.write:
        bench.write_part(PAGE, "rows", lines)
    problems = list(faults(sizes))
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        raise SystemExit(CHECK_FAILED)


def _measure(rows: int) -> Size:
    """Runs the pipeline on a window of so many rows."""
    print(f"capturing {rows:,} rows ...", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as home:
        folder, version = capture_week(Path(home), rows=rows)
        with bench.Watch(os.getpid()) as watch:
            record, result = run_monitor(folder, version, window=WINDOW, command="sashiko monitor")
    if result is None or result.capture.rows != rows:
        sys.exit(f"error: the run did not judge {rows:,} rows; it ended as `{record.status}`")
    # In the definition's order.
    seconds = {step.name: watch.cpu[step.name] for step in record.steps if step.seconds}
    return Size(rows, seconds, watch.peaks)


def size_table(sizes: Sequence[Size]) -> Iterator[str]:
    """Yields the lines of a table of time and memory by step."""
    heads = [f"{size.rows:,} rows, {unit}" for unit in ("CPU s", "MB") for size in sizes]
    rows = (
        (step, *(f"{getattr(size, of)[step]:.0f}" for of in ("seconds", "megabytes")
                 for size in sizes))
        for step in sizes[0].seconds
        if all(step in size.seconds and step in size.megabytes for size in sizes)
    )  # fmt: skip
    return table(("step", *heads), rows)


def faults(sizes: Sequence[Size]) -> Iterator[str]:
    """Yields the bars that do not hold."""
    for size in sizes:
        for step, megabytes in size.megabytes.items():
            if step and megabytes > _MOST_MB:
                yield f"{step}: {megabytes:.0f} MB of {size.rows:,} rows, bar {_MOST_MB} MB"
        if size.rows < _ROWS:  # what a step needs to start weighs most
            continue
        for names, seconds in _MOST_SECONDS.items():
            used = sum(size.seconds[step] for step in names)
            most = seconds * size.rows / _ROWS
            if used > most:
                yield f"{', '.join(names)}: {used:.0f} s of {size.rows:,} rows, bar {most:.0f} s"


@dataclass(frozen=True)
class _Weeks:
    """What is written, and where."""

    folder: MonitorFolder
    contract: Contract
    order: Order

    def rows(self, window: Window) -> Iterator[pa.Table]:
        """Yields the generated rows of a window, with scores and decisions."""
        for batch in Complaints().batches(self.order):
            times = batch[_TIME]
            start, end = (pa.scalar(time, times.type) for time in (window.start, window.end))
            inside = pc.and_(pc.greater_equal(times, start), pc.less(times, end))
            if pc.any(inside).as_py():
                yield _decided(pa.Table.from_batches([batch]).filter(inside))


def capture_week(home: Path, *, rows: int) -> tuple[MonitorFolder, ModelVersion]:
    """Fills an empty home with the two weeks, of so many rows each.

    Returns:
        What `run_monitor` takes for `WINDOW`.
    """
    recipe = recipe_of("complaints")
    plan = ShiftPlan(weeks=2, rows_per_week=rows, shifts=())
    weeks = _Weeks(
        folder=MonitorFolder(home, load_settings("local"), recipe),
        contract=load_contract(contract_file(recipe)),
        order=Order(rows=REFERENCE_ROWS, bias=False, plan=plan),
    )
    lake = home / LAKE / weeks.contract.table / "data.parquet"
    write_batches(lake, Complaints().batches(weeks.order), schema=Complaints().schema)
    _fill_stores(weeks)
    _capture(weeks)
    return weeks.folder, _version(weeks)


def _decided(rows: pa.Table) -> pa.Table:
    generator = np.random.default_rng(int(rows[_KEY][0].as_py()[1:]))
    scores = generator.beta(2, 3, rows.num_rows).round(6)
    decisions = np.where(scores >= _THRESHOLD, "yes", "no")
    return rows.append_column("score", pa.array(scores)).append_column(
        "decision", pa.array(decisions, pa.string())
    )


def _fill_stores(weeks: _Weeks) -> None:
    """Fills the ledger with the week before, draws rows of it, and adds the labels."""
    places, scratch = weeks.folder.places, weeks.folder.home / "scratch.parquet"
    ledger, labels, draws, windows = (
        weeks.folder.path(uri)
        for uri in (places.ledger, places.labels, places.draws, places.windows)
    )
    create_stores(ledger=ledger, labels=labels, draws=draws, windows=windows)

    def answers() -> Iterator[pa.RecordBatch]:
        for rows in weeks.rows(_BEFORE):
            key, score, decision, time = (rows[name] for name in (_KEY, "score", "decision", _TIME))
            versions = np.full(rows.num_rows, _VERSION)
            clusters = np.arange(rows.num_rows, dtype=np.int64)  # each row is a request of its own
            cells = [key, pa.array(versions), score, decision, time, pa.array(clusters)]
            yield from pa.table(cells, names=LEDGER_SCHEMA.names).to_batches()

    def labelled() -> Iterator[pa.RecordBatch]:
        for batch in Complaints().batches(weeks.order):
            every = pa.array(np.arange(batch.num_rows) % _LABELLED == 0)
            chosen = batch.filter(pc.or_(every, pc.is_in(batch[_KEY], drawn)))
            yield chosen.select([_KEY, _LABEL])

    write_batches(scratch, answers(), schema=LEDGER_SCHEMA)
    add_rows(ledger, scratch)
    draw = draw_period(draws, ledger, version=_VERSION, window=_BEFORE, rows=_DRAWN)
    drawn = read_columns(draw.path, ["key"])["key"].combine_chunks()
    schema = pa.schema([(_KEY, pa.string()), (_LABEL, pa.string())])
    write_batches(scratch, labelled(), schema=schema)
    add_labels(scratch, weeks.contract, labels=labels, now=WINDOW.end)
    scratch.unlink()


def _capture(weeks: _Weeks) -> None:
    group = weeks.folder.recipe.model_package_group
    settings = CaptureSettings(
        folder=weeks.folder.home / CAPTURES, endpoint=group, variant="primary", version=_VERSION,
        percent=100, retention=int(2 * _WEEK.total_seconds()), most_bytes=2**40,
    )  # fmt: skip
    at = WINDOW.start
    names = columns(weeks.folder.recipe.text.template)
    with closing(Capture(settings, clock=lambda: at)) as capture:
        for table in weeks.rows(WINDOW):
            rows = table.select([_KEY, _TIME, "score", "decision", *names]).to_pylist()
            for first in range(0, len(rows), _ROWS_PER_REQUEST):
                request = rows[first : first + _ROWS_PER_REQUEST]
                at = request[0][_TIME]
                ids = [row[_KEY] for row in request]
                body = {"inputs": [{name: row[name] for name in names} for row in request]}
                answer = [
                    {"id": row[_KEY], "label": row["decision"], "score": row["score"]}
                    for row in request
                ]
                capture.record(json.dumps(body | {"ids": ids}).encode(), JSON, json.dumps(answer))


def _version(weeks: _Weeks) -> ModelVersion:
    """Writes what the version is compared with, and names it in its tags."""
    store, recipe, label = (
        Store(weeks.folder.home / "s3"), weeks.folder.recipe, weeks.contract.label
    )  # fmt: skip
    tags = {tag: f"s3://{weeks.contract.table}/{tag}" for tag in MONITORING_TAGS}
    reference, test, bias_rows = (store.path(uri) for uri in tags.values())
    names = columns(recipe.text.template)
    first = next(Complaints().batches(weeks.order)).slice(0, REFERENCE_ROWS)
    rows = _decided(pa.Table.from_batches([first]))
    texts = [assemble(recipe.text.template, row, recipe.text.missing) for row in rows.to_pylist()]
    write_table(test / "data.parquet", pa.table({"text": texts}))
    is_right, is_positive = (
        pc.equal(rows["decision"], rows[_LABEL]), pc.equal(rows[_LABEL], label.positive)
    )  # fmt: skip
    scores = count_reference("score", rows["score"])
    right_cells = cells_of(scores, rows["score"])[is_right.to_numpy()]
    write_reference(
        Reference(
            rows=rows.num_rows,
            positives=pc.sum(is_positive).as_py(),
            true_positives=pc.sum(pc.and_(is_positive, is_right)).as_py(),
            labels=(label.negative, label.positive),
            threshold=_THRESHOLD,
            template=recipe.text.template,
            missing=recipe.text.missing,
            columns=tuple(count_reference(name, rows[name]) for name in names),
            scores=scores,
            right=tuple(np.bincount(right_cells, minlength=len(scores.counts)).tolist()),
            calibration=(),
            artifact_sha256=_NO_DIGEST,
            test_sha256=sha256_tree(test),
            columns_sha256=_NO_DIGEST,
        ),
        reference,
    )
    bias = {
        "label": is_positive.cast(pa.int64()),
        "predicted_label": pc.equal(rows["decision"], label.positive).cast(pa.int64()),
        **{facet.column: rows[facet.column] for facet in weeks.contract.facets},
        "group_variable": rows[weeks.contract.group_variable],
    }
    pieces = csv_pieces(list(bias), pa.table(bias).to_batches(), outcomes=(0, 1))
    write_bytes(bias_rows / DATA_FILE, b"".join(pieces))
    return ModelVersion(
        group=recipe.model_package_group, version=_VERSION, status="Approved", tags=tags,
        artifact_sha256=_NO_DIGEST, threshold=_THRESHOLD, aliases=("champion",),
    )  # fmt: skip


if __name__ == "__main__":
    main()
