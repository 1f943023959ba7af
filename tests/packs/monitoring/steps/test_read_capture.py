import datetime as dt
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.base.async_requests import request_name
from sashiko.base.files import sha256_tree, write_json
from sashiko.base.scratch import scratch_database
from sashiko.errors import InputError
from sashiko_packs.monitoring.capture.record import CaptureSummary, row_schema
from sashiko_packs.monitoring.ledger import create_ledger_view, delete_keys
from sashiko_packs.monitoring.settings import MonitorSection
from sashiko_packs.monitoring.steps import join_labels, read_capture
from sashiko_packs.monitoring.window import basic_time
from tests.packs.monitoring.captures import NOON, answer, one, record, request, write
from tests.packs.monitoring.label_stores import DAY, Stores, keys_of, week
from tests.packs.monitoring.steps.window_job import MonitorJob
from tests.unit.contract.documents import document, save

EARLY = week(0).start + 3 * DAY  # of the first week, and too old for the second read
LAST = week(0).end - DAY / 2


class Project:
    """ReadCapture and JoinLabels over one folder of captures and one ledger."""

    def __init__(self, root, monkeypatch):
        self._monkeypatch = monkeypatch
        self.stores = Stores(root / "stores")
        self.captures = root / "capture"
        self.root = root

    def deliver(self, file, *records, hour=LAST, version=7):
        write(self.captures, records, hour=hour, file=f"{file}.jsonl", version=version)

    def read(self, number):
        times = {"start": week(number).start, "end": week(number).end, "now": week(number).end}
        words = [w for name, time in times.items() for w in (f"--{name}", basic_time(time))]
        jobs = [
            MonitorJob(self.root / step, self._monkeypatch)
            for step in ("ReadCapture", "JoinLabels")
        ]
        reading, joining = jobs
        for job, step in ((reading, read_capture), (joining, join_labels)):
            shutil.rmtree(job.root, ignore_errors=True)
            self._monkeypatch.setenv("OPT_ML", str(job.root))
            job.put_reference()
            save(document(), job.input("config"))
            write_json(
                job.input("config") / "monitor.json", MonitorSection().model_dump(mode="json")
            )
            inputs = {"capture": self.captures, "rows": reading.output("rows")}
            inputs |= {name: self.stores.folder(name) for name in ("ledger", "labels", "draws")}
            for name in ("capture",) if job is reading else ("rows", "ledger", "labels", "draws"):
                shutil.copytree(inputs[name], job.input(name), dirs_exist_ok=True)
            job.run(step, *words, "--version", "7")
        shutil.copytree(joining.output("ledger"), self.stores.folder("ledger"), dirs_exist_ok=True)

    def ledger(self):
        """The keys of the ledger by their times."""
        with scratch_database("read") as connection:
            create_ledger_view(connection, self.stores.folder("ledger"))
            return [
                key for (key,) in connection.sql("SELECT key FROM ledger ORDER BY key").fetchall()
            ]


