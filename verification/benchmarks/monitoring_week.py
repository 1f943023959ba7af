"""A home whose champion was monitored for a week, and has answered a second one of many rows.

Everything that the monitoring pipeline reads is there: captures, as the server writes them, ten
rows a request; the held-out rows of the version; the ledger with the week before, of which 100 rows
were drawn; labels of those and of every tenth row; and all rows in the lake. Scores are drawn at
random, since neither time nor memory depends on them.
"""

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.core.files import sha256_tree, write_bytes
from sashiko.core.parquet import read_columns, write_batches, write_table
from sashiko.data.generators.base import Order
from sashiko.data.generators.complaints import PERIOD_END, Complaints
from sashiko.monitoring.capture.record import Window
from sashiko.monitoring.columns import cells_of, count_reference
from sashiko.monitoring.draws import draw_period
from sashiko.monitoring.labels import add_labels, create_stores
from sashiko.monitoring.ledger import LEDGER_SCHEMA, add_rows
from sashiko.monitoring.reference import Reference, write_reference
from sashiko.pipeline.monitor_run import MonitorFolder
from sashiko.pipeline.project import CAPTURES, LAKE, contract_file
from sashiko.pipeline.runner.store import Store
from sashiko.registry.versions import MONITORING_TAGS, ModelVersion
from sashiko.serving.artifact import JSON
from sashiko.serving.capture import Capture, CaptureSettings
from sashiko.serving.container.text import assemble, columns
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe import load_recipe
from sashiko.settings.shifts import ShiftPlan
from sashiko.steps.bias_input import DATA_FILE, csv_pieces

RECIPE = "complaints"
_WEEK = dt.timedelta(days=7)
WINDOW = Window(PERIOD_END + _WEEK, PERIOD_END + 2 * _WEEK)
_BEFORE = Window(PERIOD_END, WINDOW.start)
_HELD_OUT = 3500  # rows of the test split of `complaints`
_ROWS_PER_REQUEST = 10
_LABELLED = 10  # each so many rows one has a label
_DRAWN = 100
_VERSION = 1
_THRESHOLD = 0.5
_KEY, _TIME, _LABEL = "complaint_id", "received_at", "escalate"
_NO_DIGEST = "0" * 64


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
    recipe = load_recipe(Path("recipes") / f"{RECIPE}.yaml")
    plan = ShiftPlan(weeks=2, rows_per_week=rows, shifts=())
    weeks = _Weeks(
        folder=MonitorFolder(home, load_settings("local"), recipe),
        contract=load_contract(contract_file(recipe)),
        order=Order(rows=_HELD_OUT, bias=False, plan=plan),
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
    ledger, labels, draws, facets = (
        weeks.folder.path(uri)
        for uri in (places.ledger, places.labels, places.draws, places.facets)
    )
    create_stores(
        weeks.contract, ledger=ledger, labels=labels, draws=draws, facets=facets,
        windows=ledger.parent / "windows",
    )  # fmt: skip

    def answers() -> Iterator[pa.RecordBatch]:
        for rows in weeks.rows(_BEFORE):
            names = [_KEY, "version", "score", "decision", _TIME, "cluster"]
            versions = pa.array(np.full(rows.num_rows, _VERSION))
            # Each row is a request of its own.
            clusters = pa.array(np.arange(rows.num_rows, dtype=np.int64))
            table = rows.append_column("version", versions).append_column("cluster", clusters)
            table = table.select(names)
            yield from table.rename_columns(LEDGER_SCHEMA.names).to_batches()

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
    add_labels(scratch, weeks.contract, labels=labels, facets=facets, now=WINDOW.end)
    scratch.unlink()


def _capture(weeks: _Weeks) -> None:
    group = weeks.folder.recipe.model_package_group
    settings = CaptureSettings(
        folder=weeks.folder.home / CAPTURES,
        endpoint=group,
        variant="primary",
        version=_VERSION,
        percent=100,
        retention=int(2 * _WEEK.total_seconds()),
        most_bytes=2**40,
    )
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
    store, recipe = Store(weeks.folder.home / "s3"), weeks.folder.recipe
    tags = {tag: f"s3://{weeks.contract.table}/{tag}" for tag in MONITORING_TAGS}
    reference, test, bias_rows = (store.path(uri) for uri in tags.values())
    first = next(Complaints().batches(weeks.order)).slice(0, _HELD_OUT)
    rows = _decided(pa.Table.from_batches([first]))
    texts = [assemble(recipe.text.template, row, recipe.text.missing) for row in rows.to_pylist()]
    write_table(test / "data.parquet", pa.table({"text": texts}))
    right = pc.equal(rows["decision"], rows[_LABEL]).to_numpy()
    scores = count_reference("score", rows["score"])
    right_cells = cells_of(scores, rows["score"])[right]
    label = weeks.contract.label
    write_reference(
        Reference(
            rows=rows.num_rows,
            positives=pc.sum(pc.equal(rows[_LABEL], label.positive)).as_py(),
            true_positives=pc.sum(
                pc.and_(
                    pc.equal(rows[_LABEL], label.positive),
                    pc.equal(rows["decision"], label.positive),
                )
            ).as_py(),
            labels=(label.negative, label.positive),
            threshold=_THRESHOLD,
            template=recipe.text.template,
            missing=recipe.text.missing,
            columns=tuple(
                count_reference(name, rows[name]) for name in columns(recipe.text.template)
            ),
            scores=scores,
            right=tuple(np.bincount(right_cells, minlength=len(scores.counts)).tolist()),
            calibration=(),
            artifact_sha256=_NO_DIGEST,
            test_sha256=sha256_tree(test),
            columns_sha256=_NO_DIGEST,
        ),
        reference,
    )
    _write_bias_rows(bias_rows / DATA_FILE, rows, weeks.contract)
    return ModelVersion(
        group=recipe.model_package_group,
        version=_VERSION,
        status="Approved",
        artifact_sha256=_NO_DIGEST,
        threshold=_THRESHOLD,
        tags=tags,
        aliases=("champion",),
    )


def _write_bias_rows(path: Path, rows: pa.Table, contract: Contract) -> None:
    facets = [facet.column for facet in contract.facets]
    table = pa.table(
        {
            "label": pc.equal(rows[_LABEL], contract.label.positive).cast(pa.int64()),
            "predicted_label": pc.equal(rows["decision"], contract.label.positive).cast(pa.int64()),
            **{facet: rows[facet] for facet in facets},
            "group_variable": rows[contract.group_variable],
        }
    )
    write_bytes(path, b"".join(csv_pieces(table.column_names, table.to_batches())))
