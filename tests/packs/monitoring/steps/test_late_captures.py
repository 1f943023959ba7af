"""A captured file that is delivered after its window was read still reaches the ledger."""

import datetime as dt
import shutil

import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_tree, write_json
from sashiko.base.scratch import scratch_database
from sashiko_packs.monitoring.ledger import create_ledger_view, delete_keys
from sashiko_packs.monitoring.settings import MonitorSection
from sashiko_packs.monitoring.steps import join_labels, read_capture
from sashiko_packs.monitoring.window import basic_time
from tests.packs.monitoring.captures import answer, one, record, request, write
from tests.packs.monitoring.label_stores import DAY, Stores, keys_of, week
from tests.packs.monitoring.steps.monitor_job import MonitorJob
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
        """Reads a week, and keeps its ledger."""
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


@pytest.fixture
def project(tmp_path, monkeypatch):
    project = Project(tmp_path, monkeypatch)
    project.deliver("in-time", one("a", time=LAST), one("b", time=LAST))
    project.read(0)
    project.deliver("late", one("c", time=LAST + dt.timedelta(minutes=1)))
    project.deliver("late", one("d", time=LAST), version=8)
    return project


def test_a_file_that_comes_after_its_windows_read_enters_the_ledger_at_the_next_one(
    project,
) -> None:
    assert project.ledger() == ["a", "b"]
    project.read(1)
    assert project.ledger() == ["a", "b", "c", "d"]
    first = sha256_tree(project.stores.folder("ledger"))
    project.read(1)
    assert sha256_tree(project.stores.folder("ledger")) == first


def test_a_late_answer_is_drawn_if_its_period_was_not_drawn_before(project) -> None:
    project.read(1)
    assert keys_of(project.stores.draw(0, rows=9)) == ["a", "b", "c"]


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


def test_nothing_of_a_late_request_is_kept_beside_its_answer(project) -> None:
    project.read(1)
    late = project.root / "ReadCapture/processing/output/rows/late.parquet"
    assert b"text of" not in late.read_bytes()
    assert pq.read_schema(late).names == ["key", "version", "score", "decision", "time", "cluster"]


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