def test_objects_of_an_endpoint_that_sleeps_come_into_the_ledger(tmp_path, monkeypatch):
    project = Project(tmp_path, monkeypatch)
    for key in ("a", "b"):
        name = request_name(LAST)
        for place, text in (
            (f"input/{name}.json", request([{"product": "Card", "complaint_text": key}], [key])),
            (f"version=7/output/{name}.out", answer([0.7], [key])),
        ):
            path = project.captures / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    project.read(0)
    assert project.ledger() == ["a", "b"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    project = Project(tmp_path, monkeypatch)
    project.deliver("in-time", one("a", time=LAST), one("b", time=LAST))
    project.read(0)
    project.deliver("late", one("c", time=LAST + dt.timedelta(minutes=1)))
    project.deliver("late", one("d", time=LAST), version=8)
    return project


def test_a_file_that_comes_after_its_windows_read_enters_the_ledger_at_the_next_one(project):
    assert project.ledger() == ["a", "b"]
    project.read(1)
    assert project.ledger() == ["a", "b", "c", "d"]
    first = sha256_tree(project.stores.folder("ledger"))
    project.read(1)
    assert sha256_tree(project.stores.folder("ledger")) == first


def test_a_late_answer_is_drawn_if_its_period_was_not_and_nothing_of_its_request_is_kept(
    project,
) -> None:
    project.read(1)
    assert keys_of(project.stores.draw(0, rows=9)) == ["a", "b", "c"]

    late = project.root / "ReadCapture/processing/output/rows/late.parquet"
    assert b"text of" not in late.read_bytes()
    assert pq.read_schema(late).names == ["key", "version", "score", "decision", "time", "cluster"]


def test_a_late_answer_is_no_row_of_the_next_window(project, capsys) -> None:
    project.deliver("own", one("e", time=week(1).start + DAY), hour=week(1).start + DAY)
    project.read(1)
    output = capsys.readouterr().err
    assert "version 7 answered 1 rows in 1 requests" in output
    assert "added 1 rows to the ledger, and 2 of late captures" in output


def test_a_deleted_key_stays_out_when_its_capture_comes_late(project) -> None:
    delete_keys(project.stores.folder("ledger"), ["c"], now=week(1).start, retention=16 * DAY)
    project.read(1)
    assert project.ledger() == ["a", "b", "d"]


def test_only_the_last_days_before_a_window_are_read_again(project) -> None:
    project.deliver("late", one("early", time=EARLY), hour=EARLY)
    project.read(1)
    assert "early" not in project.ledger()


def test_rows_that_a_window_has_numbered_keep_their_clusters(project) -> None:
    """The second read numbers them again, beside rows that the first one has not."""
    folder = project.stores.folder("ledger")
    both = request([{"product": "Card", "complaint_text": name} for name in "ef"], ["e", "f"])
    project.deliver("before-in-time", record("ef", both, answer([0.7, 0.7], ["e", "f"]), time=LAST))
    clusters = _clusters(folder)
    project.read(1)
    after = _clusters(folder)
    assert {key: after[key] for key in clusters} == clusters
    assert after["e"] == after["f"]
    assert after["e"] not in clusters.values()


def _clusters(folder):
    files = [pq.read_table(path) for path in folder.glob("2*.parquet")]
    return {row["key"]: row["cluster"] for table in files for row in table.to_pylist()}


COLUMNS = ("product", "complaint_text")
WINDOW = {
    "--start": "20260309T000000Z", "--end": "20260310T000000Z", "--now": "20260310T010000Z",
    "--version": "7",
}  # fmt: skip


def _lay_out(job: MonitorJob) -> Path:
    """Writes the reference; the folder of the captures is returned."""
    job.put_reference()
    return job.input("capture")


def _run(job: MonitorJob, **changes: str) -> None:
    options = WINDOW | {f"--{name}": value for name, value in changes.items()}
    job.run(read_capture, *(part for option in options.items() for part in option))


def _rows(job: MonitorJob) -> pa.Table:
    return pq.read_table(job.output("rows") / "rows.parquet")


def _others(job: MonitorJob) -> list[tuple[str, int | None]]:
    table = pq.read_table(job.output("rows") / "other_versions.parquet")
    return list(zip(table["key"].to_pylist(), table["version"].to_pylist(), strict=True))


def test_rows_have_the_references_columns(job, capsys) -> None:
    write(_lay_out(job), [one("a"), one("b"), record("c", request(["x"]), None)])
    _run(job)
    table = _rows(job)
    assert table.schema == row_schema(COLUMNS)
    assert table["key"].to_pylist() == ["a", "b"]
    summary = CaptureSummary.read(job.output("summary"))
    assert (summary.rows, summary.count("without-output")) == (2, 1)
    assert not (job.output("rows") / "other_versions.parquet").exists()
    assert capsys.readouterr().err.splitlines() == [
        "version 7 answered 2 rows in 2 requests",
        "without-output: 1",
    ]


def test_other_versions_rows_are_kept_apart_and_counted(job, capsys) -> None:
    folder = _lay_out(job)
    write(folder, [one("a"), one("b")])
    write(folder, [one("c"), one("d"), one("e")], version=8)
    write(folder, [one("f")], version=None)
    _run(job)
    assert _rows(job)["key"].to_pylist() == ["a", "b"]
    summary = CaptureSummary.read(job.output("summary"))
    assert [(item.version, item.rows) for item in summary.versions] == [(None, 1), (7, 2), (8, 3)]
    assert sorted(_others(job)) == [("c", 8), ("d", 8), ("e", 8), ("f", None)]
    errors = capsys.readouterr().err
    assert "version 7 answered 2 rows in 2 requests" in errors
    assert "left out 4 rows of other versions (none, 8)" in errors


def test_requests_after_the_time_of_the_read_are_no_loss_of_its_window(job) -> None:
    folder = _lay_out(job)
    midnight = NOON.replace(hour=0) + dt.timedelta(days=1)
    write(folder, [one("a")])
    write(folder, [one("later", time=midnight + dt.timedelta(minutes=5))], hour=midnight)
    _run(job, now=WINDOW["--end"])
    summary = CaptureSummary.read(job.output("summary"))
    assert (summary.lines, summary.rows, summary.count("future")) == (1, 1, 0)


def test_nothing_of_a_request_is_printed(job, capsys) -> None:
    private = "my card was stolen in Vienna"
    body = request([{"product": private, "complaint_text": private}], [private])
    cut = b'{"cut": "' + private.encode()
    write(_lay_out(job), [record("a", body, answer([0.3], [private])), cut])
    _run(job)
    output = capsys.readouterr()
    assert "cut-line: 1" in output.err
    assert private not in output.err + output.out
    assert private.encode() not in (job.output("summary") / "capture.json").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": "20260310T000000Z"}, "is not before --end 20260310T000000Z"),
        ({"start": "20260311T000000Z"}, "is not before --end 20260310T000000Z"),
        ({"end": "Monday"}, "--end Monday: is not a time of ISO 8601, such as 20261128T000000Z"),
        ({"now": "20260310T000000"}, "has no time zone; for UTC write 20260310T000000Z"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(job, changes, message) -> None:
    _lay_out(job)
    with pytest.raises(InputError, match=message):
        _run(job, **changes)
    assert not job.output("rows").exists()
